//! Mistakes that tests plant into a whole server, to show that its checkers would find them.

#[cfg(feature = "planted-faults")]
use evercrew_core::jobs;
use evercrew_core::jobs::Jobs;

#[cfg(feature = "planted-faults")]
use crate::config::Config;

/// A mistake that a queue server can make.
#[cfg(feature = "planted-faults")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A change is answered before the store has it.
    AnsweredBeforeSync,
    /// Whoever names a job settles it.
    NoFence,
    /// A job that comes back from a worker is nowhere.
    DroppedOnReturn,
}

/// The fault of one server, if it has any.
#[derive(Debug, Default)]
pub(crate) struct Faults(#[cfg(feature = "planted-faults")] Option<Fault>);

#[cfg(feature = "planted-faults")]
impl Faults {
    pub(crate) fn planted_into(&self, mut core: Jobs) -> Jobs {
        match self.0 {
            Some(Fault::NoFence) => core.plant(jobs::Fault::NoFence),
            Some(Fault::DroppedOnReturn) => core.plant(jobs::Fault::DroppedOnReturn),
            Some(Fault::AnsweredBeforeSync) | None => {}
        }
        core
    }

    pub(crate) fn answers_before_sync(&self) -> bool {
        self.0 == Some(Fault::AnsweredBeforeSync)
    }
}

#[cfg(not(feature = "planted-faults"))]
impl Faults {
    pub(crate) const fn planted_into(&self, core: Jobs) -> Jobs {
        core
    }

    pub(crate) const fn answers_before_sync(&self) -> bool {
        false
    }
}

#[cfg(feature = "planted-faults")]
impl Config {
    /// Has the server make this mistake.
    pub fn plant(&mut self, fault: Fault) {
        self.faults = Faults(Some(fault));
    }
}
