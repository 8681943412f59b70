//! One log file and those before it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::clock;
use evercrew_wire::logger::Style;

use crate::assembly::Line;
use crate::backlog::Backlog;
use crate::compress::{Compressor, with};
use crate::entry::{self, MARK, STAMP, Whose, stamp_of};
use crate::name::{self, GZ};

/// Bytes that may wait for one file while the disk is full.
pub(crate) const BACKLOG_LIMIT: usize = 256 * 1024;

/// How often it is asked whether the file still has its name: renamed and deleted ones are found that soon.
const LOOK: Duration = Duration::from_millis(100);

/// Until a rotation that failed is tried again.
const ROTATE_AGAIN: Duration = Duration::from_secs(1);

/// Room for the longest text of a stamp, and what JSON has before it.
const BEGINNING: usize = 64;

/// A log file, the lines that wait for it, and the complete files before it.
#[derive(Debug)]
pub(crate) struct LogFile {
    /// `web.1`.
    base: String,
    directory: PathBuf,
    style: Style,
    open: Option<Open>,
    backlog: Backlog,
    /// The complete files, oldest first, without `.gz`.
    complete: Vec<String>,
    /// Pipes whose lines go here.
    writers: usize,
    /// The last attempt failed, which was said.
    failing: bool,
    /// Until then no rotation is tried.
    rotate_at: Option<Mono>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    size: u64,
    /// When its first line was written.
    begun: Mono,
    looked: Mono,
}

/// What changed with an attempt to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Failed(String),
    /// With the lines that were dropped meanwhile.
    Resumed(u64),
}

impl LogFile {
    /// `complete` as [`name::scan`] finds them.
    pub(crate) fn new(base: &str, directory: &Path, style: Style, complete: Vec<String>) -> Self {
        Self {
            base: base.to_owned(),
            directory: directory.to_owned(),
            style,
            open: None,
            backlog: Backlog::new(BACKLOG_LIMIT),
            complete,
            writers: 0,
            failing: false,
            rotate_at: None,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(name::current(&self.base))
    }

    pub(crate) fn restyle(&mut self, style: Style) {
        self.style = style;
    }

    pub(crate) fn attach(&mut self) {
        self.writers += 1;
    }

    /// Without writers the descriptor is given back once everything is written.
    pub(crate) fn detach(&mut self) {
        self.writers = self.writers.saturating_sub(1);
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    pub(crate) fn limit(&mut self, limit: usize) {
        self.backlog.limit(limit);
    }

    /// The file is opened by its name again: somebody has renamed it.
    pub(crate) fn reopen(&mut self) {
        self.open = None;
        self.backlog.rewind();
    }

    /// It is elsewhere from the next line on.
    pub(crate) fn move_to(&mut self, directory: &Path, complete: Vec<String>) {
        self.reopen();
        self.directory = directory.to_owned();
        self.complete = complete;
    }

    /// Adds a line; it is time to write when this gives true.
    pub(crate) fn line(&mut self, stamp: &str, whose: Whose<'_>, line: &Line<'_>) -> bool {
        let format = self.style.format;
        self.backlog.push(
            |bytes, count| mark(bytes, self.style, stamp, whose, &dropped(count)),
            |bytes| entry::write(bytes, format, stamp, whose, line),
        );
        self.backlog.is_large() && !self.failing
    }

    /// Adds what the logger itself has to say.
    pub(crate) fn mark(&mut self, stamp: &str, whose: Whose<'_>, text: &str) {
        let line = Line { text: text.as_bytes(), begins: true, ends: true };
        self.line(stamp, Whose { stream: MARK, ..whose }, &line);
    }

    /// Writes what waits, beginning new files as they get full or old.
    pub(crate) fn flush(&mut self, compressor: &mut Compressor) -> Change {
        let written = self.write(compressor);
        if self.backlog.is_empty() && self.writers == 0 {
            self.open = None;
        }
        match written {
            Ok(()) if !self.failing => Change::None,
            Ok(()) => {
                self.failing = false;
                let lost = self.backlog.dropped();
                let base = self.base.clone();
                // No line has come yet that would tell of it.
                let whose = Whose { name: &base, service: &base, generation: 0, stream: MARK };
                let style = self.style;
                self.backlog.report(|bytes, count| mark(bytes, style, &crate::stamp::now(), whose, &dropped(count)));
                match self.write(compressor) {
                    Ok(()) => Change::Resumed(lost),
                    Err(error) => {
                        self.failing = true;
                        Change::Failed(error.to_string())
                    }
                }
            }
            Err(_) if self.failing => Change::None,
            Err(error) => {
                self.failing = true;
                Change::Failed(error.to_string())
            }
        }
    }

    fn write(&mut self, compressor: &mut Compressor) -> io::Result<()> {
        while !self.backlog.is_empty() {
            let now = clock::mono();
            self.look(now);
            let may_rotate = self.rotate_at.is_none_or(|at| at <= now);
            if may_rotate && self.is_old(now) {
                self.rotate(now, compressor);
                continue;
            }
            let open = match self.open.take() {
                Some(open) => open,
                None => self.open(now)?,
            };
            let open = self.open.insert(open);
            let room = if may_rotate { self.style.max_size.saturating_sub(open.size) } else { u64::MAX };
            let lines = self.backlog.front(room, open.size == 0);
            if lines.is_empty() {
                self.rotate(now, compressor);
                continue;
            }
            match open.file.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    open.size += count as u64;
                    self.backlog.wrote(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.backlog.compact();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn is_old(&self, now: Mono) -> bool {
        let limit = self.style.max_age_ms.map(Duration::from_millis);
        let open = self.open.as_ref().filter(|open| open.size > 0);
        open.zip(limit).is_some_and(|(open, limit)| now.since(open.begun) >= limit) && self.backlog.is_whole()
    }

    /// Whether the file still has its name, asked now and then: one that was renamed or deleted gets no more lines.
    fn look(&mut self, now: Mono) {
        let Some(open) = &mut self.open else { return };
        if now.since(open.looked) < LOOK {
            return;
        }
        open.looked = now;
        let identity = open.identity;
        let moved = match fs::metadata(self.path()) {
            Ok(there) => (there.dev(), there.ino()) != identity,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if moved {
            self.reopen();
        }
    }

    fn open(&self, now: Mono) -> io::Result<Open> {
        let path = self.path();
        let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&path);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
                open()?
            }
            result => result?,
        };
        let metadata = file.metadata()?;
        let mut size = metadata.len();
        let mut begun = now;
        if size > 0 && metadata.is_file() {
            size += finish_torn_line(&mut file)?;
            begun = earlier(now, age(&mut file)?);
        }
        Ok(Open { file, identity: (metadata.dev(), metadata.ino()), size, begun, looked: now })
    }

    /// Makes the file a complete one. When that cannot be done, the lines go on where they went.
    fn rotate(&mut self, now: Mono, compressor: &mut Compressor) {
        let name = name::complete(&self.base, clock_millis(), self.complete.last().map(String::as_str));
        match fs::rename(self.path(), self.directory.join(&name)) {
            Ok(()) => {
                self.open = None;
                self.complete.push(name);
                self.prune();
                if self.style.compress
                    && let Some(last) = self.complete.last()
                {
                    compressor.add(self.directory.join(last));
                }
            }
            // Somebody has moved or deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reopen(),
            Err(_) => self.rotate_at = Some(now.after(ROTATE_AGAIN)),
        }
    }

    /// Deletes the complete files that are too many.
    fn prune(&mut self) {
        let keep = usize::try_from(self.style.keep).unwrap_or(usize::MAX);
        let over = self.complete.len().saturating_sub(keep);
        for name in self.complete.drain(..over) {
            let path = self.directory.join(name);
            // In this order: see `compress`.
            let _ = fs::remove_file(&path);
            let _ = fs::remove_file(with(&path, GZ));
        }
    }

    /// What an earlier logger left undone: files that are too many or not compressed.
    pub(crate) fn tidy(&mut self, compressor: &mut Compressor) {
        self.prune();
        if self.style.compress {
            for name in &self.complete {
                let path = self.directory.join(name);
                if path.exists() {
                    compressor.add(path);
                }
            }
        }
    }
}

/// A logger that was killed, or a machine that lost its power, may have left half a line. Gives the bytes added.
fn finish_torn_line(file: &mut File) -> io::Result<u64> {
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(0);
    }
    file.write_all(b"\n")?;
    Ok(1)
}

/// How long ago its first line was written; nothing when it does not say.
fn age(file: &mut File) -> io::Result<Duration> {
    file.seek(SeekFrom::Start(0))?;
    let mut beginning = Vec::with_capacity(BEGINNING);
    file.take(BEGINNING as u64).read_to_end(&mut beginning)?;
    let stamp = stamp_of(&beginning).and_then(|stamp| stamp.get(..STAMP)?.parse::<jiff::Timestamp>().ok());
    let millis = stamp.map_or(0, |stamp| clock_millis().saturating_sub(stamp.as_millisecond()));
    Ok(Duration::from_millis(millis.max(0).unsigned_abs()))
}

fn earlier(now: Mono, by: Duration) -> Mono {
    Mono::from_nanos(now.as_nanos().saturating_sub(by.as_nanos().try_into().unwrap_or(u64::MAX)))
}

fn clock_millis() -> i64 {
    jiff::Timestamp::try_from(clock::wall()).unwrap_or_default().as_millisecond()
}

fn dropped(count: u64) -> String {
    format!("{count} lines dropped")
}

fn mark(bytes: &mut Vec<u8>, style: Style, stamp: &str, whose: Whose<'_>, text: &str) {
    let line = Line { text: text.as_bytes(), begins: true, ends: true };
    entry::write(bytes, style.format, stamp, Whose { stream: MARK, ..whose }, &line);
}
