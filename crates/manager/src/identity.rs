//! Whom a service's workers run as, looked up once: the supervisor gets numbers.

use std::ffi::OsString;

use evercrew_config::{Engine, Service, Settings};
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

/// Whom manager and logger run as, where not as `supervisor` (user and group), who starts them.
///
/// # Errors
/// When this machine does not know them.
pub(crate) fn of_engine(engine: &Engine, supervisor: (u32, u32)) -> Result<Option<Identity>, String> {
    let found = find("[engine]", engine.user.as_deref(), engine.group.as_deref(), supervisor.0)?;
    Ok(found.filter(|identity| is_other(identity, supervisor)))
}

/// Whom manager and logger run as, where not as this process: for who starts the supervisor.
///
/// # Errors
/// When this machine does not know them.
pub fn engine_credentials(engine: &Engine) -> Result<Option<Credentials>, String> {
    Ok(of_engine(engine, user::current())?.map(|identity| identity.credentials))
}

/// The identities of all services, by their order: `None` runs as the supervisor; an error names the user or group that
/// this machine does not know. One service without its user is no reason not to run the others.
pub(crate) fn resolve(settings: &Settings) -> Vec<Result<Option<Identity>, String>> {
    let supervisor = supervisor(&settings.engine);
    let engine = of_engine(&settings.engine, supervisor);
    settings.services.iter().map(|service| of_service(service, &engine, supervisor)).collect()
}

/// Only with a user of the engine's own is a manager somebody else than the supervisor.
pub(crate) fn supervisor(engine: &Engine) -> (u32, u32) {
    if engine.user.is_some() || engine.group.is_some() { user::of_parent() } else { user::current() }
}

fn of_service(
    service: &Service,
    engine: &Result<Option<Identity>, String>,
    supervisor: (u32, u32),
) -> Result<Option<Identity>, String> {
    let own = engine.clone()?;
    let uid = own.as_ref().map_or(supervisor.0, |identity| identity.credentials.uid);
    let whose = format!("service `{}`", service.name);
    match find(&whose, service.user.as_deref(), service.group.as_deref(), uid)? {
        None => Ok(own),
        Some(identity) => Ok(Some(identity).filter(|identity| is_other(identity, supervisor))),
    }
}

/// Setting what is so already needs rights that an ordinary user has not.
fn is_other(identity: &Identity, supervisor: (u32, u32)) -> bool {
    (identity.credentials.uid, identity.credentials.gid) != supervisor
}

/// With a group alone the user is that of number `uid`.
fn find(whose: &str, name: Option<&str>, group: Option<&str>, uid: u32) -> Result<Option<Identity>, String> {
    let unknown = |what: &str, name: &str| format!("{whose}: this machine has no {what} `{name}`");
    let unreadable = |error| format!("{whose}: cannot read the users of this machine: {error}");
    let group = match group {
        Some(name) => Some(user::find_group(name).map_err(unreadable)?.ok_or_else(|| unknown("group", name))?),
        None => None,
    };
    Ok(match (name, group) {
        (None, None) => None,
        (Some(name), group) => {
            let user = user::find(name).map_err(unreadable)?.ok_or_else(|| unknown("user", name))?;
            let (gid, groups) = group.map_or((user.gid, user.groups), |group| (group, vec![group]));
            Some(Identity {
                credentials: Credentials { uid: user.uid, gid, groups },
                name: Some(user.name),
                home: Some(user.home.into()),
            })
        }
        (None, Some(gid)) => {
            Some(Identity { credentials: Credentials { uid, gid, groups: vec![gid] }, name: None, home: None })
        }
    })
}
