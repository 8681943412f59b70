//! Log files as they are read back: the last lines of one worker's or service's, newest file first, or all of them.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::compress::with;
use crate::entry::Entry;
use crate::name::{self, GZ};

/// What is read at once from the end of a file; four times as much with every further try.
const BLOCK: u64 = 256 * 1024;

/// A line that is longer is cut: no file can fill the memory.
const LONGEST: u64 = 8 << 20;

/// The names in `directory` that there are files of: `web.1`, or `web` where a service has one file.
///
/// # Errors
/// When the directory cannot be read; one that is missing has none.
pub fn names(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    for name in name::names(directory)? {
        let complete = name::parse_complete(&name).map(|(base, _)| base);
        found.extend(complete.or_else(|| name.strip_suffix(".log")).map(str::to_owned));
    }
    Ok(found)
}

/// The files of one name at one moment: those that are complete, then the one that is written, up to where it ended.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) directory: PathBuf,
    pub(crate) base: String,
    /// Oldest first.
    pub(crate) complete: Vec<String>,
    pub(crate) current: Option<Current>,
}

/// The file that is written, open.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) file: File,
    /// Where it ended.
    pub(crate) end: u64,
}

impl Current {
    /// The file that has this name now; `None` when none has.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { end: file.metadata()?.len(), file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What it is called since it is complete, if it is.
    pub(crate) fn complete_name(&self) -> Option<String> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()?;
        let name = path.file_name()?.to_str()?;
        // Compressed since, or deleted for its age.
        let name = name.strip_suffix(" (deleted)").unwrap_or(name);
        name::parse_complete(name).map(|_| name.to_owned())
    }
}

impl Snapshot {
    /// Of the files of `base` in `directory`, now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn take(directory: &Path, base: &str) -> io::Result<Self> {
        // The file that is written first: if it is completed meanwhile, it shows under its new name, and is left out.
        let current = Current::open(&directory.join(name::current(base)))?;
        let mut complete = name::scan(directory)?.remove(base).unwrap_or_default();
        if let Some(since) = current.as_ref().and_then(Current::complete_name) {
            complete.retain(|name| *name < since);
        }
        Ok(Self { directory: directory.to_owned(), base: base.to_owned(), complete, current })
    }

    /// Complete files whose last line may be at `since` or later. Their names tell when they were completed.
    fn complete_since(&self, since: &str) -> Vec<PathBuf> {
        let earliest: String = since.chars().filter(|character| !matches!(character, '-' | ':')).collect();
        let start = self.base.len() + ".log.".len();
        let late = |name: &&String| name.get(start..).is_none_or(|moment| moment >= earliest.as_str());
        self.complete.iter().filter(late).map(|name| self.directory.join(name)).collect()
    }

    /// The last `most` lines that `wanted` takes and that are not before `since`, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read. One that is gone was deleted for its age.
    pub fn last(&mut self, most: usize, since: &str, wanted: &dyn Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
        let wanted = |entry: &Entry| is_since(entry, since) && wanted(entry);
        let mut last = match &mut self.current {
            Some(Current { file, end }) => from_the_end(file, *end, most, &wanted)?,
            None => Vec::new(),
        };
        for path in self.complete_since(since).iter().rev() {
            let left = most.saturating_sub(last.len());
            if left == 0 {
                break;
            }
            let mut before = last_of(path, left, &wanted)?;
            before.append(&mut last);
            last = before;
        }
        Ok(last)
    }

    /// Every line not before `since`, oldest first.
    ///
    /// # Errors
    /// When the file that is written cannot be read.
    pub fn lines(&self, since: &str) -> io::Result<Lines> {
        let current = match &self.current {
            Some(Current { file, end }) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Some(file.take(*end))
            }
            None => None,
        };
        Ok(Lines { files: self.complete_since(since).into_iter(), current, open: None, since: since.to_owned() })
    }
}

fn is_since(entry: &Entry, since: &str) -> bool {
    entry.time.as_str() >= since || entry.time.is_empty()
}

/// All lines of a series, oldest first.
pub struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    /// The last one.
    current: Option<Take<File>>,
    open: Option<Box<dyn BufRead>>,
    since: String,
}

impl Iterator for Lines {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.open.is_none() {
                let file = match self.files.next() {
                    Some(path) => open(&path),
                    None => Ok(Some(Box::new(self.current.take()?) as Box<dyn Read>)),
                };
                match file {
                    Ok(file) => self.open = file.map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead>),
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some(file) = &mut self.open else { continue };
            match line(file) {
                Ok(Some(line)) => {
                    let entry = Entry::parse(&line);
                    if is_since(&entry, &self.since) {
                        return Some(Ok(entry));
                    }
                }
                Ok(None) => self.open = None,
                // The rest of a damaged file is not there.
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The next line, without its newline; an unfinished one at the end of the file is one too.
fn line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    file.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// The file, compressed or not; `None` when it is gone.
pub(crate) fn open(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    match File::open(path) {
        Ok(file) => return Ok(Some(Box::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match File::open(with(path, GZ)) {
        Ok(file) => Ok(Some(Box::new(MultiGzDecoder::new(BufReader::new(file))))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn last_of(path: &Path, most: usize, wanted: &dyn Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
    match File::open(path) {
        Ok(mut file) => {
            let end = file.metadata()?.len();
            from_the_end(&mut file, end, most, wanted)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(file) = open(path)? else { return Ok(Vec::new()) };
            Ok(last_lines(&mut BufReader::new(file), most, wanted)?.into())
        }
        Err(error) => Err(error),
    }
}

/// Reads ever larger pieces from the end, until there are enough lines in one.
fn from_the_end(file: &mut File, size: u64, most: usize, wanted: &dyn Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
    let mut block = BLOCK;
    loop {
        let start = size.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new((&mut *file).take(size - start));
        if start > 0 {
            // What stands before the first newline belongs to a line that began earlier.
            reader.skip_until(b'\n')?;
        }
        let last = last_lines(&mut reader, most, wanted)?;
        if start == 0 || last.len() >= most {
            return Ok(last.into());
        }
        block = block.saturating_mul(4);
    }
}

fn last_lines(file: &mut impl BufRead, most: usize, wanted: &dyn Fn(&Entry) -> bool) -> io::Result<VecDeque<Entry>> {
    let mut last = VecDeque::new();
    while let Some(line) = line(file)? {
        let entry = Entry::parse(&line);
        if wanted(&entry) {
            last.push_back(entry);
        }
        if last.len() > most {
            last.pop_front();
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text(from: usize, to: usize) -> String {
        (from..to).map(|n| format!("2026-01-01T00:00:{:02}.000Z web.1 out line {n}\n", n % 60)).collect()
    }

    fn numbers(entries: &[Entry]) -> Vec<usize> {
        let number = |entry: &Entry| String::from_utf8_lossy(&entry.text)[5..].parse().expect("a number");
        entries.iter().map(number).collect()
    }

    fn series() -> (tempfile::TempDir, Snapshot) {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        let gz = File::create(at("web.1.log.20260101T000009.000Z.gz")).expect("create");
        let mut gz = GzEncoder::new(gz, Compression::fast());
        gz.write_all(text(0, 10).as_bytes()).expect("write");
        gz.finish().expect("finish");
        fs::write(at("web.1.log.20260101T000019.000Z"), text(10, 20)).expect("write");
        // As a logger leaves it that was killed between compressing and deleting: the same lines twice.
        fs::write(at("web.1.log.20260101T000019.000Z.gz"), "x").expect("write");
        fs::write(at("web.1.log"), text(20, 30)).expect("write");
        assert_eq!(names(directory.path()).expect("read"), BTreeSet::from(["web.1".to_owned()]));
        let snapshot = Snapshot::take(directory.path(), "web.1").expect("read");
        // What comes later is not part of it.
        let mut file = File::options().append(true).open(at("web.1.log")).expect("open");
        file.write_all(text(30, 40).as_bytes()).expect("write");
        fs::rename(at("web.1.log"), at("web.1.log.20260101T000029.000Z")).expect("rename");
        (directory, snapshot)
    }

    #[test]
    fn the_last_lines_are_found_across_compressed_files() {
        let (_directory, mut series) = series();
        let mut last = |most, since| numbers(&series.last(most, since, &|_| true).expect("read"));
        assert_eq!(last(3, ""), [27, 28, 29]);
        assert_eq!(last(15, ""), (15..30).collect::<Vec<_>>());
        assert_eq!(last(25, ""), (5..30).collect::<Vec<_>>());
        assert_eq!(last(1000, ""), (0..30).collect::<Vec<_>>());
        assert_eq!(last(1000, "2026-01-01T00:00:18.000Z"), (18..30).collect::<Vec<_>>());
        let even = series.last(2, "", &|entry| entry.text.ends_with(b"0")).expect("read");
        assert_eq!(numbers(&even), [10, 20]);
        let all: Vec<Entry> = series.lines("").expect("read").collect::<io::Result<_>>().expect("read");
        assert_eq!(numbers(&all), (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_large_file_is_read_from_its_end() {
        let directory = tempfile::tempdir().expect("directory");
        fs::write(directory.path().join("web.1.log"), text(0, 60_000)).expect("write");
        let mut series = Snapshot::take(directory.path(), "web.1").expect("read");
        assert_eq!(numbers(&series.last(2, "", &|_| true).expect("read")), [59_998, 59_999]);
        let rare = series.last(1, "", &|entry| entry.text == b"line 7").expect("read");
        assert_eq!(numbers(&rare), [7]);
    }
}
