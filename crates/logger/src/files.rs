//! Lines to one file a worker.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evercrew_sys::terminal::Stderr;

use crate::assembly::Line;
use crate::backlog::Backlog;

/// Bytes that may wait for one file while the disk is full.
const BACKLOG_LIMIT: usize = 256 * 1024;

/// The files of all workers.
#[derive(Debug)]
pub(crate) struct Files {
    directory: Option<PathBuf>,
    files: BTreeMap<Arc<str>, LogFile>,
    stderr: Option<Stderr>,
}

#[derive(Debug)]
struct LogFile {
    file: Option<File>,
    backlog: Backlog,
    /// Pipes whose lines go here.
    writers: usize,
    /// The last attempt failed, which was said.
    failing: bool,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { directory: None, files: BTreeMap::new(), stderr: Stderr::new().ok() }
    }

    /// Lines that follow go to files in `directory`.
    pub(crate) fn configure(&mut self, directory: PathBuf) {
        if self.directory.as_ref() != Some(&directory) {
            self.flush();
            self.close();
            self.directory = Some(directory);
        }
    }

    /// Every file is opened again by its name: somebody has renamed them.
    pub(crate) fn reopen(&mut self) {
        self.flush();
        self.close();
    }

    fn close(&mut self) {
        for file in self.files.values_mut() {
            file.file = None;
        }
    }

    /// A pipe more has the worker `name`.
    pub(crate) fn attach(&mut self, name: &Arc<str>) {
        let file = self.files.entry(Arc::clone(name)).or_insert_with(|| LogFile {
            file: None,
            backlog: Backlog::new(BACKLOG_LIMIT),
            writers: 0,
            failing: false,
        });
        file.writers += 1;
    }

    /// A pipe of the worker `name` ended. With the last one its file is closed, once everything is written.
    pub(crate) fn detach(&mut self, name: &Arc<str>) {
        let Some(file) = self.files.get_mut(name) else { return };
        file.writers = file.writers.saturating_sub(1);
        if file.writers == 0 {
            self.flush_one(name);
        }
    }

    /// `stamp` is the moment it was read, as text.
    pub(crate) fn line(&mut self, name: &Arc<str>, stamp: &str, line: &Line<'_>) {
        if self.directory.is_none() {
            return;
        }
        let Some(file) = self.files.get_mut(name) else { return };
        file.backlog.push(|bytes, count| report(bytes, stamp, count), |bytes| record(bytes, stamp, line));
        // A full disk is asked again now and then, not for every line.
        if file.backlog.is_large() && !file.failing {
            self.flush_one(name);
        }
    }

    /// Something waits for a disk that has room again.
    pub(crate) fn waits(&self) -> bool {
        self.files.values().any(|file| !file.backlog.is_empty())
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        self.flush_where(|_| true);
    }

    /// Writes what waits for the files whose last attempt did not fail.
    pub(crate) fn flush_healthy(&mut self) {
        self.flush_where(|file| !file.failing);
    }

    fn flush_where(&mut self, wanted: impl Fn(&LogFile) -> bool) {
        let waiting = self.files.iter().filter(|(_, file)| !file.backlog.is_empty() && wanted(file));
        let names: Vec<Arc<str>> = waiting.map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            self.flush_one(&name);
        }
    }

    fn flush_one(&mut self, name: &Arc<str>) {
        let (Some(directory), Some(file)) = (&self.directory, self.files.get_mut(name)) else { return };
        let path = directory.join(file_name(name));
        match file.flush(directory, &path) {
            Ok(()) if file.writers == 0 => {
                self.files.remove(name);
            }
            Ok(()) => file.failing = false,
            Err(error) => {
                if !file.failing
                    && let Some(stderr) = &self.stderr
                {
                    stderr.line(&format!("logger: could not write {}: {error}; lines wait", path.display()));
                }
                file.failing = true;
            }
        }
    }
}

impl LogFile {
    fn flush(&mut self, directory: &Path, path: &Path) -> io::Result<()> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => open(directory, path)?,
        };
        let file = self.file.insert(file);
        self.backlog.flush(|bytes| file.write(bytes))
    }
}

fn open(directory: &Path, path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            open()
        }
        result => result,
    }
}

/// `web.1.log`. Names have no slash by their grammar; one that had would not lead out of the directory.
fn file_name(name: &str) -> String {
    let name: String = name.chars().map(|character| if character == '/' { '_' } else { character }).collect();
    format!("{name}.log")
}

fn report(bytes: &mut Vec<u8>, stamp: &str, count: u64) {
    // Writing to memory cannot fail.
    let _ = writeln!(bytes, "{stamp} … {count} lines dropped");
}

fn record(bytes: &mut Vec<u8>, stamp: &str, line: &Line<'_>) {
    bytes.extend_from_slice(stamp.as_bytes());
    bytes.push(b' ');
    if !line.begins {
        bytes.extend_from_slice("…".as_bytes());
    }
    bytes.extend_from_slice(line.text);
    if !line.ends {
        bytes.extend_from_slice("…".as_bytes());
    }
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_directory() {
        assert_eq!(file_name("web.1"), "web.1.log");
        assert_eq!(file_name("../etc/x"), ".._etc_x.log");
        assert_eq!(file_name(".."), "...log");
    }
}
