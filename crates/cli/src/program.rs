//! A program that has the engine in it.

use std::fmt;

use clap::Parser;
use evercrew_config::{Again, Builtin, Host};

use crate::arguments::{Arguments, Global};
use crate::failure::Failure;
use crate::role::Role;
use crate::up::Place;
use crate::{output, up};

/// What a worker does; gives the exit code of its process.
pub type Work = Box<dyn FnOnce() -> u8>;

/// A program with the workers that are part of it.
#[derive(Default)]
pub struct Program {
    host: Host,
    work: Vec<Work>,
}

impl Program {
    /// One without any worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a worker that configurations call `builtin = "NAME"`. `listens` says that it is of no use without a
    /// listener.
    #[must_use]
    pub fn worker(mut self, name: &str, listens: bool, work: impl FnOnce() -> u8 + 'static) -> Self {
        self.host.builtins.push(Builtin { name: name.to_owned(), listens });
        self.work.push(Box::new(work));
        self
    }

    /// With a configuration, as TOML, that lies under the file. Its processes in other roles are started with the
    /// arguments that this one has.
    #[must_use]
    pub fn values(mut self, toml: String) -> Self {
        self.host.values = toml;
        self.host.keeps_arguments = true;
        self
    }

    /// With a function that gives that configuration anew for each reload. It is called in the manager, in a thread where
    /// it may block.
    #[must_use]
    pub fn values_again(mut self, again: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        self.host.again = Some(Again::new(again));
        self
    }

    /// Is what EVERCREW_ROLE says, or does what the command line asks; gives the exit code of this process.
    pub fn main(self) -> u8 {
        self.be(|| match Arguments::try_parse() {
            Ok(arguments) => arguments.command.run(&arguments.global),
            Err(error) => output::usage(&error),
        })
    }

    /// Is what EVERCREW_ROLE says, or starts everything as `up` does, whatever the command line is; gives the
    /// exit code of this process.
    pub fn up(self) -> u8 {
        self.be(|| up::up(&Global::usual(), false, Place::Foreground))
    }

    /// Whether the configuration that it brings along could be started, as far as can be told without a start.
    ///
    /// # Errors
    /// All that is wrong in it, as text.
    pub fn check(&self) -> Result<(), String> {
        self.host.check(&Global::usual().config)
    }

    fn be(self, otherwise: impl FnOnce() -> Result<u8, Failure>) -> u8 {
        let Self { host, work } = self;
        let role = Role::take();
        let worker = role.as_ref().and_then(|role| {
            let name = role.worker()?;
            host.builtins.iter().position(|builtin| builtin.name == name)
        });
        host.register();
        match (role, worker) {
            (Some(role), Some(index)) => role.work(work.into_iter().nth(index)),
            (Some(role), None) => role.run(),
            (None, _) => otherwise().unwrap_or_else(|failure| {
                output::say(&failure);
                failure.code
            }),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("host", &self.host).finish_non_exhaustive()
    }
}
