//! Waiting for an engine that does not run: not in silence, and not for one that cannot come.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::say;
use crate::up;

/// How long nobody is there before that means something: an engine that is killed and started again needs a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Appearing<'a> {
    global: &'a Global,
    seen: bool,
    /// Since when nobody is there.
    nobody_since: Option<Instant>,
    told: bool,
}

impl<'a> Appearing<'a> {
    pub(crate) fn new(global: &'a Global) -> Self {
        Self { global, seen: false, nobody_since: None, told: false }
    }

    /// One more look found no engine that answers.
    ///
    /// # Errors
    /// When one was there and ended; when the configuration is one that none can start from.
    pub(crate) fn look(&mut self, runs: bool, directory: &Path) -> Result<(), Failure> {
        if runs {
            (self.seen, self.nobody_since) = (true, None);
            return Ok(());
        }
        let since = *self.nobody_since.get_or_insert_with(Instant::now);
        if self.told || since.elapsed() < MOMENT {
            return Ok(());
        }
        if self.seen {
            let text = format!("the engine in {} ended before it was ready", directory.display());
            return Err(Failure::new(code::FAILURE, text).hint("what `evercrew up` printed says why"));
        }
        self.told = true;
        // With the directory given, an engine may come from any file.
        let by_file = self.global.directory.is_none() && std::env::var_os("EVERCREW_DIRECTORY").is_none();
        if by_file {
            up::read_configuration(self.global)?;
        }
        say(format_args!("evercrew: no engine runs in {} yet; waiting for one", directory.display()));
        Ok(())
    }
}
