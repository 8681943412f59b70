//! A strict look through JSON text that copies nothing: where the members of an object stand, and whether all of it is
//! JSON and not too deep.
//!
//! Jobs are looked through once and stored as they came, so that numbers of any size leave as they entered.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// How deep arrays and objects may be nested.
pub const DEPTH: u32 = 64;

/// Why a text is no JSON that is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which byte, from 0.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed JSON at byte {}: expected {}", self.at, self.expected)
    }
}

/// One member of an object, or one item of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Its name without escapes; empty for an item.
    pub(crate) name: Cow<'a, str>,
    /// The value as it stands.
    pub(crate) value: &'a str,
    /// Name and value together.
    pub(crate) whole: &'a str,
}

/// Looks through one text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    first: bool,
}

impl<'a> Scanner<'a> {
    /// At the members of the object that the text is.
    pub(crate) fn object(text: &'a str) -> Result<Self, Malformed> {
        Self::open(text, b'{', "an object")
    }

    /// At the items of the array that the text is.
    pub(crate) fn array(text: &'a str) -> Result<Self, Malformed> {
        Self::open(text, b'[', "an array")
    }

    fn open(text: &'a str, bracket: u8, expected: &'static str) -> Result<Self, Malformed> {
        let mut scanner = Self { text, at: 0, first: true };
        scanner.space();
        scanner.expect(bracket, expected)?;
        Ok(scanner)
    }

    /// The next member; after the last one the rest of the text has been found empty.
    pub(crate) fn member(&mut self) -> Result<Option<Member<'a>>, Malformed> {
        if !self.more(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        let start = self.at;
        let name = self.name()?;
        let from = self.at;
        let value = self.value(1)?;
        let name = unescaped(&self.text[name.start..name.end], from)?;
        Ok(Some(Member { name, value: &self.text[value.clone()], whole: &self.text[start..value.end] }))
    }

    /// The next item; after the last one the rest of the text has been found empty.
    pub(crate) fn item(&mut self) -> Result<Option<&'a str>, Malformed> {
        if !self.more(b']', "`,` or `]`")? {
            return Ok(None);
        }
        // An item is a text of its own, as deep as one that comes alone.
        let value = self.value(0)?;
        Ok(Some(&self.text[value]))
    }

    fn more(&mut self, close: u8, expected: &'static str) -> Result<bool, Malformed> {
        self.space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.end()?;
                Ok(false)
            }
            Some(b',') if !self.first => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(_) if self.first => {
                self.first = false;
                Ok(true)
            }
            _ => Err(self.wrong(expected)),
        }
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.wrong("nothing more")) }
    }

    /// Passes one value that stands `depth` deep; arrays and objects without recursion, since texts are hostile.
    fn value(&mut self, mut depth: u32) -> Result<Range<usize>, Malformed> {
        self.space();
        let start = self.at;
        let outside = depth;
        // Whether the innermost open brackets are those of an object; the lowest bit is the innermost one.
        let mut objects: u64 = 0;
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == DEPTH {
                        return Err(self.wrong("no deeper nesting than 64"));
                    }
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(open + 2) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        objects = objects << 1 | u64::from(open == b'{');
                        if open == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => return Err(self.wrong("a value")),
            }
            loop {
                if depth == outside {
                    return Ok(start..self.at);
                }
                self.space();
                let object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(self.wrong(if object { "`,` or `}`" } else { "`,` or `]`" })),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// Passes a name and its colon, up to the value; gives where the name stands, with its quotes.
    fn name(&mut self) -> Result<Range<usize>, Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a name in double quotes"));
        }
        let start = self.at;
        self.string()?;
        let name = start..self.at;
        self.space();
        self.expect(b':', "`:`")?;
        self.space();
        Ok(name)
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        loop {
            match self.next() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => match self.next() {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                    Some(b'u') => {
                        for _ in 0..4 {
                            if !self.next().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                return Err(self.wrong("four hexadecimal digits after `\\u`"));
                            }
                        }
                    }
                    _ => return Err(self.wrong("an escape that JSON knows")),
                },
                Some(byte) if byte < 0x20 => return Err(self.wrong("an escape instead of a control character")),
                Some(_) => {}
                None => return Err(self.wrong("the closing quote")),
            }
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.wrong("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong("a value"))
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong(expected))
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn wrong(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }
}

/// What a string in quotes says.
pub(crate) fn unescaped(quoted: &str, at: usize) -> Result<Cow<'_, str>, Malformed> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(quoted)
            .map(Cow::Owned)
            .map_err(|_| Malformed { at, expected: "escapes that make up characters" }),
        None => Err(Malformed { at, expected: "a string" }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// All members, or the first thing that is wrong.
    fn members(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut scanner = Scanner::object(text)?;
        let mut members = Vec::new();
        while let Some(member) = scanner.member()? {
            members.push((member.name.into_owned(), member.value.to_owned()));
        }
        Ok(members)
    }

    #[test]
    fn members_stand_as_they_were_written() {
        let found = members(r#" { "a" : [1 , {"b":"}"}], "\u0063":-0.5e+3 ,"d":"\"x" } "#).expect("JSON");
        let expected = [("a", r#"[1 , {"b":"}"}]"#), ("c", "-0.5e+3"), ("d", r#""\"x""#)];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(members("{}"), Ok(Vec::new()));
    }

    #[test]
    fn nesting_ends_at_64() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(members(&nested(63)).is_ok());
        assert!(members(&nested(64)).is_err());
        assert!(members(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    /// Texts that are nearly JSON.
    fn nearly() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "1",
            "-0",
            "01",
            "1.",
            "1e5",
            "-",
            "2.5E-3",
            "\"x\"",
            "\"\\u00e9\"",
            "\"\\x\"",
            "\"\\u12\"",
            "true",
            "nul",
            "null",
            "",
            "\"a",
            "\u{1}",
            "{",
            "]",
            ":",
            ",",
            " ",
        ])
        .prop_map(str::to_owned);
        let inner = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(inner, 0..4).prop_map(|items| {
                    let members: Vec<String> = items.iter().map(|item| format!("\"k\" :{item}")).collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        });
        inner.prop_map(|value| format!("{{\"a\":{value}}}"))
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes(text in nearly()) {
            prop_assert_eq!(members(&text).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn any_text_is_looked_through(text in ".{0,64}") {
            let _ = members(&text);
            let _ = Scanner::array(&text).and_then(|mut scanner| scanner.item().map(|_| ()));
        }
    }
}
