//! The write-ahead journal of SQLite, looked at before SQLite does.
//!
//! SQLite ends at the first frame of its journal that is wrong and takes what stands before as the whole. That is right
//! for a commit that was being written when the power went, and silent loss when a bit in the middle turned: what
//! follows was answered. This module tells the two apart.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// What a journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Pages in complete commits.
    pub(crate) frames: u64,
    /// Pages of a last commit that never became complete, which are cut off.
    pub(crate) cut: u64,
}

/// Whether every commit was synced before the next one was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Yes: behind a wrong frame there is at most the rest of one commit.
    InOrder,
    /// No: a lost power may have taken any of the last ones.
    Anyhow,
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Looks at the journal at `path`, and says what SQLite will take of it. A missing or empty one holds nothing.
///
/// # Errors
/// `Damaged` when what is wrong cannot be a commit that was never completed; it cannot be read.
pub(crate) fn examine(store: &Path, path: &Path, written: Written) -> Result<Journal, Error> {
    let damaged = |detail: String| Error::new(store, ErrorKind::Damaged, detail);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Journal::default()),
        Err(error) => return Err(Error::io(store, "open its journal")(error)),
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut header = [0; HEADER];
    if !read_whole(&mut file, &mut header).map_err(Error::io(store, "read its journal"))? || header == [0; HEADER] {
        return Ok(Journal::default());
    }
    let Some(mut reading) = Reading::new(&header) else {
        return Err(damaged("the head of its journal is wrong".to_owned()));
    };
    let mut frame = vec![0; FRAME_HEADER + reading.page];
    while read_whole(&mut file, &mut frame).map_err(Error::io(store, "read its journal"))? {
        reading.take(&frame);
    }
    match reading.finding {
        Some(number) if written == Written::InOrder => Err(damaged(format!("page {number} of its journal is wrong"))),
        _ => Ok(Journal { frames: reading.committed, cut: reading.cut() }),
    }
}

/// Gives the pages of the journal at `path` to `page`, with their numbers and in their order: those of complete commits,
/// and behind a wrong frame every one that is right by itself, up to the last end of a commit.
///
/// # Errors
/// It cannot be read; what `page` gives.
pub(crate) fn salvage(
    store: &Path,
    path: &Path,
    page: &mut dyn FnMut(u32, &[u8]) -> std::io::Result<()>,
) -> Result<(), Error> {
    let failed = || Error::io(store, "read its journal");
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let mut header = [0; HEADER];
    if !read_whole(&mut file, &mut header).map_err(failed())? {
        return Ok(());
    }
    // A head that is wrong says neither size nor salt: nothing can be told from leftovers then.
    let Some(reading) = Reading::new(&header) else { return Ok(()) };
    let mut sum = reading.sum;
    let mut frame = vec![0; FRAME_HEADER + reading.page];
    let mut pending: Vec<(u32, Vec<u8>)> = Vec::new();
    while read_whole(&mut file, &mut frame).map_err(failed())? {
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        let told = [number(&frame, 16), number(&frame, 20)];
        if frame[8..16] == reading.salt && sum.words == told && number(&frame, 0) != 0 {
            pending.push((number(&frame, 0), frame[FRAME_HEADER..].to_vec()));
            if number(&frame, 4) != 0 {
                for (number, bytes) in pending.drain(..) {
                    page(number, &bytes).map_err(failed())?;
                }
            }
        }
        sum.words = told;
    }
    Ok(())
}

/// Writes the file at `path`, a journal above all, over itself and syncs it. After a failed sync the kernel may show what never reached the disk and
/// call it clean; written again it is either safe or the failure is told.
///
/// # Errors
/// `Full`, `SyncFailed`; it cannot be opened.
pub(crate) fn write_again(store: &Path, path: &Path) -> Result<(), Error> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(store, "open it to write it again")(error)),
    };
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let failed = "write it again";
        file.seek(SeekFrom::Start(at)).map_err(Error::io(store, failed))?;
        let length = file.read(&mut piece).map_err(Error::io(store, failed))?;
        if length == 0 {
            break;
        }
        file.seek(SeekFrom::Start(at)).map_err(Error::io(store, failed))?;
        file.write_all(&piece[..length]).map_err(Error::io(store, failed))?;
        at += length as u64;
    }
    file.sync_all()
        .map_err(|error| Error::new(store, ErrorKind::SyncFailed, format!("sync {}: {error}", path.display())))
}

/// False at the end of the file, whole or within the buffer.
fn read_whole(file: &mut impl Read, into: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The state of reading a journal frame by frame.
struct Reading {
    page: usize,
    salt: [u8; 8],
    sum: Sum,
    /// Frames seen, and those up to the last complete commit.
    seen: u64,
    committed: u64,
    /// Set at the first wrong frame; what follows is only looked at.
    is_behind: bool,
    /// Frames of this journal that SQLite will not take.
    behind: u64,
    was_commit: bool,
    /// A frame that proves damage.
    finding: Option<u64>,
}

impl Reading {
    /// `None` when the header is not one.
    fn new(header: &[u8; HEADER]) -> Option<Self> {
        let magic = number(header, 0);
        let mut sum = Sum { big_endian: magic & 1 == 1, words: [0; 2] };
        sum.add(&header[..24]);
        let page = number(header, 8) as usize;
        let is_one = magic & !1 == 0x377f_0682 && number(header, 4) == 3_007_000;
        let is_whole = sum.words == [number(header, 24), number(header, 28)];
        if !(is_one && is_whole && page.is_power_of_two() && (512..=65536).contains(&page)) {
            return None;
        }
        let salt = header[16..24].try_into().ok()?;
        Some(Self {
            page,
            salt,
            sum,
            seen: 0,
            committed: 0,
            is_behind: false,
            behind: 0,
            was_commit: false,
            finding: None,
        })
    }

    fn cut(&self) -> u64 {
        if self.is_behind { self.behind } else { self.seen - self.committed }
    }

    fn take(&mut self, frame: &[u8]) {
        self.seen += 1;
        let is_commit = number(frame, 4) != 0;
        let is_ours = frame[8..16] == self.salt;
        let before = self.sum;
        let mut sum = before;
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        let told = [number(frame, 16), number(frame, 20)];
        if !self.is_behind {
            if is_ours && sum.words == told && number(frame, 0) != 0 {
                self.sum = sum;
                if is_commit {
                    self.committed = self.seen;
                }
                return;
            }
            self.is_behind = true;
            self.behind = self.seen - 1 - self.committed;
            if self.is_one_bit_off(frame, sum.words, told) {
                self.finding = Some(self.seen);
                self.behind += 1;
                return;
            }
        }
        if is_ours {
            self.behind += 1;
            // Nothing is written behind a commit before that one is on disk.
            if self.was_commit {
                self.finding.get_or_insert(self.seen);
            }
            self.was_commit = is_commit;
        }
    }

    /// Whether this frame was whole once and one bit of it turned since: no write that was cut short looks like that.
    fn is_one_bit_off(&self, frame: &[u8], sum: [u32; 2], told: [u32; 2]) -> bool {
        let salts: u32 = frame[8..16].iter().zip(self.salt).map(|(a, b)| (a ^ b).count_ones()).sum();
        let sums: u32 = sum.iter().zip(told).map(|(a, b)| (a ^ b).count_ones()).sum();
        if salts + sums <= 1 {
            return true;
        }
        salts == 0 && self.sum.is_off_by_one_bit(&frame[..8], &frame[FRAME_HEADER..], told)
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// The running checksum of a journal.
#[derive(Clone, Copy, Debug)]
struct Sum {
    big_endian: bool,
    words: [u32; 2],
}

impl Sum {
    fn word(self, four: &[u8]) -> u32 {
        let four = four.try_into().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut a, mut b] = self.words;
        for pair in bytes.chunks_exact(8) {
            a = a.wrapping_add(self.word(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(self.word(&pair[4..])).wrapping_add(a);
        }
        self.words = [a, b];
    }

    /// Whether some single bit of `head` and `page`, turned, makes their sum `told`.
    ///
    /// The sum is linear: a word that grows by `d` changes it by `d` times a factor that depends on its place alone.
    fn is_off_by_one_bit(self, head: &[u8], page: &[u8], told: [u32; 2]) -> bool {
        let mut sum = self;
        sum.add(head);
        sum.add(page);
        let missing = [told[0].wrapping_sub(sum.words[0]), told[1].wrapping_sub(sum.words[1])];
        // What one more in the last pair's first or second word does to the sum, and so on towards the front.
        let (mut first, mut second) = ([1u32, 1u32], [0u32, 1u32]);
        let words = head.chunks_exact(8).chain(page.chunks_exact(8)).rev();
        for pair in words {
            for (word, factor) in [(self.word(&pair[..4]), first), (self.word(&pair[4..]), second)] {
                for bit in (0..32).map(|shift| 1u32 << shift) {
                    let by = if word & bit == 0 { bit } else { bit.wrapping_neg() };
                    if factor[0].wrapping_mul(by) == missing[0] && factor[1].wrapping_mul(by) == missing[1] {
                        return true;
                    }
                }
            }
            first = later(first);
            second = later(second);
        }
        false
    }
}

/// A difference in the sum, one pair of words later.
fn later([a, b]: [u32; 2]) -> [u32; 2] {
    let a = a.wrapping_add(b);
    [a, b.wrapping_add(a)]
}

#[cfg(test)]
mod tests;
