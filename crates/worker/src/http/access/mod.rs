//! The access log: a line for each request, written without ever waiting for whoever reads it.

mod entry;
mod log;

pub(crate) use entry::Entry;
pub use evercrew_core::access::{Field, Format, FormatError};
pub(crate) use log::Log;
