//! What a session is told, and what it says to do.

use std::time::Duration;

use super::Terms;

/// One request of a client; never given twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Something that was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks.
    Asked {
        /// The request.
        ask: AskId,
        /// What it may cost and what a break means for it.
        terms: Terms,
    },
    /// Nobody waits for it any more.
    Cancelled {
        /// The request.
        ask: AskId,
    },
    /// There is a connection.
    Connected,
    /// There is none.
    Unreached(Unreached),
    /// It was to be sent and did not leave as a whole; told before [`Event::Broken`].
    Unsent {
        /// The request.
        ask: AskId,
    },
    /// The connection has ended, and everything that came over it was told.
    Broken,
    /// A reply came.
    Heard {
        /// The request.
        ask: AskId,
        /// Whether it is the last one.
        terminal: bool,
        /// Where to go on, when it says so.
        next: Option<u64>,
        /// Which engine it is from, when it says so.
        engine: Option<u64>,
    },
    /// Time has passed.
    Tick,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// No engine runs.
    Nobody,
    /// One runs and does not take connections at the moment.
    Busy,
    /// It is another user's.
    Forbidden,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect; [`Event::Connected`] or [`Event::Unreached`] follows.
    Connect,
    /// Write this request to the connection.
    Send {
        /// The request.
        ask: AskId,
        /// Go on from here, instead of where the request itself says.
        since: Option<u64>,
        /// How long the engine has, where that is bounded.
        left: Option<Duration>,
    },
    /// Tell the engine that nobody waits for this one any more.
    Withdraw {
        /// The request.
        ask: AskId,
    },
    /// It ends without a last reply.
    End {
        /// The request.
        ask: AskId,
        /// Why.
        end: End,
    },
}

/// Why a request ends without a last reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It reached the engine, whose manager ended before it answered: it was done, or not.
    Unknown,
    /// It is not answered by the asker's own deadline.
    Late,
    /// It is not answered within the usual time.
    Silent,
    /// An engine runs, and nobody took the connection in time.
    Unreachable,
    /// No engine runs.
    Nobody,
    /// It is another user's.
    Forbidden,
    /// The engine that was followed is gone.
    Over,
}
