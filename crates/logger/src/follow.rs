//! Log files as they grow: every line once, across rotation.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::history::{Current, Snapshot, open};
use crate::name::{self, GZ};

/// Bytes that one look takes from one file, so that a flood keeps no other file waiting.
const AT_ONCE: usize = 1 << 20;

/// A file that is followed by its name.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    base: String,
    open: Option<Open>,
    /// The newest complete file that needs no reading.
    read: String,
    /// What is read of a line that is not finished.
    partial: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    current: Current,
    identity: (u64, u64),
    position: u64,
}

impl Open {
    fn at(mut current: Current, position: u64) -> io::Result<Self> {
        let metadata = current.file.metadata()?;
        current.file.seek(SeekFrom::Start(position))?;
        Ok(Self { current, identity: (metadata.dev(), metadata.ino()), position })
    }
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whole lines, without newlines.
    pub lines: Vec<Vec<u8>>,
    /// There is more to read at once.
    pub more: bool,
    /// Files were deleted before they were read.
    pub lost: bool,
}

impl Follower {
    /// Lines that are written after the snapshot.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn after(snapshot: Snapshot) -> io::Result<Self> {
        let Snapshot { directory, base, current, complete } = snapshot;
        let read = complete.last().cloned().unwrap_or_default();
        let open = current.map(|current| {
            let end = current.end;
            Open::at(current, end)
        });
        Ok(Self { directory, base, open: open.transpose()?, read, partial: Vec::new() })
    }

    /// All lines of a file that appears later.
    pub fn from_start(directory: &Path, base: &str) -> Self {
        let (directory, base) = (directory.to_owned(), base.to_owned());
        Self { directory, base, open: None, read: String::new(), partial: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(name::current(&self.base))
    }

    fn open(&self) -> io::Result<Option<Open>> {
        Current::open(&self.path())?.map(|current| Open::at(current, 0)).transpose()
    }

    /// Reads what was written since the last look.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn look(&mut self) -> io::Result<Found> {
        let mut found = Found::default();
        let path = self.path();
        let Some(open) = &mut self.open else {
            self.next_file(&mut found)?;
            return Ok(found);
        };
        // Its name is asked before it is read: what has lost it grows no more, so nothing is left behind.
        let replaced = fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) != open.identity);
        if open.current.file.metadata()?.len() < open.position {
            // Somebody has cut it.
            open.position = open.current.file.seek(SeekFrom::Start(0))?;
            self.partial.clear();
        }
        let mut bytes = Vec::new();
        let count = (&mut open.current.file).take(AT_ONCE as u64).read_to_end(&mut bytes)?;
        open.position += count as u64;
        take_lines(&mut self.partial, &bytes, &mut found.lines);
        if count == AT_ONCE {
            found.more = true;
        } else if replaced {
            self.next_file(&mut found)?;
        }
        Ok(found)
    }

    /// Goes on with the files that followed this one.
    fn next_file(&mut self, found: &mut Found) -> io::Result<()> {
        // The next one is opened before the ones between are looked for: it may become one of them meanwhile.
        let Some(next) = self.open()? else { return Ok(()) };
        let complete = name::scan(&self.directory)?.remove(&self.base).unwrap_or_default();
        let until = next.current.complete_name();
        found.more = true;
        if !self.partial.is_empty() {
            found.lines.push(std::mem::take(&mut self.partial));
        }
        if let Some(open) = self.open.replace(next) {
            // Renamed by somebody else: which files came between, nobody can tell.
            let Some(mine) = open.current.complete_name() else { return Ok(()) };
            self.read = mine.strip_suffix(GZ).unwrap_or(&mine).to_owned();
            let later = complete.iter().any(|name| *name > self.read);
            found.lost = later && !complete.contains(&self.read);
        }
        let read = std::mem::take(&mut self.read);
        let is_between = |name: &&String| **name > read && until.as_ref().is_none_or(|until| *name < until);
        for name in complete.iter().filter(is_between) {
            self.read_all(&self.directory.join(name), found)?;
        }
        self.read = complete.iter().rfind(is_between).cloned().unwrap_or(read);
        Ok(())
    }

    fn read_all(&mut self, path: &Path, found: &mut Found) -> io::Result<()> {
        // One that is just being compressed has one of the two names at any moment.
        let file = match open(path)? {
            Some(file) => Some(file),
            None => open(path)?,
        };
        let Some(mut file) = file else {
            found.lost = true;
            return Ok(());
        };
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match file.read(&mut bytes)? {
                0 => return Ok(()),
                count => take_lines(&mut self.partial, &bytes[..count], &mut found.lines),
            }
        }
    }
}

fn take_lines(partial: &mut Vec<u8>, bytes: &[u8], lines: &mut Vec<Vec<u8>>) {
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        match piece.strip_suffix(b"\n") {
            Some(end) => {
                partial.extend_from_slice(end);
                lines.push(std::mem::take(partial));
            }
            None => partial.extend_from_slice(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn follower(directory: &Path) -> Follower {
        Follower::after(Snapshot::take(directory, "w").expect("read")).expect("open")
    }

    /// Everything that looks find until there is nothing more.
    fn all(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let found = follower.look().expect("look");
            assert!(!found.lost);
            lines.extend(found.lines.into_iter().map(|line| String::from_utf8_lossy(&line).into_owned()));
            if !found.more {
                return lines;
            }
        }
    }

    #[test]
    fn lines_are_told_once_and_whole_across_rotation() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("w.log"), "old\n").expect("write");
        let mut follower = follower(directory.path());
        let mut file = File::options().append(true).open(at("w.log")).expect("open");
        write!(file, "one\ntw").expect("write");
        assert_eq!(all(&mut follower), ["one"]);
        writeln!(file, "o").expect("write");
        // Three rotations between two looks, one of them compressed already.
        fs::rename(at("w.log"), at("w.log.20260101T000001.000Z")).expect("rename");
        let mut gz = flate2::write::GzEncoder::new(
            File::create(at("w.log.20260101T000002.000Z.gz")).expect("create"),
            flate2::Compression::fast(),
        );
        writeln!(gz, "three").expect("write");
        gz.finish().expect("finish");
        fs::write(at("w.log.20260101T000003.000Z"), "four\n").expect("write");
        fs::write(at("w.log"), "five\n").expect("write");
        assert_eq!(all(&mut follower), ["two", "three", "four", "five"]);
        assert_eq!(all(&mut follower), [""; 0]);
        // Cut by somebody.
        fs::write(at("w.log"), "6\n").expect("write");
        assert_eq!(all(&mut follower), ["6"]);
    }

    #[test]
    fn a_file_that_is_completed_while_it_is_opened_is_read_once() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        let mut follower = Follower::from_start(directory.path(), "w");
        fs::write(at("w.log.20260101T000001.000Z"), "one\n").expect("write");
        fs::write(at("w.log.20260101T000002.000Z"), "two\n").expect("write");
        // Opened under one name, complete under another by the time the others are looked for.
        std::os::unix::fs::symlink("w.log.20260101T000002.000Z", at("w.log")).expect("link");
        assert_eq!(all(&mut follower), ["one", "two"]);
    }

    #[test]
    fn files_that_went_before_they_were_read_are_told() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("w.log"), "").expect("write");
        let mut follower = follower(directory.path());
        fs::rename(at("w.log"), at("w.log.20260101T000001.000Z")).expect("rename");
        fs::remove_file(at("w.log.20260101T000001.000Z")).expect("remove");
        fs::write(at("w.log.20260101T000003.000Z"), "three\n").expect("write");
        fs::write(at("w.log"), "").expect("write");
        let found = follower.look().expect("look");
        assert!(found.lost, "there may have been one between");
        assert_eq!(found.lines, [b"three".to_vec()]);
    }
}
