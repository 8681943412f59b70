//! Askers and workers around a gathering.
//!
//! `run.rs` plays one seed: askers with several requests and every strategy who may leave before they are answered;
//! workers that answer, fail, say nothing, answer late, twice, too much, for another or out of order, report progress,
//! die or are replaced; handovers between a question and its answer. `oracle.rs` says what must come of it.

mod oracle;
mod run;

pub use run::gather;
