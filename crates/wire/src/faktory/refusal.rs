//! What a server says to what it does not do.

use std::borrow::Cow;
use std::fmt;

use super::json::Malformed;

/// Longest text of a refusal, in bytes.
const LONGEST: usize = 400;

/// A reply `-CODE text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word in capitals: `ERR` for nearly everything.
    pub code: &'static str,
    /// What is wrong and, where it helps, what to do.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// `-ERR text`.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "ERR", text: text.into() }
    }

    /// Refusal of one whose lease is no longer its own; only for those who name leases.
    pub fn stale(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "STALE", text: text.into() }
    }

    /// The text on one line of bounded length, whatever stands in it.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(self.text.len());
        for c in self.text.chars() {
            if line.len() + c.len_utf8() > LONGEST {
                line.push('…');
                break;
            }
            line.push(if c.is_control() { ' ' } else { c });
        }
        line
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.line())
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::error(malformed.to_string())
    }
}

/// Something a client wrote, for a text of ours: shortened, quoted, without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
