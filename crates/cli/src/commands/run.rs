//! `run`: a command of the operator's in a service's surroundings.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use evercrew_sys::limits::{Limit, Resource};
use evercrew_sys::spawn::{Credentials, FindError, Plan, Program, enter, find_program};
use evercrew_wire::control::Surroundings;

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::up;

/// As a shell tells it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// What a program on the caller's terminal has to know of it.
const TERMINAL: [&str; 2] = ["TERM", "COLORTERM"];

/// Run a command once in a service's environment, directory, user and limits: a migration, a console
///
/// It takes this process's place: terminal, signals and exit code are its own. It is no worker: it gets no sockets, nobody
/// restarts it, and it goes on when the engine ends. The running engine says what the surroundings are; where none runs,
/// the configuration file does, with the environment of this shell.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The service
    name: String,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    /// Does not return when it succeeds.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let surroundings = self.surroundings(global)?;
        let mut environment: Vec<(OsString, OsString)> = surroundings.environment.iter().map(|e| pair(&e.0)).collect();
        for name in TERMINAL {
            environment.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        let default = OsString::from("/usr/local/bin:/usr/bin:/bin");
        let path = environment.iter().find(|(name, _)| name == "PATH").map_or(&default, |(_, path)| path);
        let directory = surroundings.directory.to_path();
        let name = &self.command[0];
        let program = find_program(name, path, &directory).map_err(|error| not_found(name, &error))?;
        enter(&plan(&surroundings)?).map_err(|error| {
            Failure::new(code::FORBIDDEN, format!("cannot take on what `{}` runs in: {error}", surroundings.service))
                .hint("run it as root, or as the service's user")
        })?;
        let error = Command::new(&program).arg0(name).args(&self.command[1..]).env_clear().envs(environment).exec();
        Err(Failure::new(NOT_EXECUTABLE, format!("cannot execute {}: {error}", program.display())))
    }

    fn surroundings(&self, global: &Global) -> Result<Surroundings, Failure> {
        let engine = Engine::of(global);
        let question = Question::look("surroundings", change::names(std::slice::from_ref(&self.name)), global.timeout);
        match engine.ask(&question, |_| {}) {
            Err(failure) if failure.code == code::UNAVAILABLE && !engine.runs()? => self.configured(global),
            reply => serde_json::from_value(reply?.content).map_err(|error| {
                Failure::new(code::FAILURE, format!("cannot understand the engine: {error}"))
                    .hint("is it of another version? `evercrew status` shows it")
            }),
        }
    }

    fn configured(&self, global: &Global) -> Result<Surroundings, Failure> {
        let (_, settings) = up::read_configuration(global)?;
        evercrew_manager::surroundings(&settings, &self.name).map_err(|error| match error {
            Some(error) => Failure::new(code::CONFIGURATION, error),
            None => {
                let known: Vec<&str> = settings.services.iter().map(|service| service.name.as_str()).collect();
                Failure::new(code::UNKNOWN, format!("there is no service `{}`", self.name))
                    .hint(format!("the file has {}", known.join(", ")))
            }
        })
    }
}

fn not_found(name: &OsStr, error: &FindError) -> Failure {
    let code = if matches!(error, FindError::NotExecutable { .. }) { NOT_EXECUTABLE } else { NOT_FOUND };
    let failure = Failure::new(code, error.to_string());
    if name.as_bytes().contains(&b'/') { failure } else { failure.hint("it is looked for on the service's PATH") }
}

fn pair(entry: &[u8]) -> (OsString, OsString) {
    let at = entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len());
    let (name, value) = entry.split_at(at);
    (OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value.get(1..).unwrap_or_default()).to_owned())
}

fn plan(surroundings: &Surroundings) -> Result<Plan, Failure> {
    let limit = |(name, soft, hard): &(String, u64, u64)| {
        let resource = Resource::from_name(name);
        resource.map(|resource| Limit { resource, soft: *soft, hard: *hard })
    };
    let wrong = |error: std::ffi::NulError| Failure::new(code::FAILURE, format!("cannot use the directory: {error}"));
    let directory = CString::new(surroundings.directory.to_os_string().into_vec()).map_err(wrong)?;
    Ok(Plan {
        directory: Some(directory),
        credentials: surroundings.credentials.as_ref().map(|credentials| Credentials {
            uid: credentials.uid,
            gid: credentials.gid,
            groups: credentials.groups.clone(),
        }),
        umask: surroundings.umask,
        limits: surroundings.limits.iter().filter_map(limit).collect(),
        nice: surroundings.nice,
        oom_score_adj: surroundings.oom_score_adj,
        // The program is executed afterwards, by name.
        ..Plan::new(Program::Path(CString::default()), Vec::new())
    })
}
