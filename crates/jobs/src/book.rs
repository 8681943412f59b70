//! The store as the server uses it: changes to rows, and back at the start.

use std::path::Path;
use std::sync::Arc;

use evercrew_core::jobs::{Change, Found, JobNumber};
use evercrew_store::{Durability, Error as StoreError, Memory, Payloads, Recovery, Row, Sqlite, Store};
use evercrew_wire::record;

use crate::config::Storage;
use crate::error::Error;
use crate::keeper::Kept;

/// What the names of facts begin with that say which queues are paused.
const PAUSED: &[u8] = b"paused/";

/// A store that is open, with what was in it.
pub(crate) struct Book {
    pub(crate) store: Box<dyn Store>,
    pub(crate) reader: Reader,
    pub(crate) found: Found,
    /// Pages of a last commit that a crash cut short.
    pub(crate) cut: u64,
}

/// Reads texts beside the commits.
pub(crate) struct Reader(pub(crate) Box<dyn Payloads>);

/// Opens a store and reads everything but the texts.
///
/// # Errors
/// The store's: it is locked, damaged, newer, or no store of ours.
pub(crate) fn open(storage: &Storage, durability: Durability) -> Result<Book, Error> {
    let mut store: Box<dyn Store> = match storage {
        Storage::Memory => Box::new(Memory::new()),
        Storage::Sqlite(path) => {
            make_home(path)?;
            Box::new(Sqlite::open(path, durability).map_err(Error::Store)?)
        }
    };
    let mut finder = Finder::default();
    let recovered = store.recover(&mut finder).map_err(Error::Store)?;
    if let Some(number) = finder.unreadable {
        return Err(Error::Unreadable(number));
    }
    let found = Found { highest: recovered.highest, ..finder.found };
    let reader = Reader(store.payloads().map_err(Error::Store)?);
    Ok(Book { store, reader, found, cut: recovered.cut })
}

fn make_home(path: &Path) -> Result<(), Error> {
    let Some(home) = path.parent().filter(|home| !home.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(home).map_err(|error| Error::Directory(home.to_owned(), error))
}

#[derive(Default)]
struct Finder {
    found: Found,
    unreadable: Option<u64>,
}

impl Recovery for Finder {
    fn record(&mut self, number: u64, body: &[u8]) -> Result<(), StoreError> {
        match record::decode(number, body) {
            Ok(record) => self.found.records.push(record),
            // Nothing is served from a store that holds what nobody here can read.
            Err(record::NoRecord) => self.unreadable = self.unreadable.or(Some(number)),
        }
        Ok(())
    }

    fn fact(&mut self, name: &[u8], _: &[u8]) -> Result<(), StoreError> {
        let queue = name.strip_prefix(PAUSED).and_then(|name| std::str::from_utf8(name).ok());
        self.found.paused.extend(queue.map(Arc::from));
        Ok(())
    }
}

impl Reader {
    /// The text of a job.
    pub(crate) fn text(&mut self, number: JobNumber) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.0.load(number.0)
    }
}

/// The rows of a batch.
pub(crate) fn rows(changes: &[Kept]) -> Vec<Row> {
    let mut rows = Vec::with_capacity(changes.len());
    for (change, text) in changes {
        rows.push(match change {
            Change::Insert(record) => Row::Insert {
                number: record.number.0,
                record: record::encode(record),
                payload: text.clone().unwrap_or_default(),
            },
            Change::Move(record) => Row::Replace { number: record.number.0, record: record::encode(record) },
            Change::Remove(number) => Row::Remove { number: number.0 },
            Change::Pause(queue, paused) => {
                Row::Fact { name: [PAUSED, queue.as_bytes()].concat(), body: paused.then(Vec::new) }
            }
            Change::Flush => {
                // Facts stay where rows are cleared, and the core forgets no pause without saying so.
                Row::Clear
            }
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().expect("directory");
        let file = home.path().join("file");
        std::fs::write(&file, "").expect("write");
        let refused = open(&Storage::Sqlite(file.join("jobs.db")), Durability::Sync).map(drop).expect_err("refused");
        assert_eq!(refused.exit_code(), 69);
        assert!(refused.to_string().contains(file.to_str().expect("text")), "{refused}");
    }
}
