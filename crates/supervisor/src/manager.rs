//! The manager's process, its channel and what it owes.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_sys::channel::Channel;
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::process;
use evercrew_sys::spawn::{self, ExecOutcome, Group, Outcome, Plan, Program, SpawnError};
use evercrew_sys::{channel, descriptor};

use crate::identity;
use crate::outgoing::{Beside, Flushed, Outgoing};

/// Where a role process finds its descriptor.
const ROLE_DESCRIPTOR: i32 = 3;
/// Where one on trial finds our standard error.
const ERROR_DESCRIPTOR: i32 = 4;

/// A manager that runs.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
    pub(crate) channel: Channel,
    pub(crate) outgoing: Outgoing,
    pub(crate) exec: Option<ExecOutcome>,
}

impl Manager {
    /// Starts one from the opened binary. It gets a process group of its own, so that a terminal's signals reach the
    /// supervisor alone, and no parent-death signal: it ends the workers when the supervisor dies.
    ///
    /// One whose `words` are read starts on trial: what it writes goes there, and it gets our standard error for
    /// the time after it.
    ///
    /// # Errors
    /// When the channel or the process cannot be made.
    pub(crate) fn start(
        binary: &OwnedFd,
        title: &str,
        arguments: Option<&[OsString]>,
        words: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let (ours, theirs) = channel::pair()?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        let program = Program::Descriptor(descriptor::duplicate(binary)?);
        let (credentials, umask) = identity::of_manager();
        let mut environment = inherited_environment();
        let arguments = match arguments {
            None => vec![CString::new(title).unwrap_or_default()],
            Some(arguments) => {
                environment.push(CString::new(format!("EVERCREW_ROLE_TITLE={title}")).unwrap_or_default());
                let text = |argument: &OsString| CString::new(argument.as_bytes()).unwrap_or_default();
                arguments.iter().map(text).collect()
            }
        };
        let mut descriptors = vec![(OwnedFd::from(null), 0), (OwnedFd::from(theirs), ROLE_DESCRIPTOR)];
        let mut role = format!("EVERCREW_ROLE=manager:{{pid}}:{ROLE_DESCRIPTOR}");
        if let Some(words) = words {
            let again = descriptor::duplicate(&words)?;
            descriptors.extend([(words, 1), (again, 2), (descriptor::duplicate(io::stderr())?, ERROR_DESCRIPTOR)]);
            role = format!("EVERCREW_ROLE=successor:{{pid}}:{ROLE_DESCRIPTOR}:{ERROR_DESCRIPTOR}");
        }
        let plan = Plan {
            environment,
            pid_variables: vec![role],
            descriptors,
            group: Group::Own,
            credentials,
            umask,
            ..Plan::new(program, arguments)
        };
        let child = spawn::spawn(&plan).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            pid: child.pid,
            pidfd: child.pidfd,
            channel: ours,
            outgoing: Outgoing::default(),
            exec: Some(child.outcome),
        })
    }

    /// Has the loop hear of its channel and of its exec, by these tokens.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn watch(&self, epoll: &Epoll, channel: u64, exec: u64) -> io::Result<()> {
        epoll.add(self.channel.as_fd(), channel, Interest::READABLE)?;
        self.exec.as_ref().map_or(Ok(()), |outcome| epoll.add(outcome.as_fd(), exec, Interest::READABLE))
    }

    /// Its exec may be over; why there is no program, where it failed.
    pub(crate) fn executed(&mut self, epoll: &Epoll) -> Option<SpawnError> {
        let outcome = self.exec.as_ref()?.poll();
        if outcome == Outcome::Pending {
            return None;
        }
        if let Some(exec) = self.exec.take() {
            let _ = epoll.remove(exec.as_fd());
        }
        match outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Pending | Outcome::Executed => None,
        }
    }

    /// Sends what its channel takes, of which `find` looks descriptors up. One with a broken channel is gone or not ours
    /// any more: it is killed, and its death is reaped like any other.
    pub(crate) fn flush<'a>(
        &mut self,
        epoll: &Epoll,
        token: u64,
        find: impl FnMut(&Beside) -> Vec<BorrowedFd<'a>>,
    ) -> Option<Flushed> {
        let flushed = self.outgoing.flush(&self.channel, find).ok();
        let interest = if flushed == Some(Flushed::Full) { Interest::BOTH } else { Interest::READABLE };
        let watched = epoll.modify(self.channel.as_fd(), token, interest);
        if flushed.is_none() || watched.is_err() {
            self.kill();
        }
        flushed
    }

    /// Waits for its end, which it has announced, makes sure of it, and reaps it.
    pub(crate) fn end(&self) {
        for _ in 0..2 {
            if process::wait_exit(self.pidfd.as_fd(), LAST_WAIT).unwrap_or(false) {
                break;
            }
            self.kill();
        }
        let _ = process::reap(self.pid);
    }

    /// Ends it, stopped or not.
    pub(crate) fn kill(&self) {
        // It has ended already when this fails, and the wait says so.
        let _ = process::signal(self.pidfd.as_fd(), Signal::Kill);
    }
}

/// How long a manager that has said all it had to may take to end, and a killed one to be gone.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Ours, less what is meant for this process alone.
fn inherited_environment() -> Vec<CString> {
    std::env::vars_os()
        .filter(|(name, _)| {
            let is_ours = ["NOTIFY_SOCKET", identity::VARIABLE].iter().any(|ours| name == ours);
            !is_ours && !name.as_bytes().starts_with(b"EVERCREW_ROLE")
        })
        .filter_map(|(name, value)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            CString::new(entry).ok()
        })
        .collect()
}
