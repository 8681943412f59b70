//! Whom a service's workers run as, looked up once: the supervisor gets numbers.

use std::ffi::OsString;

use evercrew_config::{Service, Settings};
use evercrew_sys::user;
use evercrew_wire::supervisor::Credentials;

/// A user and a group of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) credentials: Credentials,
    name: Option<String>,
    home: Option<OsString>,
}

impl Identity {
    /// What a login would set.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let name = self.name.iter().flat_map(|name| ["USER", "LOGNAME"].map(|key| (key.into(), name.into())));
        name.chain(self.home.iter().map(|home| ("HOME".into(), home.clone())))
    }
}

/// The identities of all services, by their order: `None` runs as the engine; an error names the user or group that this
/// machine does not know. One service without its user is no reason not to run the others.
pub(crate) fn resolve(settings: &Settings) -> Vec<Result<Option<Identity>, String>> {
    settings.services.iter().map(of_service).collect()
}

fn of_service(service: &Service) -> Result<Option<Identity>, String> {
    let unknown = |what: &str, name: &str| format!("service `{}`: this machine has no {what} `{name}`", service.name);
    let unreadable = |error| format!("service `{}`: cannot read the users of this machine: {error}", service.name);
    let group = match &service.group {
        Some(name) => Some(user::find_group(name).map_err(unreadable)?.ok_or_else(|| unknown("group", name))?),
        None => None,
    };
    let own = user::current();
    let identity = match (&service.user, group) {
        (None, None) => return Ok(None),
        (Some(name), group) => {
            let user = user::find(name).map_err(unreadable)?.ok_or_else(|| unknown("user", name))?;
            let (gid, groups) = group.map_or((user.gid, user.groups), |group| (group, vec![group]));
            Identity {
                credentials: Credentials { uid: user.uid, gid, groups },
                name: Some(user.name),
                home: Some(user.home.into()),
            }
        }
        (None, Some(gid)) => {
            Identity { credentials: Credentials { uid: own.0, gid, groups: vec![gid] }, name: None, home: None }
        }
    };
    // Setting what is so already needs rights that an ordinary user has not.
    let same = (identity.credentials.uid, identity.credentials.gid) == own;
    Ok((!same).then_some(identity))
}
