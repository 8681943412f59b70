//! The steps of a reload: read, bind, try, commit. One at a time; others wait in line.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use evercrew_config::{Program, Settings, Source};
use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, ServiceId, ServiceState, ServiceView, WorkerState};
use evercrew_sys::user;
use evercrew_wire::deposit::State;

use crate::boot::Found;
use crate::edition::Edition;
use crate::plan::{Fate, Plan};
use crate::vet::{Unfit, vet_for};

/// Reloads that may wait for the one that runs.
const MAX_QUEUE: usize = 16;
/// How long the files may take to be read: one may lie on a file system that does not answer.
pub(crate) const READING: Duration = Duration::from_secs(10);
/// Readings that may hang before no further one is begun.
const MAX_READERS: usize = 4;
/// How long the supervisor may take to open listeners.
pub(crate) const BINDING: Duration = Duration::from_secs(10);

/// Who asks for a reload, and for what beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A command, which waits for an answer.
    Command {
        /// Nothing is to change.
        dry_run: bool,
    },
    /// A signal: nobody waits.
    Signal {
        /// Every worker is replaced afterwards, changed or not.
        deploy: bool,
    },
}

/// Who wants what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) number: u64,
    pub(crate) by: By,
}

impl Asked {
    /// Whether nothing is to change.
    pub(crate) fn is_dry(self) -> bool {
        matches!(self.by, By::Command { dry_run: true })
    }

    /// Whether every worker is to be replaced.
    pub(crate) fn deploys(self) -> bool {
        matches!(self.by, By::Signal { deploy: true })
    }
}

/// A configuration on its way into force.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) revision: u64,
    pub(crate) edition: Arc<Edition>,
    pub(crate) plan: Plan,
    pub(crate) remarks: Vec<String>,
}

/// How far the reload that runs is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Another thread reads and checks the files.
    Reading,
    /// These listeners are being opened.
    Binding(Candidate, BTreeSet<String>),
    /// The first new worker of each of these services has yet to become ready.
    Proving(Candidate, Vec<ServiceId>),
}

/// The reload that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) asked: Asked,
    pub(crate) stage: Stage,
    /// It is given up then.
    pub(crate) until: Mono,
}

/// The reload that runs, and those that wait.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) running: Option<Running>,
    queue: VecDeque<Asked>,
    asked: u64,
    readers: usize,
    tried: u64,
}

/// What was read, or why nothing was: the text for whoever asked.
#[derive(Debug)]
pub(crate) struct Reread {
    pub(crate) number: u64,
    pub(crate) outcome: Result<(Source, Settings), String>,
}

/// The highest revision that was ever used.
pub(crate) fn tried(found: &Found, state: Option<&State>) -> u64 {
    let labels = found.workers.iter().map(|(worker, _)| worker.label.epoch);
    labels.chain(state.map(|state| state.tried)).max().unwrap_or(1)
}

impl Reloads {
    pub(crate) fn restore(tried: u64) -> Self {
        Self { tried: tried.max(1), ..Self::default() }
    }

    pub(crate) fn tried(&self) -> u64 {
        self.tried
    }

    /// The number of the one that runs, where it may change something.
    pub(crate) fn changing(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.asked).filter(|asked| !asked.is_dry()).map(|asked| asked.number)
    }

    /// One runs, or waits to.
    pub(crate) fn is_busy(&self) -> bool {
        self.running.is_some() || !self.queue.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.running.as_ref().map(|running| running.until)
    }

    /// Puts a reload in line; its number. A signal joins one that waits already: that will read what the sender means.
    pub(crate) fn ask(&mut self, by: By) -> Option<u64> {
        if let By::Signal { deploy: more } = by {
            for waits in &mut self.queue {
                if let By::Signal { deploy } = &mut waits.by {
                    *deploy |= more;
                    return Some(waits.number);
                }
            }
        }
        if self.queue.len() >= MAX_QUEUE {
            return None;
        }
        self.asked += 1;
        self.queue.push_back(Asked { number: self.asked, by });
        Some(self.asked)
    }

    /// The next one, when none runs.
    pub(crate) fn next(&mut self) -> Option<Asked> {
        if self.running.is_some() { None } else { self.queue.pop_front() }
    }

    /// Begins to read; false when too many readings hang.
    pub(crate) fn begin(&mut self, asked: Asked, now: Mono) -> bool {
        if self.readers >= MAX_READERS {
            return false;
        }
        self.readers += 1;
        self.running = Some(Running { asked, stage: Stage::Reading, until: now.after(READING) });
        true
    }

    /// A reading ended. Gives who asked for it, unless it was given up.
    pub(crate) fn has_read(&mut self, number: u64) -> Option<Asked> {
        self.readers = self.readers.saturating_sub(1);
        let running =
            self.running.take_if(|running| running.asked.number == number && matches!(running.stage, Stage::Reading));
        running.map(|running| running.asked)
    }

    /// A revision that no configuration ever had.
    pub(crate) fn new_revision(&mut self) -> u64 {
        self.tried += 1;
        self.tried
    }

    /// The candidate, while there is one: what it needs is not to be given up.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        match &self.running.as_ref()?.stage {
            Stage::Reading => None,
            Stage::Binding(candidate, _) | Stage::Proving(candidate, _) => Some(candidate),
        }
    }
}

/// What a first new worker has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing yet.
    Open,
    /// It is ready.
    Given,
    /// It failed.
    Failed,
}

/// Whether a worker of this version has become ready in the service.
pub(crate) fn proof(view: &ServiceView, epoch: Epoch) -> Proof {
    let is_ready = view.workers.iter().any(|worker| worker.epoch == epoch && worker.state == WorkerState::Ready);
    match (is_ready, view.epoch == epoch) {
        (true, _) => Proof::Given,
        (false, true) => Proof::Open,
        // The fleet went back to what served before.
        (false, false) => Proof::Failed,
    }
}

/// The services whose new command has to show one ready worker before the commit: the engine's own workers that are
/// replaced. Whether a foreign command works shows in its rollout.
pub(crate) fn to_prove(candidate: &Candidate, view: impl Fn(&str) -> Option<ServiceView>) -> Vec<ServiceId> {
    let is_own = |name: &str| {
        let service = candidate.edition.settings.service(name);
        service.is_some_and(|service| matches!(service.program, Program::Builtin(_)))
    };
    let rolled =
        candidate.plan.services.iter().filter(|(name, fate)| matches!(fate, Fate::Roll { .. }) && is_own(name));
    let views = rolled.filter_map(|(name, _)| view(name));
    let runs = |view: &ServiceView| match view.state {
        ServiceState::Ready | ServiceState::Degraded => view.wanted > 0,
        // Nothing serves that a bad command could displace.
        ServiceState::Starting
        | ServiceState::Failed
        | ServiceState::Stopping
        | ServiceState::Stopped
        | ServiceState::Finished => false,
    };
    views.filter(runs).map(|view| view.service).collect()
}

/// Reads and checks the files, as `check` does. To be called where it may block.
pub(crate) fn read(source: &Source) -> Result<(Source, Settings), String> {
    let source = source.read_again().map_err(|error| error.to_string())?;
    let wrong = |errors: &evercrew_config::ConfigErrors| {
        let count = errors.problems().len();
        let noun = if count == 1 { "error" } else { "errors" };
        format!("{count} {noun} in {}\n\n{}", source.path.display(), errors.render(false))
    };
    let settings = source.parse().map_err(|errors| wrong(&errors))?;
    match vet_for(&settings, user::of_parent()) {
        Ok(()) => Ok((source, settings)),
        Err(Unfit::Missing(errors)) => Err(wrong(&errors)),
        Err(Unfit::Refused { message, hint, .. }) => Err(format!("{message}\n  help: {hint}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: By = By::Signal { deploy: false };

    #[test]
    fn reloads_wait_in_line_and_signals_join() {
        let mut reloads = Reloads::restore(1);
        let now = Mono::default();
        let first = reloads.ask(SIGNAL).expect("room");
        let asked = reloads.next().expect("it is its turn");
        assert!(reloads.begin(asked, now) && reloads.next().is_none());
        let second = reloads.ask(SIGNAL).expect("room");
        assert_ne!(first, second, "the one that runs may have read the file already");
        assert_eq!(reloads.ask(SIGNAL), Some(second), "one that waits will read it");
        assert_eq!(reloads.ask(By::Signal { deploy: true }), Some(second), "and deploy");
        assert_ne!(reloads.ask(By::Command { dry_run: false }), Some(second));
        for _ in 0..MAX_QUEUE - 2 {
            assert!(reloads.ask(By::Command { dry_run: true }).is_some());
        }
        assert_eq!(reloads.ask(By::Command { dry_run: true }), None);
    }

    #[test]
    fn readings_that_hang_are_bounded_and_what_they_bring_later_is_dropped() {
        let mut reloads = Reloads::restore(1);
        for _ in 0..MAX_READERS {
            reloads.ask(By::Command { dry_run: false });
            let asked = reloads.next().expect("none runs");
            assert!(reloads.begin(asked, Mono::default()));
            reloads.running = None;
        }
        reloads.ask(By::Command { dry_run: false });
        let asked = reloads.next().expect("none runs");
        assert!(!reloads.begin(asked, Mono::default()));
        assert_eq!(reloads.has_read(1), None);
        assert!(reloads.begin(asked, Mono::default()));
        assert_eq!(reloads.has_read(asked.number), Some(asked));
    }

    #[test]
    fn no_revision_is_given_twice() {
        let mut reloads = Reloads::restore(7);
        assert_eq!((reloads.new_revision(), reloads.new_revision(), reloads.tried()), (8, 9, 9));
    }
}
