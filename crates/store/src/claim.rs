//! The lock that gives a store to one server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// A held lock on the file beside the store, whose text says who holds it. It ends with the process; a file that is
/// left behind locks nothing and is never removed.
#[derive(Debug)]
pub(crate) struct Claim(#[allow(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Longest text that is read of a holder.
const TEXT: u64 = 200;

impl Claim {
    /// Takes the lock of `store`. Never waits.
    ///
    /// # Errors
    /// `Locked` with the holder's own words; the file cannot be opened.
    pub(crate) fn take(store: &Path) -> Result<Self, Error> {
        let mut name = store.as_os_str().to_owned();
        name.push("-lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(Error::io(store, "open its lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::new(store, ErrorKind::Locked, holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Error::io(store, "lock it")(error)),
        }
        // On a full disk the lock still holds; only its text is missing.
        let _ = write_holder(&mut file);
        Ok(Self(file))
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    let program = std::env::args().next().unwrap_or_default();
    file.rewind()?;
    file.set_len(0)?;
    write!(file, "process {} ({program})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(TEXT).read_to_string(&mut text);
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    if read.is_ok() && !text.is_empty() { format!("by {text}") } else { "by another process".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_one_server_and_the_second_is_told_which() {
        let directory = tempfile::tempdir().expect("directory");
        let store = directory.path().join("jobs.db");
        let first = Claim::take(&store).expect("free");
        let error = Claim::take(&store).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::Locked);
        let text = error.to_string();
        assert!(text.contains(&format!("by process {}", std::process::id())), "{text}");
        assert!(text.contains("jobs.db") && text.contains("one store has one server"), "{text}");
        drop(first);
        Claim::take(&store).expect("free again");
    }

    #[test]
    fn a_file_that_was_left_behind_locks_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let store = directory.path().join("jobs.db");
        std::fs::write(directory.path().join("jobs.db-lock"), "process 1 (init)").expect("write");
        Claim::take(&store).expect("free");
    }
}
