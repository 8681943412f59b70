//! Faults that can be planted into a worker's decisions, to show that the simulator would find them.

macro_rules! faults {
    ($($variant:ident: $text:literal),+ $(,)?) => {
        /// A mistake that a worker can make; known ones of other workers among them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(not(feature = "planted-faults"), allow(dead_code, unreachable_pub))]
        pub enum Fault {
            $(#[doc = $text] $variant),+
        }

        impl Fault {
            /// Every fault.
            #[cfg(feature = "planted-faults")]
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

faults! {
    FailsAtStop: "A stop fails running jobs at once.",
    TerminateFailsAtBeat: "The server's terminate fails running jobs with the next beat.",
    EndsWithServer: "A server that goes away ends the worker.",
    OneLineEndsAll: "One lost connection takes the others with it.",
    ResultForgotten: "A result that was under way on a lost connection is not sent again.",
    RunsTwice: "A job that is here already is run once more.",
    OwedLater: "After a lost connection jobs are fetched before what is owed is settled.",
    WaitsForEver: "A server that says nothing is waited for.",
    TakesTooMany: "It fetches without looking at its slots.",
    LeavesFetch: "A stop does not wait for a fetch under way.",
    SilentWhileStopping: "A worker that stops does not beat.",
    RefusedIsSettled: "A result that was refused counts as delivered.",
    NoToken: "A stop never tells a job to end.",
    NeverAbandons: "A stop waits for jobs for ever.",
    NoHelloAgain: "A server that does not know the worker is asked on.",
    QuietIgnored: "A quiet worker fetches.",
    MootIsDone: "A job that came again while its result was under way is dropped when that came too late.",
    MootForgotten: "A job that is back in its queue before its result is told is run once more.",
    NewIsOld: "A new job under an old name is settled with the old one's result.",
    HeldForgotten: "A job that was fetched but not begun when the worker stops is forgotten.",
    LatestDeadline: "The worker sleeps to its latest deadline.",
    NoPause: "A lost connection is opened again without a pause.",
}

/// The faults planted into one worker.
#[derive(Debug, Default)]
pub(super) struct Faults(#[cfg(feature = "planted-faults")] std::collections::BTreeSet<Fault>);

impl Faults {
    #[cfg(feature = "planted-faults")]
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    #[cfg(not(feature = "planted-faults"))]
    pub(super) const fn has(&self, _: Fault) -> bool {
        false
    }

    #[cfg(feature = "planted-faults")]
    pub(super) fn plant(&mut self, fault: Fault) {
        self.0.insert(fault);
    }
}
