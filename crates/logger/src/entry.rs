//! A line as it stands in a file.

use std::io::Write as _;

use evercrew_wire::logger::{Format, Stream};
use serde_json::{Map, Value, json};

use crate::assembly::Line;

/// The bytes of a moment: `2026-01-01T00:00:00.000Z`.
pub(crate) const STAMP: usize = 24;

/// What the logger itself says in a file.
pub(crate) const MARK: &str = "log";

/// Whose line it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    /// `web.1`.
    pub(crate) name: &'a str,
    /// `web`.
    pub(crate) service: &'a str,
    /// From 1; 0 is the engine.
    pub(crate) generation: u32,
    /// `out`, `err`, [`MARK`] or a level.
    pub(crate) stream: &'a str,
}

/// As it stands in files.
pub(crate) fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Output => "out",
        Stream::Error => "err",
    }
}

/// Adds the line with its newline.
pub(crate) fn write(bytes: &mut Vec<u8>, format: Format, stamp: &str, whose: Whose<'_>, line: &Line<'_>) {
    match format {
        Format::Text => {
            // Writing to memory cannot fail.
            let _ = write!(bytes, "{stamp} {} {} ", whose.name, whose.stream);
            if !line.begins {
                bytes.extend_from_slice("…".as_bytes());
            }
            bytes.extend_from_slice(line.text);
            if !line.ends {
                bytes.extend_from_slice("…".as_bytes());
            }
        }
        Format::Json => {
            let text = String::from_utf8_lossy(line.text);
            // The time stands first: it is found there without reading the rest.
            let _ = write!(
                bytes,
                "{{\"time\":\"{stamp}\",\"service\":{},\"worker\":{},\"generation\":{},\"stream\":\"{}\",\"text\":{}",
                json!(whose.service),
                json!(whose.name),
                whose.generation,
                whose.stream,
                json!(text),
            );
            if !line.begins {
                bytes.extend_from_slice(b",\"continues\":true");
            }
            if !line.ends {
                bytes.extend_from_slice(b",\"continued\":true");
            }
            bytes.push(b'}');
        }
    }
    bytes.push(b'\n');
}

/// A line that was read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it was read, as every file has it: `2026-01-01T00:00:00.000Z`. Empty when the file does not say.
    pub time: String,
    /// `web.1`; `engine` for the engine itself.
    pub worker: String,
    /// `web`; `engine` for the engine itself.
    pub service: String,
    /// `out`, `err`, `log` for what the logger itself says, or the level of an engine's line.
    pub stream: String,
    /// What was written.
    pub text: Vec<u8>,
}

impl Entry {
    /// From a line of either format, without its newline. One that is of neither is all text.
    pub fn parse(line: &[u8]) -> Self {
        Self::json(line).or_else(|| Self::text(line)).unwrap_or_else(|| Self {
            time: String::new(),
            worker: String::new(),
            service: String::new(),
            stream: String::new(),
            text: line.to_vec(),
        })
    }

    fn text(line: &[u8]) -> Option<Self> {
        let time = stamp_of(line)?;
        let rest = line.get(STAMP + 1..)?;
        let mut words = rest.splitn(3, |byte| *byte == b' ');
        let mut word = || std::str::from_utf8(words.next()?).ok().map(str::to_owned);
        let (worker, stream) = (word()?, word()?);
        let text = words.next()?.to_vec();
        let service = worker.rsplit_once('.').map_or(worker.as_str(), |(service, _)| service).to_owned();
        Some(Self { time: time.to_owned(), worker, service, stream, text })
    }

    fn json(line: &[u8]) -> Option<Self> {
        if line.first() != Some(&b'{') {
            return None;
        }
        let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let field = |name: &str| object.get(name)?.as_str().map(str::to_owned);
        let mut text = field("text")?;
        if object.contains_key("continues") {
            text.insert(0, '…');
        }
        if object.contains_key("continued") {
            text.push('…');
        }
        Some(Self {
            time: field("time")?,
            worker: field("worker")?,
            service: field("service")?,
            stream: field("stream")?,
            text: text.into_bytes(),
        })
    }
}

/// The moment that a line of either format begins with.
pub(crate) fn stamp_of(line: &[u8]) -> Option<&str> {
    let line = line.strip_prefix(b"{\"time\":\"").unwrap_or(line);
    let stamp = std::str::from_utf8(line.get(..STAMP)?).ok()?;
    let is_one = stamp.ends_with('Z') && stamp.as_bytes().get(10) == Some(&b'T');
    is_one.then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "2026-01-02T03:04:05.678Z";

    fn there_and_back(format: Format, text: &[u8]) -> Entry {
        let mut bytes = Vec::new();
        let whose = Whose { name: "web.1", service: "web", generation: 2, stream: "err" };
        write(&mut bytes, format, STAMP, whose, &Line { text, begins: true, ends: true });
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        assert_eq!(stamp_of(&bytes), Some(STAMP));
        Entry::parse(bytes.strip_suffix(b"\n").expect("a newline"))
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for format in [Format::Text, Format::Json] {
            for text in ["", "hello", "with  spaces ", "{\"a\":1}", "tab\t\u{1b}[31m\r"] {
                let entry = there_and_back(format, text.as_bytes());
                assert_eq!((entry.time.as_str(), entry.worker.as_str()), (STAMP, "web.1"));
                assert_eq!((entry.service.as_str(), entry.stream.as_str()), ("web", "err"));
                assert_eq!(String::from_utf8_lossy(&entry.text), text);
            }
        }
        assert_eq!(there_and_back(Format::Text, b"\xff\x00").text, b"\xff\x00");
        assert_eq!(there_and_back(Format::Json, b"\xff").text, "\u{fffd}".as_bytes(), "JSON has no other bytes");
    }

    #[test]
    fn what_is_no_line_of_ours_is_text() {
        for line in [&b"Traceback"[..], b"", b"{", b"2026-01-02T03:04:05.678Z", b"\xff"] {
            assert_eq!(Entry::parse(line).text, line);
        }
    }
}
