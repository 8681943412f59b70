//! Complete files to smaller ones, beside the work.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use evercrew_sys::priority;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::name::{GZ, PART};

/// Files that may wait. What finds no room is compressed by the next logger.
const QUEUE: usize = 1024;

/// How much less this is worth than the processors' other work.
const NICENESS: i32 = 15;

/// A thread that compresses one file after the other.
#[derive(Debug)]
pub(crate) struct Compressor {
    queue: Option<SyncSender<PathBuf>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Compressor {
    /// Begun with the first file.
    pub(crate) fn new() -> Self {
        Self { queue: None, thread: None, stop: Arc::default() }
    }

    /// Compresses the complete file at `path` when its turn comes.
    pub(crate) fn add(&mut self, path: PathBuf) {
        if self.thread.is_none() {
            let (queue, files) = sync_channel(QUEUE);
            let stop = Arc::clone(&self.stop);
            let thread = std::thread::Builder::new().name("compress".to_owned());
            self.thread = thread.spawn(move || work(&files, &stop)).ok();
            self.queue = self.thread.is_some().then_some(queue);
        }
        if let Some(queue) = &self.queue {
            // A full queue: the file stays as it is.
            let _ = queue.try_send(path);
        }
    }
}

/// Ends in the middle of a file, which then stays as it was.
impl Drop for Compressor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(files: &Receiver<PathBuf>, stop: &AtomicBool) {
    priority::lower(NICENESS);
    while let Ok(path) = files.recv() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // Without room for it the file stays as it is, and is as readable.
        let _ = compress(&path, stop);
    }
}

/// At any moment either the file or its compressed form is whole.
fn compress(path: &Path, stop: &AtomicBool) -> io::Result<()> {
    let mut from = match File::open(path) {
        Ok(file) => file,
        // Deleted for its age.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let part = with(path, PART);
    let written = write(&mut from, &part, stop).and_then(|()| fs::rename(&part, with(path, GZ)));
    if written.is_err() {
        let _ = fs::remove_file(&part);
        return written;
    }
    match fs::remove_file(path) {
        // It was deleted for its age meanwhile, so this one goes too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(with(path, GZ)),
        removed => removed,
    }
}

fn write(from: &mut File, part: &Path, stop: &AtomicBool) -> io::Result<()> {
    let part = File::options().write(true).create(true).truncate(true).mode(0o640).open(part)?;
    let mut encoder = GzEncoder::new(part, Compression::fast());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match from.read(&mut buffer)? {
            0 => break,
            count => encoder.write_all(&buffer[..count])?,
        }
    }
    encoder.finish()?.sync_data()
}

/// The path with more behind its name.
pub(crate) fn with(path: &Path, more: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(more);
    path.into()
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_comes_out_is_what_went_in() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("x.log.1");
        fs::write(&path, "hello\n".repeat(50_000)).expect("write");
        compress(&path, &AtomicBool::new(false)).expect("compress");
        assert!(!path.exists());
        let mut text = String::new();
        GzDecoder::new(File::open(with(&path, GZ)).expect("open")).read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello\n".repeat(50_000));
    }

    #[test]
    fn one_that_is_stopped_leaves_the_file_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("x.log.1");
        fs::write(&path, "hello\n").expect("write");
        assert!(compress(&path, &AtomicBool::new(true)).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "hello\n");
        assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 1);
    }

    #[test]
    fn one_that_is_gone_is_no_trouble() {
        compress(Path::new("/nowhere/x.log.1"), &AtomicBool::new(false)).expect("nothing to do");
    }
}
