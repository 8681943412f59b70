//! Whether a configuration that is written well can also be run here: what `up`, `check` and a reload ask alike.

use std::io;

use crate::identity;
use evercrew_config::{ConfigErrors, Limits, Ready, Service, Settings};
use evercrew_core::fleet::MAX_WORKERS;
use evercrew_sys::limits::{self, Resource};
use evercrew_sys::listener::PATH_LIMIT;
use evercrew_sys::{priority, user};

/// Exit codes of the contract.
const CONFIGURATION: u8 = 78;
const FORBIDDEN: u8 = 77;

/// Why a configuration cannot be run here.
#[derive(Debug)]
pub enum Unfit {
    /// Programs, users or groups that are not there, each with its place in the text.
    Missing(ConfigErrors),
    /// Something else.
    Refused {
        /// The exit code.
        code: u8,
        /// What.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Unfit {
    fn refused(code: u8, message: String, hint: &str) -> Self {
        Self::Refused { code, message, hint: hint.to_owned() }
    }
}

/// Checks what this machine, this user and this version have to do with a configuration.
///
/// # Errors
/// What is missing or not possible.
pub fn vet(settings: &Settings) -> Result<(), Unfit> {
    vet_for(settings, user::current())
}

/// As [`vet`], for a supervisor that has these rights.
pub(crate) fn vet_for(settings: &Settings, supervisor: (u32, u32)) -> Result<(), Unfit> {
    let is_there = |found: io::Result<bool>| found.unwrap_or(false);
    let user = |name: &str| is_there(user::find(name).map(|user| user.is_some()));
    let group = |name: &str| is_there(user::find_group(name).map(|group| group.is_some()));
    settings
        .check_programs(std::env::var_os("PATH").as_deref())
        .and_then(|()| settings.check_system(&user, &group))
        .map_err(Unfit::Missing)?;
    check_permission(settings, supervisor)?;
    // Of another one's rights the kernel tells nothing; it has those that every start needs.
    if supervisor == user::current() {
        check_limits(settings)?;
    }
    check_sockets(settings)
}

/// Users and groups that we may become.
fn check_permission(settings: &Settings, own: (u32, u32)) -> Result<(), Unfit> {
    let engine = identity::of_engine(&settings.engine, own)
        .map_err(|text| Unfit::refused(CONFIGURATION, text, "make it, or name another one"))?;
    if engine.is_some() && own.0 != 0 {
        let text = "the engine itself is to run as another user or group, which only root can start".to_owned();
        return Err(Unfit::refused(FORBIDDEN, text, "start it as root, or leave `user` and `group` of [engine] out"));
    }
    for service in &settings.services {
        let user = service.user.as_deref().and_then(|name| user::find(name).ok().flatten());
        let group = service.group.as_deref().and_then(|name| user::find_group(name).ok().flatten());
        let other = user.is_some_and(|user| user.uid != own.0) || group.is_some_and(|gid| gid != own.1);
        if other && own.0 != 0 {
            let text = format!("service `{}` runs as another user or group, which only root can start", service.name);
            return Err(Unfit::refused(FORBIDDEN, text, "start the engine as root, or leave `user` and `group` out"));
        }
    }
    Ok(())
}

/// Limits that the kernel would refuse at every start of a worker, for ever.
fn check_limits(settings: &Settings) -> Result<(), Unfit> {
    let (resources, nicer) = (user::has_capability(user::CAP_SYS_RESOURCE), user::has_capability(user::CAP_SYS_NICE));
    let nice_ceiling = 20 - i32::try_from(limits::hard(Resource::Nice).min(40)).unwrap_or(0);
    for service in &settings.services {
        let Limits { resources: asked, nice, oom_score_adj, .. } = &service.limits;
        let above = |(name, _, hard): &&(String, u64, u64)| {
            Resource::from_name(name).is_some_and(|resource| *hard > limits::hard(resource))
        };
        let why = if let Some((name, ..)) = asked.iter().find(above).filter(|_| !resources) {
            format!("the limit {name} is above the engine's own, which takes CAP_SYS_RESOURCE")
        } else if nice.is_some_and(|nice| nice < priority::own().min(nice_ceiling)) && !nicer {
            "nice is below the engine's own, which takes CAP_SYS_NICE".to_owned()
        } else if oom_score_adj.is_some_and(|score| score < least_oom_score_adj().min(0)) && !resources {
            "oom_score_adj is below the engine's own, which takes CAP_SYS_RESOURCE".to_owned()
        } else {
            continue;
        };
        let text = format!("service `{}`: {why}", service.name);
        return Err(Unfit::refused(FORBIDDEN, text, "start the engine as root, or ask for what it has itself"));
    }
    Ok(())
}

/// Below which nobody goes without the right to.
fn least_oom_score_adj() -> i32 {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj");
    own.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Notify sockets whose path the kernel would refuse at every start of a worker, for ever.
fn check_sockets(settings: &Settings) -> Result<(), Unfit> {
    let notified = |service: &&Service| service.ready == Ready::Notify || service.heartbeat_interval.is_some();
    for service in settings.services.iter().filter(notified) {
        let name = format!("{}.{MAX_WORKERS}.{}", service.name, u32::MAX);
        let path = settings.engine.directory.join("notify").join(name);
        let length = path.as_os_str().len();
        if length > PATH_LIMIT {
            let text = format!(
                "service `{}`: the path of a worker's notify socket, {}, may have {PATH_LIMIT} bytes; it has \
                 {length}",
                service.name,
                path.display()
            );
            return Err(Unfit::refused(
                CONFIGURATION,
                text,
                "set engine.directory (or --directory) to a shorter path, like /run/evercrew",
            ));
        }
    }
    Ok(())
}
