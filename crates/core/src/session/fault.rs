//! Faults that can be planted into a session, to show that its tests would find them.

/// A mistake that a client can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(test), allow(dead_code))]
pub(super) enum Fault {
    /// A change is asked again after a break.
    ChangeRepeated,
    /// A change that never left counts as done or not.
    UnsentForgotten,
    /// A follower begins anew after a break.
    SinceForgotten,
    /// A look is not asked again.
    LookForgotten,
    /// Who waits is not told when the connection breaks.
    BreakIgnored,
    /// Sleeps to the latest deadline.
    LatestDeadline,
    /// Connects without a pause, however often it fails.
    NoPause,
    /// Waits for a connection for ever.
    ReachForgotten,
    /// The engine is told the whole time after a break, not what is left.
    WholeTimeAgain,
    /// A follower goes on with another engine.
    EngineForgotten,
    /// The engine is not told that nobody waits.
    WithdrawForgotten,
}

#[cfg(test)]
impl Fault {
    /// Every fault.
    pub(super) const ALL: [Self; 11] = [
        Self::ChangeRepeated,
        Self::UnsentForgotten,
        Self::SinceForgotten,
        Self::LookForgotten,
        Self::BreakIgnored,
        Self::LatestDeadline,
        Self::NoPause,
        Self::ReachForgotten,
        Self::WholeTimeAgain,
        Self::EngineForgotten,
        Self::WithdrawForgotten,
    ];
}
