//! What a good answer looks like.

use std::fmt;
use std::sync::Arc;

/// The status and body that an answer must have.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    pub(crate) body: Body,
}

/// A check that the user of this crate wrote.
pub(crate) type Check = dyn Fn(&[u8]) -> bool + Send + Sync;

#[derive(Clone)]
pub(crate) enum Body {
    Any,
    Exactly(Arc<[u8]>),
    StartsWith(Arc<[u8]>),
    Passes(Arc<Check>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::Exactly(_) => "Exactly",
            Self::StartsWith(_) => "StartsWith",
            Self::Passes(_) => "Passes",
        })
    }
}

impl Expect {
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        if status != self.status {
            return Err(format!("status {status} instead of {}", self.status));
        }
        let good = match &self.body {
            Body::Any => true,
            Body::Exactly(expected) => body == &**expected,
            Body::StartsWith(prefix) => body.starts_with(prefix),
            Body::Passes(check) => check(body),
        };
        if good { Ok(()) } else { Err(format!("body of {} bytes: {}", body.len(), excerpt(body))) }
    }
}

/// The first bytes, readable.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..60).unwrap_or(bytes);
    format!("\"{}\"{}", shown.escape_ascii(), if shown.len() < bytes.len() { "…" } else { "" })
}

/// The pid that a body names: a line `pid 123`, or a body that is only the number.
pub(crate) fn pid(body: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(body.get(..4096).unwrap_or(body)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pid "));
    line.unwrap_or(text).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_found_in_both_shapes_and_nowhere_else() {
        assert_eq!(pid(b"12\n"), Some(12));
        assert_eq!(pid(b"Hello\nworker web.1\npid 77\n"), Some(77));
        assert_eq!(pid(b"hello\n"), None);
        assert_eq!(pid(b"pid x\n"), None);
        assert_eq!(pid(b"\xff1"), None);
    }
}
