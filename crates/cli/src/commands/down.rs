//! `down`: the end of the engine.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use evercrew_core::Signal;
use evercrew_sys::{peer, process};
use serde_json::Map;

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::output::say;

/// Stop everything; returns when the engine is gone
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Without grace
    #[arg(long)]
    now: bool,
}

impl Down {
    /// Returns when the supervisor is gone. It is the process that listens on the socket, which the kernel names in this
    /// pid namespace whatever the engine itself takes its number to be, and it is held before it is told to go.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let engine = Engine::of(global);
        let args = change::with_flag(Map::new(), "now", self.now);
        let question = Question::look("shutdown", args, global.timeout);
        let (told, listening) = mpsc::channel();
        // Nobody hears of a connection that comes after the answer.
        let asked =
            engine.ask_over(&question, move |connection| drop(told.send(peer::process(connection).ok().flatten())));
        let mut supervisor = listening.try_iter().last().flatten();
        match asked {
            Err(failure) if failure.code == code::FORBIDDEN => return Err(failure),
            Err(_) if !engine.runs()? => {
                say("no engine runs");
                return Ok(0);
            }
            Err(failure) => supervisor = Some(self.signal_supervisor(&engine, failure)?),
            Ok(_) => {}
        }
        let patience = global.timeout.unwrap_or(Duration::from_secs(u64::from(u32::MAX)));
        let gone = match supervisor {
            Some(pidfd) => process::wait_exit(pidfd.as_fd(), patience)
                .map_err(|error| Failure::new(code::FAILURE, format!("cannot wait for the engine: {error}")))?,
            None => engine.ends_within(patience)?,
        };
        if gone {
            return Ok(0);
        }
        Err(Failure::new(code::TIMEOUT, "the engine is still stopping").hint("`evercrew down --now` kills"))
    }

    /// Nobody answers: the supervisor stops everything by a signal too, without a manager if it must.
    fn signal_supervisor(&self, engine: &Engine, unanswered: Failure) -> Result<OwnedFd, Failure> {
        let signal = if self.now { Signal::Quit } else { Signal::Term };
        // The process that has the very lock open, so never another one.
        let Some((pid, pidfd)) = engine.supervisor() else {
            return Err(unanswered.hint("its supervisor cannot be told for certain; `ps` shows it, SIGTERM stops it"));
        };
        say(format_args!("evercrew: {}; sending {signal} to its supervisor, process {pid}", unanswered.message));
        process::signal(pidfd.as_fd(), signal).map_err(|error| {
            let text = format!("cannot signal process {pid}, the engine's supervisor: {error}");
            Failure::new(code::FAILURE, text)
                .hint(format!("run it as the engine's user or as root; `kill -KILL {pid}` ends all"))
        })?;
        Ok(pidfd)
    }
}
