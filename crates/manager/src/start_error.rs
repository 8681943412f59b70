//! Why a worker could not be started, with the name of what could not be used.

use std::io;

use evercrew_config::{Program, Service};
use evercrew_sys::spawn::Step;

/// `exec /srv/app/run as app:www in /srv/app: Permission denied (os error 13)`.
pub(crate) fn explain(step: &str, errno: i32, service: Option<&Service>) -> String {
    let reason = io::Error::from_raw_os_error(errno);
    let Some(service) = service else { return format!("{step}: {reason}") };
    let user = match (&service.user, &service.group) {
        (Some(user), Some(group)) => format!(" as {user}:{group}"),
        (Some(user), None) => format!(" as {user}"),
        (None, Some(group)) => format!(" as group {group}"),
        (None, None) => String::new(),
    };
    let directory = service.directory.display();
    let what = match Step::from_name(step) {
        Some(Step::Directory) => format!("cannot enter the directory {directory}{user}"),
        Some(Step::Exec) => match &service.program {
            Program::Command(command) => {
                let program = command.first().map(String::as_str).unwrap_or_default();
                format!("cannot execute {program}{user} in {directory}")
            }
            Program::Builtin(_) | Program::Queue => format!("cannot execute the engine's own binary{user}"),
        },
        Some(Step::Groups | Step::Gid | Step::Uid) => format!("cannot run{user} ({step})"),
        Some(Step::Limits) => {
            let names: Vec<&str> = service.limits.resources.iter().map(|(name, ..)| name.as_str()).collect();
            let names = names.join(", ");
            format!("cannot set the limits {names}{user} (one above the engine's own takes CAP_SYS_RESOURCE)")
        }
        Some(_) | None => format!("{step}{user}"),
    };
    format!("{what}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use evercrew_config::Source;

    #[test]
    fn the_path_and_the_user_are_named() {
        let text = "[service.web]\ncommand = [\"/srv/run\"]\ndirectory = \"/srv\"\nuser = \"app\"\n\
                    limits = { nproc = \"unlimited\", core = 0 }\n";
        let source = Source::new("/x/evercrew.toml".into(), text.into(), Vec::new(), std::iter::empty(), None);
        let settings = source.parse().expect("a configuration");
        let service = settings.services.first();
        for (step, told) in [
            ("exec", "cannot execute /srv/run as app in /srv: Permission denied"),
            ("chdir", "cannot enter the directory /srv as app: Permission denied"),
            ("uid", "cannot run as app (uid): Permission denied"),
            ("limits", "cannot set the limits nproc, core as app (one above the engine's own takes CAP_SYS_RESOURCE)"),
            ("fork", "fork as app: Permission denied"),
        ] {
            let text = explain(step, 13, service);
            assert!(text.starts_with(told), "{text}");
        }
        assert!(explain("exec", 2, None).starts_with("exec: No such file"));
    }
}
