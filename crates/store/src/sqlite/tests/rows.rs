//! What a store holds, read whole: by which every test here judges.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::super::{Database, Reader};
use crate::error::Error;
use crate::settings::Durability;

/// Every row of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) records: BTreeMap<u64, (Vec<u8>, Vec<u8>)>,
    pub(super) facts: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A directory whose files are memory where there is such a one: these tests sync many thousand times.
pub(super) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("directory")
}

impl Rows {
    /// Rows of every kind and size that matters: one payload needs further pages.
    pub(super) fn some(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut rows = Self::default();
        for number in numbers {
            let length = if number % 5 == 2 { 1300 } else { 90 };
            let payload = vec![b'a' + (number % 23) as u8; length];
            rows.records.insert(number, (format!("record {number} of a queue").into_bytes(), payload));
        }
        rows.facts.insert(b"paused default".to_vec(), b"yes".to_vec());
        rows
    }

    /// Writes all of them in one commit.
    pub(super) fn write(&self, database: &mut Database) -> Result<(), Error> {
        database.transaction(|transaction| {
            for (number, (record, payload)) in &self.records {
                transaction.put_record(*number, record)?;
                transaction.put_payload(*number, payload)?;
            }
            self.facts.iter().try_for_each(|(name, body)| transaction.put_fact(name, body))
        })
    }

    /// Reads all that is in a store; a record without payload is an error of the test.
    pub(super) fn read(database: &Database) -> Result<Self, Error> {
        let mut rows = Self::default();
        let mut numbers = Vec::new();
        database.each_record(|number, record| {
            numbers.push((number, record.to_vec()));
            Ok(())
        })?;
        let reader = Reader::open(database.path())?;
        for (number, record) in numbers {
            let payload = reader.payload(number)?.ok_or_else(|| {
                Error::new(database.path(), crate::ErrorKind::Damaged, format!("payload {number} is missing"))
            })?;
            rows.records.insert(number, (record, payload));
        }
        database.each_fact(|name, body| {
            rows.facts.insert(name.to_vec(), body.to_vec());
            Ok(())
        })?;
        Ok(rows)
    }
}

/// Opens with small pages.
pub(super) fn open(store: &Path) -> Result<Database, Error> {
    Database::open_with_pages(store, Durability::Sync, 512)
}
