//! What the workers of a service run in, for a command that an operator runs there (`run`).

use std::ffi::OsStr;

use evercrew_config::{Service, Settings};
use evercrew_sys::limits;
use evercrew_wire::Text;
use evercrew_wire::control::{Reply, Request, Surroundings};
use serde_json::json;

use crate::commands::{Refusal, ok};
use crate::identity::{self, Identity};
use crate::launch::Launcher;
use crate::manager::Manager;

impl Manager {
    pub(crate) fn surroundings(&self, request: &Request) -> Result<Reply, Refusal> {
        let targets = self.some_targets(request)?;
        let (service, _) = targets[0];
        let unknown = |text: String| (1, text, "look at the machine's users and groups".to_owned());
        let identity = self.crew.edition.identity(self.crew.name(service)).map_err(unknown)?;
        let settings = self.crew.service(service).ok_or((
            4,
            "its service is gone".to_owned(),
            "`evercrew status` shows those that there are".to_owned(),
        ))?;
        let surroundings = self.launcher.surroundings(settings, identity);
        Ok(ok(request, "", json!(surroundings)))
    }
}

impl Launcher {
    fn surroundings(&self, service: &Service, identity: Option<&Identity>) -> Surroundings {
        let mut environment = self.environment_of(service, identity);
        // By it the next `up` knows what a killed engine left behind, and ends it: an operator's command is none of that.
        environment.remove(OsStr::new("EVERCREW_INSTANCE"));
        environment.insert("EVERCREW_SERVICE".into(), service.name.clone().into());
        environment.insert("WEB_CONCURRENCY".into(), "1".into());
        let entry = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let mut entry = name;
            entry.push("=");
            entry.push(value);
            Text::from(&entry)
        };
        Surroundings {
            service: service.name.clone(),
            environment: environment.into_iter().map(entry).collect(),
            directory: Text::from(&service.directory),
            credentials: identity.map(|identity| identity.credentials.clone()),
            umask: service.umask,
            limits: self.limits(service),
            nice: service.limits.nice,
            oom_score_adj: service.limits.oom_score_adj,
        }
    }
}

/// The same without an engine: what it would be if one were started by this process.
///
/// # Errors
/// When there is no such service (`None`), or its user is unknown.
pub fn surroundings(settings: &Settings, name: &str) -> Result<Surroundings, Option<String>> {
    let index = settings.services.iter().position(|service| service.name == name).ok_or(None)?;
    let service = settings.services.get(index).ok_or(None)?;
    let identity = identity::resolve(settings).into_iter().nth(index).ok_or(None)?.map_err(Some)?;
    let launcher = Launcher::new(&settings.engine, String::new(), limits::nofile());
    Ok(launcher.surroundings(service, identity.as_ref()))
}
