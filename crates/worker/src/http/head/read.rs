//! One head: where it ends, how its body is framed, whether the client will close.

use memchr::memchr;

use super::super::refusal::Refusal;
use super::fields::Fields;
use super::target;

/// The limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) size: usize,
    pub(crate) target: usize,
    pub(crate) count: usize,
}

/// How the body behind a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0 where there is no body.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What a head says of what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes up to the body, blank lines in front included.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    /// The client sends no request after this one.
    pub(crate) last: bool,
}

/// How far a head was read. No byte of it is looked at twice, however small the pieces are in which it comes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The begin of the first line that is not read.
    at: usize,
    /// Up to here there is no end of that line.
    searched: usize,
    /// Whether HTTP/1.0 is spoken, once the request line was read.
    is_1_0: Option<bool>,
    fields: Fields,
    count: usize,
}

impl Reader {
    /// Reads on. `bytes` begin where the head begins, also when a part of them was shown before. `None`: its end has
    /// not come yet.
    ///
    /// # Errors
    /// What its sender is told.
    pub(crate) fn read(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<Head>, Refusal> {
        while let Some(end) = memchr(b'\n', &bytes[self.searched..]) {
            let line = &bytes[self.at..self.searched + end + 1];
            let line = line.strip_suffix(b"\r\n").ok_or(BARE)?;
            self.at += line.len() + 2;
            self.searched = self.at;
            if self.at > limits.size {
                return Err(if self.is_1_0.is_none() { Refusal::TargetSize } else { Refusal::HeadSize });
            }
            match self.is_1_0 {
                // Blank lines in front of a request are passed over.
                None if line.is_empty() => {}
                None if line.len() > limits.target => return Err(Refusal::TargetSize),
                None => self.is_1_0 = Some(target::check(line)?),
                Some(is_1_0) if line.is_empty() => {
                    let (framing, last) = self.fields.end(is_1_0)?;
                    return Ok(Some(Head { length: self.at, framing, last }));
                }
                Some(_) => {
                    self.count += 1;
                    if self.count > limits.count {
                        return Err(Refusal::HeaderCount);
                    }
                    self.fields.line(line)?;
                }
            }
        }
        self.searched = bytes.len();
        // A line that has not ended counts as well: else it could go on for ever.
        if self.is_1_0.is_none() && bytes.len() - self.at > limits.target + 1 {
            return Err(Refusal::TargetSize);
        }
        if bytes.len() >= limits.size { Err(Refusal::HeadSize) } else { Ok(None) }
    }
}

/// Some readers take it for the end of a line, some do not.
const BARE: Refusal = Refusal::Malformed("a line ends without CR LF");

/// The line at the begin of `bytes`, without its end. `None`: its end has not come yet.
///
/// # Errors
/// A line feed alone.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    match memchr(b'\n', bytes) {
        None => Ok(None),
        Some(end) => bytes[..end].strip_suffix(b"\r").map(Some).ok_or(BARE),
    }
}
