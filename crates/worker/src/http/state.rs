//! What of a connection is seen from outside of its protocol.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use evercrew_core::patience::{Look, Standing, Verdict};

use super::gate::Refused;
use super::host::Host;

/// Where the input of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Input {
    /// Between two requests.
    Between,
    /// A part of a head has come.
    Head,
    /// Within a body.
    Body,
}

/// The state of one connection. Its task alone writes it; the watch over all connections reads it, and leaves verdicts.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) host: Arc<Host>,
    /// Requests whose answer is not handed to the socket yet.
    owed: AtomicU32,
    /// The peer does not take what we send.
    blocked: AtomicBool,
    /// The peer has closed its side, or is gone.
    ended: AtomicBool,
    input: AtomicU8,
    waiting: AtomicBool,
    /// The protocol waits for the moment in which nothing is owed.
    held: AtomicBool,
    heads: AtomicU32,
    received: AtomicU64,
    taken: AtomicU64,
    /// 0, or a verdict that was not carried out yet.
    verdict: AtomicU8,
    /// The request that was refused, and the how manieth it is.
    pub(crate) refused: OnceLock<(Refused, u32)>,
    waker: OnceLock<Waker>,
}

impl State {
    pub(crate) fn new(host: &Arc<Host>) -> Self {
        Self {
            host: Arc::clone(host),
            owed: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            input: AtomicU8::new(Input::Between as u8),
            waiting: AtomicBool::new(false),
            held: AtomicBool::new(false),
            heads: AtomicU32::new(0),
            received: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            verdict: AtomicU8::new(0),
            refused: OnceLock::new(),
            waker: OnceLock::new(),
        }
    }

    /// Whether something that a client asked for has not been sent to it entirely.
    pub(crate) fn owes(&self) -> bool {
        self.owed.load(Relaxed) > 0 || self.blocked.load(Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        if self.blocked.load(Relaxed) != blocked {
            self.blocked.store(blocked, Relaxed);
            self.release();
        }
    }

    /// Has the connection's task looked at again once nothing is owed.
    pub(crate) fn hold(&self) {
        self.held.store(true, Relaxed);
    }

    fn release(&self) {
        if self.held.load(Relaxed) && !self.owes() {
            self.held.store(false, Relaxed);
            self.wake();
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Notes how much the client has taken.
    pub(crate) fn set_taken(&self, bytes: u64) {
        self.taken.store(bytes, Relaxed);
    }

    /// Notes where the input stands behind `heads` heads.
    pub(crate) fn set_input(&self, input: Input, heads: u32) {
        self.input.store(input as u8, Relaxed);
        if self.heads.load(Relaxed) != heads {
            self.heads.store(heads, Relaxed);
            self.received.store(0, Relaxed);
        }
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.waiting.store(false, Relaxed);
        self.received.store(self.received.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// How many heads have come.
    pub(crate) fn heads(&self) -> u32 {
        self.heads.load(Relaxed)
    }

    /// Notes that the protocol waits for input.
    pub(crate) fn set_waiting(&self) {
        self.waiting.store(true, Relaxed);
    }

    /// How the connection looks.
    pub(crate) fn look(&self) -> Look {
        let input = self.input.load(Relaxed);
        let standing = if input == Input::Body as u8 {
            if self.waiting.load(Relaxed) { Standing::Body } else { Standing::Ours }
        } else if self.owes() {
            Standing::Ours
        } else if input == Input::Head as u8 {
            Standing::Head
        } else {
            Standing::Idle
        };
        Look {
            standing,
            heads: self.heads.load(Relaxed),
            received: self.received.load(Relaxed),
            taken: self.taken.load(Relaxed),
            is_blocked: self.blocked.load(Relaxed),
        }
    }

    /// Leaves a verdict for the connection's task, and wakes it.
    pub(crate) fn judge(&self, verdict: Verdict) {
        let code = match verdict {
            Verdict::Close => 1,
            Verdict::HeadTime => 2,
            Verdict::BodyRate => 3,
            Verdict::Reset => 4,
        };
        self.verdict.store(code, Relaxed);
        self.wake();
    }

    /// The verdict that was left.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match self.verdict.load(Relaxed) {
            1 => Some(Verdict::Close),
            2 => Some(Verdict::HeadTime),
            3 => Some(Verdict::BodyRate),
            4 => Some(Verdict::Reset),
            _ => None,
        }
    }

    /// Remembers whom to wake: a task has the same waker all its life.
    pub(crate) fn remember(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _ = self.waker.set(waker.clone());
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Keeps [`State::owes`] true from a request's arrival until its answer is handed to the socket.
#[derive(Debug)]
pub(crate) struct Owed(pub(crate) Arc<State>);

impl Owed {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        state.owed.fetch_add(1, Relaxed);
        state.host.statistics.request_began();
        Self(Arc::clone(state))
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.owed.fetch_sub(1, Relaxed);
        self.0.release();
        self.0.host.statistics.request_ended();
    }
}
