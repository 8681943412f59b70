//! A manager, its successors and a supervisor around a handover.
//!
//! `run.rs` plays one seed: an operator who asks for successors at any time; successors that are ready soon, late or
//! never, that end or hang at any step or say things out of turn; managers that leave, cannot, hang, end by themselves or
//! are killed; stops of the engine. `oracle.rs` says what must come of it: one owner of the duty at any time.

mod oracle;
mod run;

pub use run::hand_over;
