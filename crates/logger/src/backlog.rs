//! Lines that wait to be written.

use std::io;

/// Above that a backlog is written before it grows on.
const EAGER: usize = 64 * 1024;

/// Lines that wait, up to a bound; over it they are dropped and counted.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    /// Bytes at the front that are written.
    written: usize,
    limit: usize,
    dropped: u64,
}

impl Backlog {
    /// Holds `limit` bytes, and any one line.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), written: 0, limit, dropped: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// It is time to write.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() - self.written >= EAGER
    }

    /// Holds that much from the next line on.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Adds the line that `line` writes, after the one that `report` writes of those that were dropped before it.
    pub(crate) fn push(&mut self, report: impl FnOnce(&mut Vec<u8>, u64), line: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        let was_empty = self.is_empty();
        if self.dropped > 0 {
            report(&mut self.bytes, self.dropped);
        }
        line(&mut self.bytes);
        if was_empty || self.bytes.len() - self.written <= self.limit {
            self.dropped = 0;
        } else {
            self.bytes.truncate(before);
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Lines that were dropped and that nothing told of yet.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds what `report` writes of lines that were dropped, whatever waits.
    pub(crate) fn report(&mut self, report: impl FnOnce(&mut Vec<u8>, u64)) {
        if self.dropped > 0 {
            report(&mut self.bytes, self.dropped);
            self.dropped = 0;
        }
    }

    /// The whole lines at the front that fit in `room` bytes; the first one whatever its length if `any`, or when it is
    /// begun.
    pub(crate) fn front(&self, room: u64, any: bool) -> &[u8] {
        let rest = self.bytes.get(self.written..).unwrap_or_default();
        let fits = usize::try_from(room).map_or(rest.len(), |room| room.min(rest.len()));
        let end = rest[..fits].iter().rposition(|byte| *byte == b'\n');
        let first = || rest.iter().position(|byte| *byte == b'\n').filter(|_| any || self.is_begun());
        end.or_else(first).map_or(&[], |end| &rest[..=end])
    }

    /// No line is written in part.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_begun()
    }

    /// Those bytes at the front are written.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.bytes.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// A line is written in part.
    fn is_begun(&self) -> bool {
        self.written > 0 && self.bytes.get(self.written - 1) != Some(&b'\n')
    }

    /// A line that is written in part is written anew.
    pub(crate) fn rewind(&mut self) {
        let before = self.bytes.get(..self.written).unwrap_or_default();
        self.written = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    }

    /// Writes by `write` until nothing is left.
    ///
    /// # Errors
    /// The one that `write` stopped at; what is left stays.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        while !self.is_empty() {
            match write(&self.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.compact();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(EAGER * 2);
    }

    /// Gives the place of whole written lines free once it is more than what is left.
    pub(crate) fn compact(&mut self) {
        if self.written > self.bytes.len() - self.written {
            let written = self.written;
            self.rewind();
            self.bytes.drain(..self.written);
            self.written = written - self.written;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(backlog: &mut Backlog, text: &str) {
        let report = |bytes: &mut Vec<u8>, count| bytes.extend_from_slice(format!("[{count}]").as_bytes());
        backlog.push(report, |bytes| bytes.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn over_the_bound_lines_are_dropped_and_the_next_one_tells() {
        let mut backlog = Backlog::new(4);
        for text in ["aa", "bb", "cc", "dd"] {
            push(&mut backlog, text);
        }
        let mut out = Vec::new();
        let mut room = 3;
        let full = backlog.flush(|bytes| {
            let count = bytes.len().min(room);
            room -= count;
            out.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        });
        assert_eq!(full.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
        assert!(!backlog.is_empty());
        push(&mut backlog, "ee");
        let all = |out: &mut Vec<u8>, backlog: &mut Backlog| {
            backlog.flush(|bytes| {
                out.extend_from_slice(bytes);
                Ok(bytes.len())
            })
        };
        all(&mut out, &mut backlog).expect("room");
        assert_eq!(String::from_utf8_lossy(&out), "aabb", "a report and a line that do not fit stay out together");
        push(&mut backlog, "ff");
        all(&mut out, &mut backlog).expect("room");
        assert_eq!(String::from_utf8_lossy(&out), "aabb[3]ff");
        assert!(backlog.is_empty());
    }

    #[test]
    fn one_line_always_fits() {
        let mut backlog = Backlog::new(1);
        push(&mut backlog, "a long one");
        assert!(!backlog.is_empty());
    }

    #[test]
    fn lines_are_given_out_whole_and_written_anew_when_they_were_begun() {
        let mut backlog = Backlog::new(100);
        for text in ["one\n", "two\n", "three\n"] {
            push(&mut backlog, text);
        }
        let front = |backlog: &Backlog, room, any| String::from_utf8_lossy(backlog.front(room, any)).into_owned();
        assert_eq!(front(&backlog, 100, false), "one\ntwo\nthree\n");
        assert_eq!(front(&backlog, 9, false), "one\ntwo\n");
        assert_eq!(front(&backlog, 3, false), "");
        assert_eq!(front(&backlog, 3, true), "one\n");
        backlog.wrote(6);
        assert_eq!(front(&backlog, 0, false), "o\n", "what is begun is finished");
        backlog.rewind();
        assert_eq!(front(&backlog, 0, true), "two\n");
        backlog.wrote(4 + 3);
        backlog.compact();
        assert_eq!(front(&backlog, 0, false), "ee\n");
        backlog.rewind();
        assert_eq!(front(&backlog, 100, false), "three\n", "a begun line is kept whole");
        backlog.wrote(6);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_writer_that_writes_nothing_is_an_error_and_no_loop() {
        let mut backlog = Backlog::new(1);
        push(&mut backlog, "a");
        assert_eq!(backlog.flush(|_| Ok(0)).map_err(|error| error.kind()), Err(io::ErrorKind::WriteZero));
    }
}
