//! One change of what is kept.

use std::sync::Arc;

/// The text of a job, shared between who answers and who writes.
pub type Payload = Arc<[u8]>;

/// One change of what is kept. Carried out a second time it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A record that is new, with the payload that never changes.
    Insert {
        /// Its number, which no record had before.
        number: u64,
        /// Its bytes.
        record: Vec<u8>,
        /// The job's text.
        payload: Payload,
    },
    /// Another record under a number; nothing when there is none.
    Replace {
        /// Its number.
        number: u64,
        /// Its bytes.
        record: Vec<u8>,
    },
    /// The end of a record and its payload.
    Remove {
        /// Its number.
        number: u64,
    },
    /// Something small that is no record, under its name.
    Fact {
        /// Its name.
        name: Vec<u8>,
        /// Its bytes; `None` ends it.
        body: Option<Vec<u8>>,
    },
    /// The end of every record and payload. Facts stay, and no number is given again.
    Clear,
}
