//! The same binary in its other roles, told by EVERCREW_ROLE.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use evercrew_supervisor::Boot;
use evercrew_sys::lock::Lock;
use evercrew_sys::pid_file::PidFile;
use evercrew_sys::{exec, title};

use crate::failure::{Failure, code};
use crate::output;

/// `ROLE:PID:FD…`: valid for that pid alone, so that a grandchild that inherits it is nothing special.
const VARIABLE: &str = "EVERCREW_ROLE";

/// What this process is to be.
#[derive(Debug)]
pub(crate) struct Role {
    name: String,
    descriptors: Vec<i32>,
}

impl Role {
    /// The role that this very process was started for; the variable is removed either way.
    pub(crate) fn take() -> Option<Self> {
        let role = std::env::var(VARIABLE).ok()?;
        exec::remove_variable(VARIABLE);
        let mut parts = role.split(':');
        let name = parts.next()?.to_owned();
        if parts.next()?.parse() != Ok(std::process::id()) {
            return None;
        }
        let descriptors = parts.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { name, descriptors })
    }

    /// Is it until it ends.
    pub(crate) fn run(self) -> ExitCode {
        // Read before the title is written over them.
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let shown: Vec<&OsStr> = arguments.iter().take(2).map(OsString::as_os_str).collect();
        title::set(&shown.join(OsStr::new(" ")).to_string_lossy());
        let outcome = match self.name.as_str() {
            "supervisor" => self.supervisor(
                arguments.get(1).map(PathBuf::from).unwrap_or_default(),
                arguments.get(2).map(PathBuf::from),
            ),
            "manager" => self.one().and_then(|channel| {
                evercrew_manager::run(channel).map_err(|error| Failure::new(code::FAILURE, format!("manager: {error}")))
            }),
            "logger" => self.one().map(evercrew_logger::run),
            "queue" => return ExitCode::from(evercrew_jobs::run()),
            "hello" => return evercrew_worker::hello(),
            other => Err(Failure::new(code::USAGE, format!("`{other}` is no role of this binary"))),
        };
        match outcome {
            Ok(code) => ExitCode::from(code),
            Err(failure) => {
                output::say(&failure);
                ExitCode::from(failure.code)
            }
        }
    }

    fn supervisor(self, directory: PathBuf, pid_path: Option<PathBuf>) -> Result<u8, Failure> {
        let mut descriptors = self.descriptors.iter().map(|number| take(*number));
        let mut next = || descriptors.next().unwrap_or_else(|| Err(missing()));
        let (configuration, lock) = (next()?, next()?);
        // Absent ones are written as 0.
        let mut optional = self.descriptors.iter().skip(2).map(|number| take(*number).ok());
        let (claim, pid_file) = (optional.next().flatten(), optional.next().flatten());
        let pid_file = pid_file.zip(pid_path).map(|(file, path)| PidFile::adopt(path, file));
        let binary = std::fs::File::open("/proc/self/exe")
            .map_err(|error| Failure::unavailable(format!("cannot open our own binary: {error}")))?;
        let boot = Boot { directory, lock: Lock::from(lock), claim, pid_file, configuration, binary: binary.into() };
        evercrew_supervisor::run(boot).map_err(|error| Failure::unavailable(format!("supervisor: {error}")))
    }

    fn one(&self) -> Result<OwnedFd, Failure> {
        self.descriptors.first().map_or_else(|| Err(missing()), |number| take(*number))
    }
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
