//! Bytes to messages and back: every serialized form of the engine lives here, versioned.
//!
//! **What it does.** [`supervisor`] is the protocol between supervisor and manager, [`deposit`] what a manager leaves
//! for the next one, [`handover`] what it hands on where that is planned, [`control`] the lines of the command socket,
//! [`command_pipe`] those of programs that take words, [`logger`] what the manager tells the logger, [`faktory`] the work
//! protocol of the queue server, [`child`] the lines of warm children.
//!
//! **Where to start.** [`supervisor::ToSupervisor`] and [`supervisor::ToManager`].
//!
//! **What it must never know.** No io: it neither reads nor writes, it only encodes and decodes. No decisions.
//! Fields are only ever added, each with a default, so that a newer manager speaks to an older supervisor.
//!
//! **How it is tested.** Golden files of every released version still decode (`tests/golden`); decoders are fed
//! random bytes.

mod above;
mod bounds;
pub mod child;
pub mod command_pipe;
pub mod control;
pub mod deposit;
mod error;
pub mod faktory;
pub mod handover;
mod http;
mod inventory;
pub mod logger;
mod mirror;
pub mod queue;
pub mod record;
pub mod status;
mod stops;
pub mod supervisor;
mod text;

pub use error::Error;
pub use http::Http;
pub use text::Text;
