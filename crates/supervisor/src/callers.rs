//! Who waits at the control socket. The supervisor holds it, so that it can tell an idle manager from one that hangs:
//! an idle one is never asked for a sign of life, one that leaves a caller waiting is.

use evercrew_sys::clock;
use evercrew_sys::epoll::Interest;
use evercrew_sys::listener;
use evercrew_wire::control::LISTENER as CONTROL;
use evercrew_wire::supervisor::ToManager;

use crate::engine::{CALLERS, Engine};
use crate::outgoing::Beside;

impl Engine {
    /// Wakes the supervisor with the next caller, if `listener` is the control socket.
    pub(crate) fn await_callers(&self, listener: &str) {
        if listener == CONTROL
            && let Some(socket) = self.custody.listener(CONTROL)
            && self.epoll.modify(socket, CALLERS, Interest::READABLE).is_err()
        {
            // It is not watched yet. Without a watch a manager that hangs is noticed by what else it owes.
            let _ = self.epoll.add(socket, CALLERS, Interest::READABLE);
        }
    }

    /// One wakeup for a caller; the next one is due when nobody waits any more.
    pub(crate) fn caller_came(&mut self) {
        if let Some(socket) = self.custody.listener(CONTROL) {
            let _ = self.epoll.modify(socket, CALLERS, Interest::NONE);
        }
        self.care.caller_waits(clock::mono());
    }

    pub(crate) fn look_for_callers(&mut self) {
        if !self.custody.listener(CONTROL).is_some_and(listener::has_callers) {
            return self.await_callers(CONTROL);
        }
        let is_held = self.upgrade.handover.is_held();
        if self.manager.as_ref().is_some_and(|manager| !manager.outgoing.is_owed() && !is_held) {
            self.tell(ToManager::CallerWaits, Beside::Nothing);
        }
        self.care.caller_waits(clock::mono());
    }
}
