//! Bodies in chunks, read strictly and in any pieces.

/// Longest line: a chunk's size with its extensions, or a trailer.
const LINE_LIMIT: usize = 4096;

/// How far a chunked body has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(usize),
    /// The line end behind the data of a chunk.
    DataEnd,
    Trailer,
    Done,
}

impl Chunked {
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes from `bytes` what belongs to the body, appends its content to `body`, and returns how much it took.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn feed(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, String> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_done() {
            let rest = &bytes[taken..];
            match self.state {
                State::Data(missing) => {
                    let part = missing.min(rest.len());
                    body.extend_from_slice(&rest[..part]);
                    taken += part;
                    self.state = if part == missing { State::DataEnd } else { State::Data(missing - part) };
                }
                State::Size | State::DataEnd | State::Trailer => {
                    let part = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
                    self.line.extend_from_slice(&rest[..part]);
                    taken += part;
                    if self.line.len() > LINE_LIMIT {
                        return Err("a line of more than 4 KiB between chunks".to_owned());
                    }
                    if self.line.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.state = next(self.state, &line)?;
                    }
                }
                State::Done => {}
            }
        }
        Ok(taken)
    }
}

/// What follows a whole line.
fn next(state: State, line: &[u8]) -> Result<State, String> {
    let line = line.strip_suffix(b"\r\n").ok_or("a bare line feed between chunks")?;
    match state {
        State::Size => match size(line)? {
            0 => Ok(State::Trailer),
            size => Ok(State::Data(size)),
        },
        State::DataEnd if line.is_empty() => Ok(State::Size),
        State::DataEnd => Err("bytes behind the end of a chunk".to_owned()),
        State::Trailer if line.is_empty() => Ok(State::Done),
        State::Trailer => Ok(State::Trailer),
        State::Data(_) | State::Done => Ok(state),
    }
}

fn size(line: &[u8]) -> Result<usize, String> {
    let malformed = || format!("the chunk size \"{}\"", line.escape_ascii());
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(malformed());
    }
    let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
    usize::from_str_radix(digits, 16).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_give_the_same_body() {
        let text = b"5\r\nhello\r\n1;ext=1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";
        for piece in 1..text.len() {
            let (mut chunked, mut body, mut taken) = (Chunked::default(), Vec::new(), 0);
            for part in text.chunks(piece) {
                taken += chunked.feed(part, &mut body).expect("well formed");
            }
            assert!(chunked.is_done(), "{piece}");
            assert_eq!(body, b"hello 0123456789", "{piece}");
            assert_eq!(taken, text.len() - 4, "{piece}");
        }
    }

    #[test]
    fn malformed_chunks_are_errors() {
        for text in ["5\nhello", "x\r\n", "\r\n", "-1\r\n", "5\r\nhelloX\r\n", "123456789\r\n", "+5\r\n"] {
            assert!(Chunked::default().feed(text.as_bytes(), &mut Vec::new()).is_err(), "{text:?}");
        }
        assert!(Chunked::default().feed(&[b'1'; LINE_LIMIT + 1], &mut Vec::new()).is_err());
    }
}
