//! What a SIGHUP means: the terminal is gone, or somebody sent it by hand.
//!
//! A shell that loses its terminal sends its own SIGHUP to every job, and the kernel's is the same signal or never comes:
//! who sent it says little. So the terminal itself is asked.

use std::os::fd::OwnedFd;
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::{clock, descriptor, signal, terminal};

use crate::engine::{Engine, TERMINAL};

/// A shell tells its jobs at once that the terminal is gone; a SIGHUP long after that is sent by hand.
const TELLING: Duration = Duration::from_secs(10);

/// Why a SIGHUP came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal is gone.
    Lost,
    /// The terminal is gone, and we were started to go on without (`nohup`).
    Unheeded,
    /// Somebody sent it.
    ByHand,
}

/// The terminal that the engine was started from.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    terminal: Option<OwnedFd>,
    lost_at: Option<Mono>,
    /// SIGHUP was ignored when we were started.
    unheeded: bool,
}

impl Terminal {
    /// Call it before dispositions of signals are reset.
    pub(crate) fn of_this_process() -> Self {
        Self { terminal: terminal::controlling(), lost_at: None, unheeded: signal::is_ignored(Signal::Hup) }
    }

    /// One wakeup when it is gone.
    pub(crate) fn watch(&self, epoll: &Epoll) {
        if let Some(terminal) = &self.terminal {
            // Without a watch it is asked when a SIGHUP comes.
            let _ = epoll.add(terminal, TERMINAL, Interest::NONE);
        }
    }

    /// It is gone, and from then on nobody waits for that.
    pub(crate) fn lost(&mut self, now: Mono, epoll: &Epoll) {
        self.lost_at.get_or_insert(now);
        if let Some(terminal) = self.terminal.take() {
            let _ = epoll.remove(&terminal);
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.terminal.as_ref().is_some_and(descriptor::is_hung_up)
    }

    pub(crate) fn hangup(&self, from_kernel: bool, now: Mono) -> Hangup {
        let lost = from_kernel || self.lost_at.is_some_and(|at| now.since(at) < TELLING);
        match (lost, self.unheeded) {
            (true, false) => Hangup::Lost,
            (true, true) => Hangup::Unheeded,
            (false, _) => Hangup::ByHand,
        }
    }
}

impl Engine {
    /// Whether a signal counts as the kernel's, as that of a lost terminal does; `None` when it is to be ignored.
    pub(crate) fn is_from_kernel(&mut self, signal: Signal, received: &signal::Received) -> Option<bool> {
        if signal != Signal::Hup {
            return Some(received.from_kernel);
        }
        if self.terminal.is_gone() {
            self.terminal.lost(clock::mono(), &self.epoll);
        }
        match self.terminal.hangup(received.from_kernel, clock::mono()) {
            Hangup::Lost => Some(true),
            Hangup::ByHand => Some(false),
            Hangup::Unheeded => {
                self.say("INFO  the terminal is gone; the engine was started to go on without it");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_means_a_lost_terminal_while_shells_tell_of_it_and_by_hand_ever_after() {
        let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
        let epoll = Epoll::new().expect("epoll");
        let mut terminal = Terminal::default();
        assert_eq!(terminal.hangup(false, at(1)), Hangup::ByHand);
        assert_eq!(terminal.hangup(true, at(1)), Hangup::Lost);
        terminal.lost(at(1000), &epoll);
        terminal.lost(at(9000), &epoll);
        assert_eq!(terminal.hangup(false, at(1000)), Hangup::Lost);
        assert_eq!(terminal.hangup(false, at(10_999)), Hangup::Lost);
        assert_eq!(terminal.hangup(false, at(11_000)), Hangup::ByHand);
        terminal.unheeded = true;
        assert_eq!(terminal.hangup(false, at(1000)), Hangup::Unheeded);
        assert_eq!(terminal.hangup(true, at(1000)), Hangup::Unheeded);
        assert_eq!(terminal.hangup(false, at(11_000)), Hangup::ByHand, "it still reloads");
    }
}
