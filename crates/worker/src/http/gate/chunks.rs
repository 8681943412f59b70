//! A body in chunks, followed without being kept.

use super::super::head::{Limits, line, split};
use super::super::refusal::Refusal;

/// Longest line with the size of a chunk: extensions mean nothing here, so there is no use for long ones.
const SIZE_LINE: usize = 256;

/// How far a body in chunks has come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// Bytes of the body, those of the chunk under way included.
    total: u64,
    /// Bytes and lines of the trailer.
    trailer: (usize, usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

impl Chunks {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next part of it; 0 when that is not whole yet.
    ///
    /// # Errors
    /// What its sender is told.
    pub(super) fn take(&mut self, bytes: &[u8], most: Option<u64>, limits: Limits) -> Result<usize, Refusal> {
        match self.state {
            State::Size => {
                let Some(line) = bounded_line(bytes, SIZE_LINE)? else { return Ok(0) };
                let size = size(line)?;
                self.total = self.total.saturating_add(size);
                if most.is_some_and(|most| self.total > most) {
                    return Err(Refusal::BodySize);
                }
                self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                Ok(line.len() + 2)
            }
            State::Data(left) => {
                let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok(taken)
            }
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(2)
                }
                [] | [b'\r'] => Ok(0),
                _ => Err(Refusal::Malformed("a chunk is longer than its size")),
            },
            State::Trailer => {
                let Some(line) = bounded_line(bytes, limits.size)? else { return Ok(0) };
                let (size, count) = self.trailer;
                self.trailer = (size + line.len() + 2, count + 1);
                if line.is_empty() {
                    self.state = State::Done;
                } else if self.trailer.0 > limits.size || self.trailer.1 > limits.count {
                    return Err(Refusal::HeadSize);
                } else {
                    split(line)?;
                }
                Ok(line.len() + 2)
            }
            State::Done => Ok(0),
        }
    }
}

fn bounded_line(bytes: &[u8], most: usize) -> Result<Option<&[u8]>, Refusal> {
    let found = line(&bytes[..bytes.len().min(most + 2)])?;
    if found.is_none() && bytes.len() > most {
        return Err(Refusal::Malformed("a line within the body is too long"));
    }
    Ok(found)
}

/// The size of a chunk: hexadecimal digits and nothing else before an extension.
fn size(line: &[u8]) -> Result<u64, Refusal> {
    let malformed = Refusal::Malformed("a chunk has no size, or one that is no number");
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let is_extension = |byte: &u8| matches!(byte, b'\t' | 0x20..=0x7e);
    if !(1..=15).contains(&digits.len()) || !matches!(rest.first(), None | Some(b';')) || !rest.iter().all(is_extension)
    {
        return Err(malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| malformed)?;
    u64::from_str_radix(digits, 16).map_err(|_| malformed)
}
