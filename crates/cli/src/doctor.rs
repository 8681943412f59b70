//! What `doctor` looks at. Nothing is changed by looking.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use evercrew_config::Source;
use evercrew_manager::{Unfit, vet};
use evercrew_sys::listener::PATH_LIMIT;
use evercrew_sys::{cgroup, limits, user};
use serde_json::Map;

use crate::arguments::Global;
use crate::client::{Engine, Question};

/// The oldest Linux that this is made for.
const OLDEST: (u32, u32) = (5, 14);
/// Fewer open files than this are soon too few: each worker takes about eight.
const FEW_FILES: u64 = 4096;
const PATIENCE: Duration = Duration::from_secs(2);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) grade: Grade,
    pub(crate) found: String,
    pub(crate) todo: Option<String>,
}

fn ok(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, grade: Grade::Ok, found: found.into(), todo: None }
}

fn wrong(check: &'static str, grade: Grade, found: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { check, grade, found: found.into(), todo: Some(todo.into()) }
}

/// All checks.
pub(crate) fn examine(global: &Global) -> Vec<Finding> {
    let engine = Engine::of(global);
    let (version, socket) = socket(&engine);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        version,
        kernel(release.trim()),
        cgroups(),
        files(limits::nofile()),
        configuration(global),
        directory(engine.directory()),
        socket,
        stale(&engine),
    ]
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST {
        return ok("kernel", format!("Linux {release}"));
    }
    wrong("kernel", Grade::Fail, format!("Linux {release}"), format!("use Linux {}.{} or later", OLDEST.0, OLDEST.1))
}

fn cgroups() -> Finding {
    let todo = "without one, a process that leaves its worker's group is found by its environment alone; run as root, or \
                with a delegated cgroup (Delegate=yes in a systemd unit)";
    match cgroup::own() {
        Ok(path) if user::may_write(&path) => ok("cgroup2", format!("{} is ours to use", path.display())),
        Ok(path) => wrong("cgroup2", Grade::Warn, format!("{} cannot be written", path.display()), todo),
        Err(error) => wrong("cgroup2", Grade::Warn, format!("there is none: {error}"), todo),
    }
}

fn files((soft, hard): (u64, u64)) -> Finding {
    let text = |limit: u64| if limit == limits::INFINITY { "any number of".to_owned() } else { limit.to_string() };
    let found = format!("{} open files allowed, up to {}", text(soft), text(hard));
    if hard >= FEW_FILES {
        return ok("limits", found);
    }
    wrong("limits", Grade::Warn, found, format!("raise the hard limit to {FEW_FILES} (`ulimit -Hn`, LimitNOFILE=)"))
}

fn configuration(global: &Global) -> Finding {
    let read =
        Source::read(&global.config, global.set.clone(), evercrew_config::environment(), global.directory.clone());
    let file = global.config.display();
    let source = match read {
        Ok(source) => source,
        Err(error) => return wrong("config", Grade::Fail, error.to_string(), "write one: `evercrew init`"),
    };
    let settings = source.parse().map_err(Unfit::Missing);
    match settings.and_then(|settings| vet(&settings).map(|()| settings)) {
        Ok(settings) => ok("config", format!("{file}: services: {}", settings.services.len())),
        Err(Unfit::Refused { message, hint, .. }) => wrong("config", Grade::Fail, message, hint),
        Err(Unfit::Missing(errors)) => {
            let count = errors.problems().len();
            let noun = if count == 1 { "error" } else { "errors" };
            wrong("config", Grade::Fail, format!("{count} {noun} in {file}"), "see them with `evercrew check`")
        }
    }
}

fn directory(directory: &Path) -> Finding {
    let shown = directory.display();
    let length = directory.join("control.sock").as_os_str().as_bytes().len();
    if length > PATH_LIMIT {
        let found = format!("{shown} is too deep for a socket: {length} bytes of {PATH_LIMIT}");
        return wrong("directory", Grade::Fail, found, "set engine.directory to a shorter path, like /run/evercrew");
    }
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => {
            wrong("directory", Grade::Fail, format!("{shown} is no directory"), "remove it, or name another one")
        }
        Ok(_) if !user::may_write(directory) => {
            let todo = "run as its owner, or name another one with --directory";
            wrong("directory", Grade::Fail, format!("{shown} cannot be written"), todo)
        }
        Ok(found) if found.permissions().mode() & 0o066 != 0 => {
            let todo = format!("others may look in: `chmod 700 {shown}`; `up` does it too");
            wrong("directory", Grade::Warn, format!("{shown} is open to others"), todo)
        }
        Ok(_) => ok("directory", format!("{shown}")),
        Err(_) => {
            let parent = directory.ancestors().skip(1).find(|parent| parent.exists());
            if parent.is_some_and(user::may_write) {
                return ok("directory", format!("{shown} is not there yet; `up` makes it"));
            }
            let todo = "name one that you may write to with engine.directory or --directory";
            wrong("directory", Grade::Fail, format!("{shown} cannot be made"), todo)
        }
    }
}

/// Whether an engine answers, and whether it is of this version.
fn socket(engine: &Engine) -> (Finding, Finding) {
    let own = env!("CARGO_PKG_VERSION");
    let this = ok("version", format!("evercrew {own}"));
    match engine.runs() {
        Err(failure) => (this, wrong("socket", Grade::Fail, failure.message, failure.hint)),
        Ok(false) => (this, ok("socket", "no engine runs here")),
        Ok(true) => match engine.ask(&Question::look("version", Map::new(), Some(PATIENCE)), |_| {}) {
            Err(failure) => (this, wrong("socket", Grade::Fail, failure.message, "look at the engine's log")),
            Ok(reply) => {
                let theirs = reply.content["version"].as_str().unwrap_or_default().to_owned();
                let version = match theirs == own {
                    true => this,
                    false => wrong(
                        "version",
                        Grade::Warn,
                        format!("this is evercrew {own}, the engine that runs is {theirs}"),
                        "start the engine anew to change it",
                    ),
                };
                (version, ok("socket", "the engine answers"))
            }
        },
    }
}

fn stale(engine: &Engine) -> Finding {
    let left = engine.socket().exists();
    match engine.runs() {
        Ok(false) if left => wrong(
            "stale",
            Grade::Warn,
            format!("{} was left by an engine that was killed", engine.socket().display()),
            "nothing: the next `evercrew up` ends what is left and takes the files over",
        ),
        Ok(_) | Err(_) => ok("stale", "nothing was left behind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_too_old_fails() {
        for (release, grade) in [
            ("6.18.1-amd64", Grade::Ok),
            ("5.14.0", Grade::Ok),
            ("5.13.19", Grade::Fail),
            ("4.19", Grade::Fail),
            ("", Grade::Fail),
            ("10.0", Grade::Ok),
        ] {
            assert_eq!(kernel(release).grade, grade, "{release}");
        }
        assert_eq!(files((1024, 2048)).grade, Grade::Warn);
        assert_eq!(files((1024, limits::INFINITY)).grade, Grade::Ok);
    }

    #[test]
    fn whatever_is_wrong_says_what_to_do() {
        let deep = Path::new("/").join("d".repeat(120));
        for finding in [kernel("4.0"), files((1, 1)), directory(&deep), directory(Path::new("/proc/1/none"))] {
            assert!(finding.grade == Grade::Ok || finding.todo.is_some_and(|todo| !todo.is_empty()));
        }
        assert_eq!(directory(&deep).grade, Grade::Fail);
    }
}
