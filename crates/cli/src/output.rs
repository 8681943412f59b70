//! What a command says: results on standard output, talk on standard error.
//!
//! A reader that went away (`| head`) is no error; a full disk is one. Standard error may be broken altogether: there
//! is nobody left to tell that to, and no command fails for it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use serde_json::Value;

use crate::failure::{Failure, code};

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Listens,
    Gone,
}

/// Writes a result, all of it, before it returns.
///
/// # Errors
/// When it cannot be written for another reason than that nobody reads.
pub(crate) fn print(text: &str) -> Result<Reader, Failure> {
    print_bytes(text.as_bytes())
}

/// Writes a result that need not be text.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut output = io::stdout().lock();
    heard(output.write_all(bytes).and_then(|()| output.flush()))
}

/// A result for programs.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &Value) -> Result<Reader, Failure> {
    print(&format!("{value:#}\n"))
}

/// Talk: one line on standard error.
pub(crate) fn say(text: impl Display) {
    say_raw(&format!("{text}\n"));
}

/// Talk that brings its own line ends.
pub(crate) fn say_raw(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn heard(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(code::FAILURE, format!("cannot write to standard output: {error}"))),
    }
}

/// What clap made of the arguments: help on standard output, errors on standard error.
pub(crate) fn usage(error: &clap::Error) -> Result<u8, Failure> {
    let code = u8::try_from(error.exit_code()).unwrap_or(code::USAGE);
    let printed = error.print();
    if error.use_stderr() {
        return Ok(code);
    }
    heard(printed.and_then(|()| io::stdout().flush())).map(|_| code)
}
