//! What the fleet decides, rule by rule. Each file is one noun; the tests read from simple to special.
//!
//! The simulator (`sim`) shows that the rules hold together; these show what each of them is.

mod away;
mod backoff;
mod command;
mod dependency;
mod draining;
mod heartbeat;
mod limit;
mod memory;
mod outcome;
mod phases;
mod prologue;
mod readiness;
mod recycle;
mod restore;
mod rig;
mod rollback;
mod rollout;
mod scale;
mod shutdown;
mod steering;
mod stop;
mod words;
