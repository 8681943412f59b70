//! Lines to standard output: prefixed, coloured, harmless.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use evercrew_sys::terminal::Output;
use evercrew_wire::logger::Stream;

use crate::assembly::Line;
use crate::backlog::Backlog;
use crate::source::Writer;

/// Bytes that may wait for a terminal that is stopped or slow.
const BACKLOG_LIMIT: usize = 1 << 20;

/// No red: that is for errors.
const COLORS: [u8; 10] = [36, 33, 32, 34, 35, 96, 93, 92, 94, 95];

/// Standard output as the place of all workers' lines.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// `None` when there is none.
    output: Option<Output>,
    /// Nobody reads it any more. It is kept all the same: whoever waits for it has to be able to stop.
    gone: bool,
    enabled: bool,
    color: bool,
    backlog: Backlog,
}

impl Terminal {
    /// Over `fd`; `color` allows colours, which only a terminal gets.
    pub(crate) fn new(fd: impl AsFd, color: bool) -> Self {
        let output = Output::open(fd).ok();
        let color = color && output.as_ref().is_some_and(Output::is_terminal);
        Self { output, gone: false, enabled: false, color, backlog: Backlog::new(BACKLOG_LIMIT) }
    }

    pub(crate) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Lines wait until there is room.
    pub(crate) fn waits(&self) -> bool {
        self.output.is_some() && !self.gone && !self.backlog.is_empty()
    }

    /// The output's descriptor.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn line(&mut self, writer: &Writer, stream: Stream, line: &Line<'_>) {
        if !self.enabled || !writer.style.terminal || self.gone || self.output.is_none() {
            return;
        }
        let color = self.color.then(|| color(&writer.service));
        self.backlog.push(report, |bytes| show(bytes, color, &writer.name, stream, line));
        if self.backlog.is_large() {
            self.flush();
        }
    }

    /// Writes what fits now.
    pub(crate) fn flush(&mut self) {
        let Some(output) = &self.output else { return };
        if let Err(error) = self.backlog.flush(|bytes| output.write(bytes))
            && !passes(error.kind())
        {
            // The files go on.
            self.gone = true;
            self.backlog.clear();
        }
    }
}

/// There may be room again later.
fn passes(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WouldBlock};
    matches!(kind, WouldBlock | StorageFull | QuotaExceeded | FileTooLarge)
}

fn report(bytes: &mut Vec<u8>, count: u64) {
    // Writing to memory cannot fail.
    let _ = writeln!(bytes, "… {count} lines dropped");
}

fn show(bytes: &mut Vec<u8>, color: Option<u8>, name: &str, stream: Stream, line: &Line<'_>) {
    let _ = match color {
        // What a program writes to stderr has a red bar.
        Some(color) if stream == Stream::Error => write!(bytes, "\x1b[{color}m{name} \x1b[31m|\x1b[0m "),
        Some(color) => write!(bytes, "\x1b[{color}m{name} |\x1b[0m "),
        None => write!(bytes, "{name} | "),
    };
    if !line.begins {
        bytes.extend_from_slice("…".as_bytes());
    }
    // A writer that ends its lines as Windows does means no more than a newline.
    let text = if line.ends { line.text.strip_suffix(b"\r").unwrap_or(line.text) } else { line.text };
    bytes.extend_from_slice(harmless(text).as_bytes());
    if !line.ends {
        bytes.extend_from_slice("…".as_bytes());
    }
    bytes.push(b'\n');
}

/// The text with everything that could command a terminal made visible.
pub fn harmless(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' {
                out.extend(character.escape_default());
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same service has the same colour in every run.
pub fn color(service: &str) -> u8 {
    // FNV-1a: the standard library's hash may change between its versions.
    let hash = service
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    COLORS[(hash % COLORS.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(color: Option<u8>, line: &Line<'_>) -> String {
        let mut bytes = Vec::new();
        show(&mut bytes, color, "web.1", Stream::Output, line);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_has_its_writer_before_it() {
        let line = Line { text: b"hello", begins: true, ends: true };
        assert_eq!(shown(None, &line), "web.1 | hello\n");
        assert_eq!(shown(Some(36), &line), "\x1b[36mweb.1 |\x1b[0m hello\n");
        assert_eq!(shown(None, &Line { begins: false, ends: false, ..line }), "web.1 | …hello…\n");
    }

    #[test]
    fn nothing_in_a_line_commands_the_terminal() {
        let line = Line { text: b"\x1b[2J\tok\x07 \xff\xc2\x9b31m\r", begins: true, ends: true };
        assert_eq!(shown(None, &line), "web.1 | \\u{1b}[2J\tok\\u{7} \\xff\\u{9b}31m\n");
    }

    #[test]
    fn colours_are_stable() {
        assert_eq!(color("web"), color("web"));
        assert!(COLORS.contains(&color("")));
    }
}
