//! What a server says on standard error.

use std::io::Write;

/// Lines for people.
#[derive(Debug, Default)]
pub(crate) struct Notices;

impl Notices {
    /// A batch could not be kept.
    pub(crate) fn refused(&self, why: &str) {
        line(format_args!("pushes are refused for now: {why}"));
    }

    /// A job has no text.
    pub(crate) fn damaged(&self, jid: &str) {
        line(format_args!(
            "the store has lost the text of job {jid}: it is dead; see `{}` for the rest of the store",
            evercrew_store::REPAIR
        ));
    }

    /// A crash cut a last commit short.
    pub(crate) fn cut(&self, pages: u64) {
        line(format_args!("{pages} pages of a last commit that nobody was told of were cut off after a crash"));
    }
}

/// Writes a line to standard error, which may be gone: then there is nobody to tell.
pub(crate) fn line(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("queue: {text}\n").as_bytes());
}
