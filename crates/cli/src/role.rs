//! The same program in its other roles, told by EVERCREW_ROLE.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use evercrew_config::Host;
use evercrew_supervisor::Boot;
use evercrew_sys::lock::Lock;
use evercrew_sys::pid_file::PidFile;
use evercrew_sys::{exec, process, title};

use crate::failure::{Failure, code};
use crate::output;
use crate::program::Work;

/// `ROLE:PID:FD…`: valid for that pid alone, so that a grandchild that inherits it is nothing special.
const VARIABLE: &str = "EVERCREW_ROLE";
/// Where the program's own arguments stand in the place of what a role is told by arguments otherwise.
pub(crate) const TITLE: &str = "EVERCREW_ROLE_TITLE";
pub(crate) const DIRECTORY: &str = "EVERCREW_ROLE_DIRECTORY";
pub(crate) const PID_FILE: &str = "EVERCREW_ROLE_PID_FILE";

/// What was read before the program asked for it.
static TAKEN: Mutex<Option<Role>> = Mutex::new(None);

/// What this process is to be.
#[derive(Debug)]
pub(crate) struct Role {
    name: String,
    descriptors: Vec<i32>,
    title: Option<OsString>,
    directory: Option<PathBuf>,
    pid_path: Option<PathBuf>,
}

/// Is the supervisor until it ends, where this process was started to be that; returns otherwise. It has to be what a
/// program does first: the supervisor then has nothing of it in its memory, and no thread.
pub fn divert_supervisor() {
    let Some(role) = Role::take() else { return };
    if role.name == "supervisor" {
        std::process::exit(i32::from(role.run()));
    }
    *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(role);
}

impl Role {
    /// The role that this very process was started for; the variables are removed either way.
    pub(crate) fn take() -> Option<Self> {
        if let Some(role) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(role);
        }
        let role = std::env::var(VARIABLE).ok()?;
        let rest = [TITLE, DIRECTORY, PID_FILE].map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
        // Somebody else's thread may be reading them: then they stay, and are good for nobody else all the same.
        if process::has_one_thread() {
            [VARIABLE, TITLE, DIRECTORY, PID_FILE].into_iter().for_each(exec::remove_variable);
        }
        let mut parts = role.split(':');
        let name = parts.next()?.to_owned();
        if parts.next()?.parse() != Ok(std::process::id()) {
            return None;
        }
        let descriptors = parts.map(str::parse).collect::<Result<_, _>>().ok()?;
        let [title, directory, pid_path] = rest;
        Some(Self {
            name,
            descriptors,
            title,
            directory: directory.map(PathBuf::from),
            pid_path: pid_path.map(PathBuf::from),
        })
    }

    /// The name of the worker that it is to be.
    pub(crate) fn worker(&self) -> Option<&str> {
        self.name.strip_prefix("worker.")
    }

    /// Works until the work ends.
    pub(crate) fn work(self, work: Option<Work>) -> u8 {
        self.entitle();
        work.map_or(code::FAILURE, |work| work())
    }

    /// What `ps` shows; gives the arguments as they were, which are written over.
    fn entitle(&self) -> Vec<OsString> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let shown: Vec<&OsStr> = match &self.title {
            Some(title) => vec![title],
            None => arguments.iter().take(2).map(OsString::as_os_str).collect(),
        };
        title::set(&shown.join(OsStr::new(" ")).to_string_lossy());
        arguments
    }

    /// Is it until it ends; gives the exit code.
    pub(crate) fn run(self) -> u8 {
        let arguments = self.entitle();
        // Those of a program's own start go on to every other process of it.
        let own = self.title.is_some().then(|| arguments.clone());
        let outcome = match self.name.as_str() {
            "supervisor" => self.supervisor(&arguments, own),
            "manager" | "successor" => self.one().and_then(|channel| {
                let stderr = self.descriptors.get(1).map(|number| take(*number)).transpose()?;
                evercrew_manager::run(channel, stderr, own)
                    .map_err(|error| Failure::new(code::FAILURE, format!("manager: {error}")))
            }),
            "logger" => self.one().map(evercrew_logger::run),
            "queue" => Ok(evercrew_jobs::run()),
            other => Err(Failure::new(code::USAGE, format!("`{other}` is no role of this program"))
                .hint(format!("it has the workers {}", names()))),
        };
        outcome.unwrap_or_else(|failure| {
            output::say(&failure);
            failure.code
        })
    }

    fn supervisor(self, arguments: &[OsString], own: Option<Vec<OsString>>) -> Result<u8, Failure> {
        let (directory, pid_path) = match own {
            Some(_) => (self.directory, self.pid_path),
            None => (arguments.get(1).map(PathBuf::from), arguments.get(2).map(PathBuf::from)),
        };
        let mut descriptors = self.descriptors.iter().map(|number| take(*number));
        let mut next = || descriptors.next().unwrap_or_else(|| Err(missing()));
        let (configuration, lock) = (next()?, next()?);
        // Absent ones are written as 0.
        let mut optional = self.descriptors.iter().skip(2).map(|number| take(*number).ok());
        let (claim, pid_file) = (optional.next().flatten(), optional.next().flatten());
        let pid_file = pid_file.zip(pid_path).map(|(file, path)| PidFile::adopt(path, file));
        let binary = std::fs::File::open("/proc/self/exe")
            .map_err(|error| Failure::unavailable(format!("cannot open our own binary: {error}")))?;
        let directory = directory.unwrap_or_default();
        let boot = Boot {
            directory,
            lock: Lock::from(lock),
            claim,
            pid_file,
            configuration,
            binary: binary.into(),
            arguments: own,
        };
        evercrew_supervisor::run(boot).map_err(|error| Failure::unavailable(format!("supervisor: {error}")))
    }

    fn one(&self) -> Result<OwnedFd, Failure> {
        self.descriptors.first().map_or_else(|| Err(missing()), |number| take(*number))
    }
}

fn names() -> String {
    let host = Host::own();
    let names: Vec<&str> = host.builtins.iter().map(|builtin| builtin.name.as_str()).collect();
    names.join(", ")
}

fn take(number: i32) -> Result<OwnedFd, Failure> {
    exec::take_descriptor(number).ok_or_else(missing)
}

fn missing() -> Failure {
    Failure::new(code::USAGE, format!("{VARIABLE} is the engine's own variable: unset it"))
        .hint("start with `evercrew up`")
}

/// The role of this very process after an exec, with these descriptors.
pub(crate) fn variable(role: &str, descriptors: &[i32]) -> (OsString, OsString) {
    let numbers: String = descriptors.iter().map(|number| format!(":{number}")).collect();
    (VARIABLE.into(), format!("{role}:{}{numbers}", std::process::id()).into())
}
