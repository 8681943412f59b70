//! The texts a configuration is made of, and places in them.

use std::fmt;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The configuration file.
    File,
    /// An environment variable.
    Environment,
    /// `--set` on the command line.
    CommandLine,
    /// The program itself: [`Host::values`](crate::Host).
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Environment => "environment",
            Self::CommandLine => "--set",
            Self::Program => "program",
        })
    }
}

/// One text: the file, one environment variable (`NAME=value`) or one `--set` argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// What a message calls it: the file's path, `environment`, `--set`.
    pub(crate) label: String,
    /// The text itself.
    pub(crate) body: String,
}

/// A place in one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Index into the texts.
    pub(crate) text: usize,
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

impl Span {
    /// The bytes `range` of text number `text`.
    pub(crate) fn new(text: usize, range: std::ops::Range<usize>) -> Self {
        Self { text, start: range.start, end: range.end }
    }
}

impl Text {
    /// The part of the text at `span`, held to character borders.
    pub(crate) fn slice(&self, span: Span) -> &str {
        let (start, end) = self.clamp(span);
        self.body.get(start..end).unwrap_or_default()
    }

    /// Byte borders of `span` that lie within the text and on characters, whatever a parser reported.
    pub(crate) fn clamp(&self, span: Span) -> (usize, usize) {
        let floor = |mut at: usize| {
            at = at.min(self.body.len());
            while !self.body.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        (start, floor(span.end).max(start))
    }

    /// Line and column of the first byte of `span`, both from 1; columns count characters.
    pub(crate) fn position(&self, span: Span) -> (usize, usize) {
        let before = &self.body[..self.clamp(span).0];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = Text { origin: Origin::File, label: "f".into(), body: "ä = 1\nöb = 2\n".into() };
        assert_eq!(text.position(Span::new(0, 0..1)), (1, 1));
        assert_eq!(text.position(Span::new(0, 9..10)), (2, 2));
        assert_eq!(text.position(Span::new(0, 900..901)), (3, 1));
    }

    #[test]
    fn a_span_inside_a_character_is_moved_to_its_border() {
        let text = Text { origin: Origin::File, label: "f".into(), body: "äö".into() };
        assert_eq!(text.slice(Span::new(0, 1..3)), "ä");
        assert_eq!(text.slice(Span { text: 0, start: 3, end: 1 }), "");
    }
}
