//! The head of a request, read more strictly than the protocol's grammar asks for.

mod fields;
mod read;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use fields::split;
pub(crate) use read::{Framing, Limits, Reader, line};
