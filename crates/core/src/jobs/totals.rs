//! What is counted since the start.

/// Counts since the start of the server, or since everything was flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Jobs taken in.
    pub pushed: u64,
    /// Leases given.
    pub leased: u64,
    /// Jobs that were done.
    pub done: u64,
    /// Failures, those that ran out of time or lost their worker included.
    pub failed: u64,
    /// Jobs that became dead.
    pub died: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Leases that ended with their worker.
    pub orphaned: u64,
    /// Jobs given back that were never begun.
    pub refunded: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Answers of those who held the job no more.
    pub stale: u64,
}
