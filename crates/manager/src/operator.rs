//! What a signal to the supervisor means (the native table of CONTRACT "Signals").

use std::time::Duration;

use evercrew_core::{Mono, Signal};

/// What the sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Graceful stop.
    Stop,
    /// Immediate stop.
    StopNow,
    /// One worker more or less in the first service.
    ScaleBy(i32),
    /// The configuration is read again.
    Reload,
    /// Nothing, and why.
    Ignored(&'static str),
}

/// A second stop within this time is the same one: a terminal sends INT to the group, a wrapper sends it again.
const SECOND_STOP: Duration = Duration::from_secs(1);

/// Remembers the first stop.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    stopped_at: Option<Mono>,
}

impl Operator {
    pub(crate) fn meaning(&mut self, signal: Signal, from_kernel: bool, at: Mono) -> Meaning {
        match signal {
            Signal::Term | Signal::Int => self.stop(at),
            Signal::Hup if from_kernel => self.stop(at),
            Signal::Quit => Meaning::StopNow,
            Signal::Ttin if !from_kernel => Meaning::ScaleBy(1),
            Signal::Ttou if !from_kernel => Meaning::ScaleBy(-1),
            Signal::Ttin | Signal::Ttou | Signal::Tstp => Meaning::Ignored("terminal signals change nothing"),
            Signal::Hup => Meaning::Reload,
            Signal::Usr1 => Meaning::Ignored("log files are not rotated by this version"),
            Signal::Usr2 => Meaning::Ignored("this version cannot be upgraded while it runs"),
            Signal::Cont => Meaning::Ignored("nothing to resume"),
            _ => Meaning::Ignored("it has no meaning here"),
        }
    }

    fn stop(&mut self, at: Mono) -> Meaning {
        match self.stopped_at {
            Some(first) if at.since(first) >= SECOND_STOP => Meaning::StopNow,
            Some(_) => Meaning::Ignored("stopping already; once more after a second stops at once"),
            None => {
                self.stopped_at = Some(at);
                Meaning::Stop
            }
        }
    }

    /// When the first stop came, for the deposit.
    pub(crate) fn stopped_at(&self) -> Option<Mono> {
        self.stopped_at
    }

    pub(crate) fn restore(stopped_at: Option<Mono>) -> Self {
        Self { stopped_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_stop_counts_after_a_second() {
        let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
        let mut operator = Operator::default();
        assert_eq!(operator.meaning(Signal::Int, true, at(1000)), Meaning::Stop);
        assert!(matches!(operator.meaning(Signal::Term, false, at(1999)), Meaning::Ignored(_)));
        assert_eq!(operator.meaning(Signal::Term, false, at(2000)), Meaning::StopNow);
    }

    #[test]
    fn a_terminal_never_scales_but_its_loss_stops() {
        let mut operator = Operator::default();
        assert!(matches!(operator.meaning(Signal::Ttin, true, Mono::default()), Meaning::Ignored(_)));
        assert_eq!(operator.meaning(Signal::Ttin, false, Mono::default()), Meaning::ScaleBy(1));
        assert_eq!(operator.meaning(Signal::Hup, false, Mono::default()), Meaning::Reload);
        assert_eq!(operator.meaning(Signal::Hup, true, Mono::default()), Meaning::Stop);
    }
}
