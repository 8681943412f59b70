//! Bytes of a pipe to lines.

/// The longest line; a longer one is split.
pub(crate) const LINE_LIMIT: usize = 1 << 20;

/// A line, or a piece of one that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its bytes without the newline.
    pub(crate) text: &'a [u8],
    /// Nothing of the same line came before.
    pub(crate) begins: bool,
    /// Nothing of the same line follows.
    pub(crate) ends: bool,
}

/// What of a line has come so far.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    partial: Vec<u8>,
    /// A piece of this line was given out before.
    continued: bool,
}

impl Assembly {
    /// Goes on with what another one held.
    pub(crate) fn restore(&mut self, partial: Vec<u8>, continued: bool) {
        self.partial = partial;
        self.continued = continued;
    }

    /// What is held, and whether a piece of its line was given out before.
    pub(crate) fn partial(&self) -> (&[u8], bool) {
        (&self.partial, self.continued)
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.partial.len()
    }

    /// Takes `bytes` and gives every line that they complete to `emit`; pieces of `limit` bytes of one that gets longer.
    pub(crate) fn feed(&mut self, bytes: &[u8], limit: usize, emit: &mut impl FnMut(Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.partial.is_empty() && !self.continued && line.len() <= limit {
                emit(Line { text: line, begins: true, ends: true });
                continue;
            }
            self.extend(line, limit, emit);
            self.give(true, emit);
        }
        self.extend(rest, limit, emit);
    }

    /// Gives out what is held, as the last line of a writer that ended without a newline.
    pub(crate) fn finish(&mut self, emit: &mut impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() {
            self.give(true, emit);
        }
    }

    /// Holds more of a line; gives out a piece whenever it is longer than `limit`.
    fn extend(&mut self, bytes: &[u8], limit: usize, emit: &mut impl FnMut(Line<'_>)) {
        self.partial.extend_from_slice(bytes);
        while self.partial.len() > limit {
            let cut = boundary(&self.partial, limit);
            emit(Line { text: &self.partial[..cut], begins: !self.continued, ends: false });
            self.partial.drain(..cut);
            self.continued = true;
        }
    }

    fn give(&mut self, ends: bool, emit: &mut impl FnMut(Line<'_>)) {
        emit(Line { text: &self.partial, begins: !self.continued, ends });
        // Its memory goes too: a pipe that had one long line is not worth a buffer for ever.
        self.partial = Vec::new();
        self.continued = false;
    }
}

/// The largest cut up to `limit` that does not part a character of UTF-8.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let starts = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (limit.saturating_sub(3).max(1)..=limit).rev().find(starts).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces and shows every line as text with `<` and `>` where it begins and ends.
    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut emit = |line: Line<'_>| {
            let text = String::from_utf8_lossy(line.text).into_owned();
            let mark = |is, mark| if is { mark } else { "" };
            lines.push(format!("{}{text}{}", mark(line.begins, "<"), mark(line.ends, ">")));
        };
        let mut assembly = Assembly::default();
        for piece in pieces {
            assembly.feed(piece, limit, &mut emit);
            assert!(assembly.held() <= limit);
        }
        assembly.finish(&mut emit);
        assert_eq!(assembly.held(), 0);
        lines
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_came() {
        let bytes = b"one\n\ntwo\r\nthree";
        let whole = lines(&[bytes], 100);
        assert_eq!(whole, ["<one>", "<>", "<two\r>", "<three>"]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(lines(&single, 100), whole);
    }

    #[test]
    fn a_long_line_is_split_with_its_pieces_known_as_such() {
        assert_eq!(lines(&[b"abcdefgh\nx\n"], 3), ["<abc", "def", "gh>", "<x>"]);
        assert_eq!(lines(&[b"abc", b"def", b"\nx"], 3), ["<abc", "def>", "<x>"]);
        assert_eq!(lines(&[b"abc\n"], 3), ["<abc>"], "exactly the limit is one line");
        assert_eq!(lines(&[b"abcd"], 3), ["<abc", "d>"]);
    }

    #[test]
    fn characters_are_not_parted() {
        assert_eq!(lines(&["aéé".as_bytes()], 4), ["<aé", "é>"]);
        assert_eq!(boundary(&[0x80; 10], 4), 4, "what is no text is cut at the limit");
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(lines(&[b"", b""], 10), [""; 0]);
        assert_eq!(lines(&[b"a\n"], 10), ["<a>"]);
    }
}
