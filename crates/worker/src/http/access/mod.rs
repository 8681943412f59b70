//! The access log: a line for each request, written without ever waiting for whoever reads it.

mod entry;
mod format;
mod log;

pub(crate) use entry::Entry;
pub use format::{Field, Format, FormatError};
pub(crate) use log::Log;
