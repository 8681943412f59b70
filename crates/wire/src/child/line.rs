//! Where lines end.

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line without its newline, and how many bytes it takes with it.
    Line(&'a [u8], usize),
    /// No whole line yet.
    More,
    /// A line that is longer than it may be.
    TooLong,
}

/// The first line of `bytes`, of which `searched` are known to hold no newline; a line has at most `most` bytes.
pub fn next(bytes: &[u8], searched: usize, most: usize) -> Next<'_> {
    let rest = bytes.get(searched..).unwrap_or_default();
    match memchr::memchr(b'\n', rest) {
        Some(at) if searched + at > most => Next::TooLong,
        Some(at) => {
            let line = &bytes[..searched + at];
            Next::Line(line.strip_suffix(b"\r").unwrap_or(line), searched + at + 1)
        }
        None if bytes.len() > most => Next::TooLong,
        None => Next::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_newline_and_has_a_bound() {
        assert_eq!(next(b"ab\r\ncd", 0, 10), Next::Line(b"ab", 4));
        assert_eq!(next(b"\n", 0, 0), Next::Line(b"", 1));
        assert_eq!(next(b"abc", 3, 3), Next::More);
        assert_eq!(next(b"abcd", 3, 3), Next::TooLong);
        assert_eq!(next(b"abcd\n", 4, 3), Next::TooLong);
        assert_eq!(next(b"", 7, 3), Next::More);
    }
}
