//! What stands between the socket and the protocol: only whole, checked heads and well-framed bodies pass.

mod chunks;
mod passage;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use passage::Step;
pub(crate) use passage::{Gate, Refused};
