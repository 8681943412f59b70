//! Starting children.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use evercrew_core::Signal;
use evercrew_core::fleet::{Generation, Slot, WorkerId};
use evercrew_sys::spawn::{FindError, Group, Plan, Program, SpawnError, find_program, spawn};
use evercrew_sys::{descriptor, pipe};

use crate::config::{Channel, Config};
use crate::process::{Parts, Process};

/// How many bytes a pipe to or from a child holds, where that is permitted.
const PIPE: usize = 256 << 10;

/// What was told to this process alone.
const NOT_INHERITED: [&str; 8] = [
    "EVERCREW_COMMAND_FD",
    "EVERCREW_ROLE",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What every child is started with.
#[derive(Debug)]
pub(crate) struct Launch {
    name: String,
    command: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    channel: Channel,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum Failure {
    Find(FindError),
    Spawn(SpawnError),
    Io(io::Error),
    Zero,
}

impl Failure {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Spawn(error) => error.is_transient(),
            Self::Io(_) => true,
            Self::Find(_) | Self::Zero => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Find(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "no pipes for it: {error}"),
            Self::Zero => f.write_str("a zero byte in its command or environment"),
        }
    }
}

impl Launch {
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        NOT_INHERITED.iter().for_each(|name| drop(environment.remove(OsStr::new(name))));
        for (name, value) in &config.env {
            match value {
                Some(value) => _ = environment.insert(name.clone(), value.clone()),
                None => _ = environment.remove(name),
            }
        }
        let here = std::env::current_dir()?;
        let directory = config.directory.as_ref().map_or(here.clone(), |directory| here.join(directory));
        Ok(Self {
            name: config.name.clone(),
            command: config.command.clone(),
            environment,
            directory,
            channel: config.channel,
        })
    }

    /// The name of the program, for people.
    pub(crate) fn program(&self) -> String {
        self.command.first().map_or_else(String::new, |program| program.to_string_lossy().into_owned())
    }

    /// Starts a child.
    pub(crate) fn start(&self, id: WorkerId, slot: Slot, generation: Generation) -> Result<Process, Failure> {
        let name: Arc<str> = format!("{}.{}", self.name, slot.0).into();
        let path = self.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let program = self.command.first().map(OsString::as_os_str).unwrap_or_default();
        let program = find_program(program, &path, &self.directory).map_err(Failure::Find)?;
        let text = |text: OsString| CString::new(text.into_vec()).map_err(|_| Failure::Zero);
        let arguments: Result<Vec<CString>, Failure> = self.command.iter().cloned().map(text).collect();
        let mut plan = Plan::new(Program::Path(text(program.into_os_string())?), arguments?);
        plan.environment = self.environment_of(&name, slot, generation)?;
        plan.directory = Some(text(self.directory.clone().into_os_string())?);
        plan.group = Group::Own;
        plan.parent_death = Some(Signal::Kill);
        let io = Failure::Io;
        let (their_input, input) = pipe::pair().map_err(io)?;
        let (answers, their_answers) = pipe::pair().map_err(io)?;
        let (errors, their_errors) = pipe::pair().map_err(io)?;
        let mut prints = None;
        let mut theirs: Vec<(OwnedFd, i32)> = vec![(their_errors, 2)];
        match self.channel {
            Channel::Stdio => theirs.extend([(their_input, 0), (their_answers, 1)]),
            Channel::Descriptors => {
                let (read, write) = pipe::pair().map_err(io)?;
                let nothing = OpenOptions::new().read(true).open("/dev/null").map_err(io)?;
                theirs.extend([(nothing.into(), 0), (write, 1), (their_input, 3), (their_answers, 4)]);
                prints = Some(read);
            }
        }
        for ours in [Some(&input), Some(&answers), Some(&errors), prints.as_ref()].into_iter().flatten() {
            descriptor::set_nonblocking(ours, true).map_err(io)?;
            pipe::enlarge(ours, PIPE);
        }
        plan.descriptors = theirs;
        let child = spawn(&plan).map_err(Failure::Spawn)?;
        let (slot, generation) = (slot.0, generation.0);
        Ok(Process::new(Parts { id, name, slot, generation, child, input, answers, errors, prints }))
    }

    fn environment_of(&self, name: &str, slot: Slot, generation: Generation) -> Result<Vec<CString>, Failure> {
        let mut environment = self.environment.clone();
        let channel = match self.channel {
            Channel::Stdio => "stdio",
            Channel::Descriptors => "3,4",
        };
        let own = [
            ("EVERCREW_WORKER", name.to_owned()),
            ("EVERCREW_SERVICE", self.name.clone()),
            ("EVERCREW_SLOT", slot.0.to_string()),
            ("EVERCREW_GENERATION", generation.0.to_string()),
            ("EVERCREW_CHANNEL", channel.to_owned()),
        ];
        environment.extend(own.map(|(name, value)| (name.into(), value.into())));
        let entry = |(name, value): (OsString, OsString)| {
            let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
            CString::new(text).map_err(|_| Failure::Zero)
        };
        environment.into_iter().map(entry).collect()
    }
}
