//! Whether a configuration that is written well can also be run here: what `up`, `check` and a reload ask alike.

use std::io;

use evercrew_config::{ConfigErrors, Ready, Service, Settings};
use evercrew_core::fleet::MAX_WORKERS;
use evercrew_sys::listener::PATH_LIMIT;
use evercrew_sys::user;

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
    let is_there = |found: io::Result<bool>| found.unwrap_or(false);
    let user = |name: &str| is_there(user::find(name).map(|user| user.is_some()));
    let group = |name: &str| is_there(user::find_group(name).map(|group| group.is_some()));
    settings
        .check_programs(std::env::var_os("PATH").as_deref())
        .and_then(|()| settings.check_system(&user, &group))
        .map_err(Unfit::Missing)?;
    check_permission(settings)?;
    check_sockets(settings)
}

/// Users and groups that we may become.
fn check_permission(settings: &Settings) -> Result<(), Unfit> {
    let own = user::current();
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
