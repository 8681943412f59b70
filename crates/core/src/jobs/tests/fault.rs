//! Mistakes that a shell can make.

/// A mistake of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A push is answered before it is kept.
    AnswerEarly,
    /// An ACK is answered before it is kept.
    AcknowledgeEarly,
    /// A refused batch is taken for a kept one.
    BelieveRefused,
    /// What moves is not written.
    ForgetMoves,
    /// Who says what became of a job is not told to the core.
    NoFence,
    /// Lease numbers begin anew at each start.
    ForgetLeases,
    /// The core is not told when something is due.
    SleepOn,
    /// What hangs on a batch that is on its way is answered with the next one.
    AnswerWithNext,
    /// A flush is not written.
    ForgetFlush,
}

impl Fault {
    pub(super) const ALL: [Self; 9] = [
        Self::AnswerEarly,
        Self::AcknowledgeEarly,
        Self::BelieveRefused,
        Self::ForgetMoves,
        Self::NoFence,
        Self::ForgetLeases,
        Self::SleepOn,
        Self::AnswerWithNext,
        Self::ForgetFlush,
    ];
}
