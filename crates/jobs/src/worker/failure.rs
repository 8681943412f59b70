//! Why a job failed.

use std::any::type_name;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt;

/// Most lines of a backtrace that are told.
const MOST_LINES: usize = 50;

/// How names of frames begin that are none of the program.
const RUNTIME: [&str; 11] = [
    "std::",
    "core::",
    "tokio::",
    "__rust",
    "rust_begin",
    "start_thread",
    "clone",
    "evercrew_jobs::worker::failure::Failure",
    "evercrew_jobs::worker::panics::watch",
    "evercrew_jobs::worker::panics::catch",
    "evercrew_jobs::worker::panics::Caught",
];

/// Any error of a handler, on its way to the server: its type, what it says, and where it came from.
///
/// `?` turns every error into one, and remembers where that was. A handler may return any other error type as well;
/// its backtrace then begins behind the handler.
pub struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) backtrace: Option<Backtrace>,
    pub(crate) is_given_back: bool,
}

impl Failure {
    /// A failure of this type, as the server and its console show it.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            kind: kind.into(),
            message: message.to_string(),
            backtrace: Some(Backtrace::force_capture()),
            is_given_back: false,
        }
    }

    /// The job shall be run another time, as if it had not been begun: no try is counted where the server can do that.
    pub fn give_back() -> Self {
        Self { kind: "GivenBack".into(), message: "given back".into(), backtrace: None, is_given_back: true }
    }

    /// The type of the error.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it says.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The first lines of where it came from; none when nobody wants them.
    pub(crate) fn lines(&self, wanted: usize) -> Vec<String> {
        let Some(backtrace) = self.backtrace.as_ref().filter(|_| wanted > 0) else { return Vec::new() };
        if backtrace.status() != BacktraceStatus::Captured {
            return Vec::new();
        }
        lines_of(&backtrace.to_string(), wanted.min(MOST_LINES))
    }

    pub(crate) fn of<E: Into<Box<dyn Error + Send + Sync>>>(error: E) -> Self {
        match error.into().downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(error) => Self::new(short(type_name::<E>()), told(&*error)),
        }
    }
}

/// Frames of the program, without those of the runtime around it.
fn lines_of(text: &str, wanted: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_ours = false;
    for line in text.lines() {
        let line = line.trim();
        match line.strip_prefix("at ") {
            Some(place) if is_ours => {
                if let Some(last) = lines.last_mut() {
                    *last = format!("{last} ({place})");
                }
            }
            Some(_) => {}
            None => {
                let name = line.split_once(": ").map_or(line, |(_, name)| name);
                is_ours = !RUNTIME.iter().any(|prefix| name.trim_start_matches('<').starts_with(prefix));
                if is_ours {
                    if lines.len() == wanted {
                        return lines;
                    }
                    lines.push(name.to_owned());
                }
            }
        }
    }
    lines
}

/// A type's name without the path of each of its parts.
fn short(name: &str) -> String {
    name.split('<').next().unwrap_or(name).to_owned()
}

/// An error with what caused it.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl<E: Error + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(short(type_name::<E>()), told(&error))
    }
}

/// A failure where an error type is asked for.
struct Carried(Failure);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Carried {}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        Box::new(Carried(failure))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed() -> Result<u32, Failure> {
        Ok("x".parse::<u32>()?)
    }

    #[test]
    fn an_error_keeps_its_type_its_words_and_where_it_was() {
        let failure = parsed().expect_err("no number");
        assert_eq!(
            (failure.kind(), failure.message()),
            ("core::num::error::ParseIntError", "invalid digit found in string")
        );
        let lines = failure.lines(50);
        assert!(lines.iter().any(|line| line.contains("failure::tests::parsed")), "{lines:?}");
        assert_eq!(failure.lines(1).len(), 1);
        assert!(failure.lines(0).is_empty());
        let carried: Box<dyn Error + Send + Sync> = failure.into();
        assert_eq!(Failure::of(carried).kind(), "core::num::error::ParseIntError");
        assert_eq!(Failure::of("words").message(), "words");
    }

    #[test]
    fn causes_are_told() {
        let inner = std::io::Error::other("no route");
        let outer = std::io::Error::other(Box::<dyn Error + Send + Sync>::from(inner));
        assert_eq!(Failure::from(outer).message(), "no route");
    }
}
