//! Unfinished lines in a file, so that the next logger goes on with them when this one is killed.
//!
//! The file is a journal of what each pipe holds: a record for whatever changed, written anew when it has grown. It
//! lives in the page cache for the moment between two loggers; a machine that loses its power loses the pipes too.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::clock;
use evercrew_wire::logger::Stream;

use crate::source::Key;

/// The journal is written anew when it is that much larger than what is held.
const SLACK: u64 = 1 << 20;

/// More than every journal that is written: what lies behind it is not read.
const LARGEST: u64 = 256 << 20;

/// Until the next try of one that could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// Before each record: what it is, whose, whether the line began before it, how many bytes follow.
const HEADER: usize = 1 + 8 + 1 + 1 + 4;

/// What a pipe held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The bytes of an unfinished line.
    pub(crate) bytes: Vec<u8>,
    /// A piece of it was given out before.
    pub(crate) continued: bool,
}

/// The journal.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    instance: Vec<u8>,
    /// `None` after an error: nothing is kept until it can be written anew.
    file: Option<File>,
    size: u64,
    /// Bytes that a journal written now would have.
    live: u64,
    /// When a journal that could not be written is tried again.
    again: Option<Mono>,
}

/// What happened to a pipe's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It holds exactly this.
    Holds = 1,
    /// It holds this more.
    More = 2,
    /// It is gone.
    Ended = 3,
}

impl Held {
    /// Takes over the journal at `path`, with what the pipes held that it tells of; another instance's is nothing.
    pub(crate) fn open(path: PathBuf, instance: &str) -> (Self, BTreeMap<Key, Partial>) {
        let instance = format!("evercrew held 1 {instance}\n").into_bytes();
        let found = read(&path).map(|bytes| parse(&bytes, &instance)).unwrap_or_default();
        (Self { path, instance, file: None, size: 0, live: 0, again: None }, found)
    }

    /// `partial` is what `key` holds; `more` when only the end of it is new.
    pub(crate) fn note(&mut self, key: Key, partial: &[u8], continued: bool, more: Option<usize>) {
        let (kind, bytes) = match more.and_then(|more| partial.get(partial.len().checked_sub(more)?..)) {
            Some(end) => (Kind::More, end),
            None => (Kind::Holds, partial),
        };
        self.append(&record(kind, key, continued, bytes));
    }

    /// `key` has come to its end.
    pub(crate) fn ended(&mut self, key: Key) {
        self.append(&record(Kind::Ended, key, false, &[]));
    }

    fn append(&mut self, record: &[u8]) {
        let Some(file) = &mut self.file else { return };
        match file.write(record) {
            Ok(count) if count == record.len() => self.size += count as u64,
            // Half a record: without a journal the loss is what it is everywhere else.
            Ok(_) | Err(_) => self.drop_file(),
        }
    }

    fn drop_file(&mut self) {
        self.file = None;
        self.size = 0;
        self.again = Some(clock::mono().after(AGAIN));
        let _ = fs::remove_file(&self.path);
    }

    /// It has to be written anew.
    pub(crate) fn is_due(&self) -> bool {
        let may = self.again.is_none_or(|again| again <= clock::mono());
        (self.file.is_none() && may) || self.size > 2 * self.live + SLACK
    }

    /// Writes it anew with all that is held.
    pub(crate) fn write<'a>(&mut self, all: impl Iterator<Item = (Key, &'a [u8], bool)>) {
        let mut bytes = self.instance.clone();
        for (key, partial, continued) in all {
            bytes.extend_from_slice(&record(Kind::Holds, key, continued, partial));
        }
        self.live = bytes.len() as u64;
        self.size = self.live;
        match self.replace(&bytes) {
            Ok(file) => self.file = Some(file),
            Err(_) => self.drop_file(),
        }
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<File> {
        let new = self.path.with_extension("new");
        let options = |append| OpenOptions::new().append(append).write(true).create(true).mode(0o600).open(&new);
        fs::remove_file(&new).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let mut file = options(true)?;
        file.write_all(bytes)?;
        fs::rename(&new, &self.path)?;
        Ok(file)
    }

    /// A clean end: nothing is held.
    pub(crate) fn remove(mut self) {
        self.drop_file();
    }
}

fn record(kind: Kind, key: Key, continued: bool, bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER + bytes.len());
    record.push(kind as u8);
    record.extend_from_slice(&key.0.to_le_bytes());
    record.push(match key.1 {
        Stream::Output => 1,
        Stream::Error => 2,
    });
    record.push(u8::from(continued));
    // A line has at most a mebibyte.
    record.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(bytes);
    record
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whatever the bytes are: the records up to the first that is none.
fn parse(bytes: &[u8], instance: &[u8]) -> BTreeMap<Key, Partial> {
    let mut found: BTreeMap<Key, Partial> = BTreeMap::new();
    let Some(mut rest) = bytes.strip_prefix(instance) else { return found };
    while let Some(record) = parse_record(&mut rest) {
        let Record { kind, key, continued, text } = record;
        match kind {
            Kind::Holds => drop(found.insert(key, Partial { bytes: text.to_vec(), continued })),
            Kind::More => found.entry(key).or_default().bytes.extend_from_slice(text),
            Kind::Ended => drop(found.remove(&key)),
        }
    }
    found
}

struct Record<'a> {
    kind: Kind,
    key: Key,
    continued: bool,
    text: &'a [u8],
}

/// Takes a record from the front.
fn parse_record<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let kind = match header[0] {
        1 => Kind::Holds,
        2 => Kind::More,
        3 => Kind::Ended,
        _ => return None,
    };
    let worker = u64::from_le_bytes(header[1..9].try_into().ok()?);
    let stream = match header[9] {
        1 => Stream::Output,
        2 => Stream::Error,
        _ => return None,
    };
    let length = u32::from_le_bytes(header[11..HEADER].try_into().ok()?);
    let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Record { kind, key: (worker, stream), continued: header[10] != 0, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Key = (1, Stream::Output);
    const TWO: Key = (2, Stream::Error);

    #[test]
    fn the_next_one_finds_what_was_held() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("held");
        let (mut held, found) = Held::open(path.clone(), "i");
        assert!(found.is_empty() && held.is_due());
        held.write([(ONE, &b"be"[..], false)].into_iter());
        held.note(TWO, b"x", false, None);
        held.note(ONE, b"begun", true, Some(3));
        held.note(TWO, b"", false, None);
        let (mut next, found) = Held::open(path.clone(), "i");
        let partial = |bytes: &[u8]| Partial { bytes: bytes.to_vec(), continued: false };
        assert_eq!(found, BTreeMap::from([(ONE, partial(b"begun")), (TWO, partial(b""))]));
        next.write(std::iter::empty());
        next.note(ONE, b"over", false, None);
        next.ended(ONE);
        assert_eq!(Held::open(path.clone(), "i").1, BTreeMap::new());
        held.note(ONE, b"late", false, None);
        assert_eq!(Held::open(path.clone(), "i").1, BTreeMap::new(), "an older one writes elsewhere");
        next.note(ONE, b"mine", false, None);
        assert_eq!(Held::open(path.clone(), "other").1, BTreeMap::new());
        assert_eq!(Held::open(path.clone(), "i").1.len(), 1);
        next.remove();
        assert!(!path.exists());
    }

    #[test]
    fn half_a_record_is_none_and_no_bytes_are_a_panic() {
        let instance = b"i\n";
        let mut bytes = instance.to_vec();
        bytes.extend_from_slice(&record(Kind::Holds, ONE, false, b"one"));
        bytes.extend_from_slice(&record(Kind::Holds, TWO, true, b"two"));
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end], instance).len() <= 1, "{end}");
        }
        assert_eq!(parse(&bytes, instance).len(), 2);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0xff;
            parse(&wrong, instance);
        }
    }
}
