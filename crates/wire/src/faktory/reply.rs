//! What a server answers: written by it, read by clients.

use std::io::Write;

use super::refusal::Refusal;

/// Largest bulk that a client takes, in bytes.
pub const LARGEST_BULK: usize = 64 << 20;
/// Longest line that a client takes, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// One answer, as a client finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+text`.
    Simple(String),
    /// `$length`, and as many bytes of text.
    Bulk(String),
    /// `$-1`.
    Nothing,
    /// `-CODE text`.
    Refused {
        /// One word.
        code: String,
        /// What is wrong.
        text: String,
    },
}

/// Why what was received is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReply(pub &'static str);

/// Appends `+OK`.
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Appends `$-1`.
pub fn nothing(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Appends a bulk.
pub fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    bulk_of(out, text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a bulk of `length` bytes; they and a line end follow.
pub fn bulk_of(out: &mut Vec<u8>, length: usize) {
    let _ = write!(out, "${length}\r\n");
}

/// Appends a refusal.
pub fn refused(out: &mut Vec<u8>, refusal: &Refusal) {
    let _ = write!(out, "-{} {}\r\n", refusal.code, refusal.line());
}

/// Appends what a server begins with.
pub fn hi(out: &mut Vec<u8>, challenge: Option<(u32, &str)>) {
    let _ = match challenge {
        None => write!(out, "+HI {{\"v\":2}}\r\n"),
        Some((rounds, salt)) => write!(out, "+HI {{\"v\":2,\"i\":{rounds},\"s\":\"{salt}\"}}\r\n"),
    };
}

impl Reply {
    /// The answer that `bytes` begin with, and how many of them it takes; `None` when more have to come.
    ///
    /// # Errors
    /// When this is no answer of the protocol, or is too large.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, NoReply> {
        let Some(end) = bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
            return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(NoReply("a line has no end")) };
        };
        let line = &bytes[..end];
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| NoReply("no text"))?;
        let (reply, after) = match line.split_at_checked(1) {
            Some(("+", text)) => (Self::Simple(text.to_owned()), end + 1),
            Some(("-", text)) => {
                let (code, text) = text.split_once(' ').unwrap_or((text, ""));
                (Self::Refused { code: code.to_owned(), text: text.to_owned() }, end + 1)
            }
            Some(("$", "-1")) => (Self::Nothing, end + 1),
            Some(("$", length)) => {
                let length: usize = length.parse().map_err(|_| NoReply("a bulk without length"))?;
                if length > LARGEST_BULK {
                    return Err(NoReply("a bulk that is too large"));
                }
                let text = end + 1..end + 1 + length;
                let after = match bytes.get(text.end..) {
                    Some([b'\r', b'\n', ..]) => text.end + 2,
                    Some([] | [b'\r']) | None => return Ok(None),
                    Some([b'\n', ..]) => text.end + 1,
                    Some(_) => return Err(NoReply("a bulk that is longer than it says")),
                };
                let text = bytes.get(text).and_then(|text| std::str::from_utf8(text).ok()).ok_or(NoReply("no text"))?;
                (Self::Bulk(text.to_owned()), after)
            }
            Some(_) | None => return Err(NoReply("a line that begins with none of + - $")),
        };
        Ok(Some((reply, after)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        hi(&mut out, Some((4321, "ab")));
        ok(&mut out);
        bulk(&mut out, "é\r\n".as_bytes());
        nothing(&mut out);
        refused(&mut out, &Refusal::error("no\r\n-ERR more"));
        let mut replies = Vec::new();
        let mut rest = out.as_slice();
        while let Some((reply, after)) = Reply::read(rest).expect("replies") {
            // Each beginning of it is not yet an answer.
            assert!((0..after).all(|end| Reply::read(&rest[..end]) == Ok(None)));
            replies.push(reply);
            rest = &rest[after..];
        }
        let expected = [
            Reply::Simple("HI {\"v\":2,\"i\":4321,\"s\":\"ab\"}".to_owned()),
            Reply::Simple("OK".to_owned()),
            Reply::Bulk("é\r\n".to_owned()),
            Reply::Nothing,
            Reply::Refused { code: "ERR".to_owned(), text: "no  -ERR more".to_owned() },
        ];
        assert_eq!(replies, expected);
    }

    #[test]
    fn what_is_no_answer() {
        for bytes in [
            &b"HTTP/1.1 400\r\n"[..],
            b"$x\r\n",
            b"$99999999999\r\n",
            b"$1\r\nabc\r\n",
            b"\r\n",
            b"+\xff\n",
            b"$1\r\n\xff\r\n",
        ] {
            assert!(Reply::read(bytes).is_err(), "{bytes:?}");
        }
        assert!(Reply::read(&[b'+'; LONGEST_LINE]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Reply::read(&bytes);
        }
    }
}
