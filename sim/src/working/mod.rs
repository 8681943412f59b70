//! A job worker, its server, and what lies between them.
//!
//! `run.rs` plays one seed: connections that are cut, refused or fall silent, a server that stops, restarts, refuses,
//! forgets its workers or asks them to end, handlers of any length, a stop at any moment. `server.rs` is the server as far
//! as a worker sees it, `oracle.rs` says what must come of it.

mod oracle;
mod run;
mod server;
mod trouble;

pub use run::work;
