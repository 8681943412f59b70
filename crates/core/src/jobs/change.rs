//! What a store has to do. Doing one again changes nothing.

use std::sync::Arc;

use super::number::JobNumber;
use super::record::Record;

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A job is new; its text comes beside.
    Insert(Record),
    /// A job is somewhere else; its text stays.
    Move(Record),
    /// A job is no more.
    Remove(JobNumber),
    /// Nothing is handed out of this queue, or again.
    Pause(Arc<str>, bool),
    /// Nothing is kept any more.
    Flush,
}
