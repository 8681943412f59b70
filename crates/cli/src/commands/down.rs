//! `down`: the end of the engine.

use std::os::fd::AsFd;
use std::time::Duration;

use clap::Args;
use evercrew_sys::process;
use serde_json::Map;

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Lost, Question};
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
    /// Returns when the supervisor is gone. Its pid comes from itself, and is held as a pidfd before it can go.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let engine = Engine::of(global);
        let args = change::with_flag(Map::new(), "now", self.now);
        let question = Question {
            verb: "shutdown",
            args,
            timeout: global.timeout,
            prompt: true,
            lost: Lost::AskAgain,
            appearing: false,
        };
        let reply = match engine.ask(&question, |_| {}) {
            Err(failure) if failure.code == code::FORBIDDEN => return Err(failure),
            Err(_) if !engine.runs()? => {
                say("no engine runs");
                return Ok(0);
            }
            reply => reply?,
        };
        let pid = reply.content["supervisor"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let Some(Ok(pidfd)) = pid.map(process::open) else { return Ok(0) };
        if !engine.runs()? {
            return Ok(0);
        }
        let patience = global.timeout.unwrap_or(Duration::from_secs(u64::from(u32::MAX)));
        match process::wait_exit(pidfd.as_fd(), patience) {
            Ok(true) => Ok(0),
            Ok(false) => {
                Err(Failure::new(code::TIMEOUT, "the engine is still stopping").hint("`evercrew down --now` kills"))
            }
            Err(error) => Err(Failure::new(code::FAILURE, format!("cannot wait for the engine: {error}"))),
        }
    }
}
