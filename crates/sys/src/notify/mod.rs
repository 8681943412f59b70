//! The `sd_notify` protocol: as the one that listens, and as the one that speaks.

mod client;
mod message;
mod socket;

pub use client::{send, send_to, send_with};
pub use message::Message;
pub use socket::{NotifySocket, Raw};
