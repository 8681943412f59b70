//! The file as a [`Store`].

use std::path::Path;

use super::{Database, Reader, Saved, backup, salvage};
use crate::error::{Error, ErrorKind};
use crate::row::{Payload, Row};
use crate::settings::Durability;
use crate::store::{Payloads, Recovered, Recovery, Store};

/// The store in a file of SQLite.
///
/// # Examples
/// ```
/// use evercrew_store::{Durability, Row, Sqlite, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let mut store = Sqlite::open(&directory.path().join("jobs.db"), Durability::Sync)?;
/// let insert = Row::Insert { number: 1, record: b"enqueued".to_vec(), payload: (*b"{}").into() };
/// store.commit(&[vec![insert]])?;
/// assert_eq!(store.payloads()?.load(1)?.as_deref(), Some(&b"{}"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sqlite {
    database: Database,
    syncs: u64,
}

impl Sqlite {
    /// Opens the store at `path`, making it when there is none, and brings what a crash left to where it is safe.
    ///
    /// # Errors
    /// `Locked` with its holder; `Newer`; `Damaged`; `SyncFailed`; `Full`; `Unusable`.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        Ok(Self { database: Database::open(path, durability)?, syncs: 0 })
    }

    /// Looks at every row of the store at `path`, which must be nobody's, and returns how many records there are.
    ///
    /// # Errors
    /// As [`Sqlite::open`]; `Damaged` for anything that is not what was written.
    pub fn check(path: &Path) -> Result<u64, Error> {
        salvage::check(path)
    }

    /// Copies the store at `path`, whether a server has it or not, to `to`, a name that must be free. The copy is of one
    /// moment, and was read once from front to end. Returns how many records it has.
    ///
    /// # Errors
    /// `Unusable` when there is no store or the name is taken; `Full`; `Damaged`.
    pub fn backup(path: &Path, to: &Path) -> Result<u64, Error> {
        if !path.is_file() {
            return Err(Error::new(path, ErrorKind::Unusable, "there is no such file"));
        }
        match Database::open(path, Durability::Sync) {
            Ok(database) => {
                let records = backup(path, to)?;
                database.close()?;
                Ok(records)
            }
            // Its server has brought to disk what a crash left.
            Err(error) if error.kind() == ErrorKind::Locked => backup(path, to),
            Err(error) => Err(error),
        }
    }

    /// Saves what can be saved of the damaged store at `path`, which must be nobody's. A new store takes its place and
    /// the damaged one is kept beside it, as it is.
    ///
    /// # Errors
    /// `Locked`; `Unusable`, when there is none; what goes wrong while the new one is written.
    pub fn repair(path: &Path) -> Result<Saved, Error> {
        salvage::repair(path)
    }
}

impl Store for Sqlite {
    fn recover(&mut self, reader: &mut dyn Recovery) -> Result<Recovered, Error> {
        self.database.each_record(|number, body| reader.record(number, body))?;
        self.database.each_fact(|name, body| reader.fact(name, body))?;
        Ok(Recovered {
            records: self.database.records(),
            highest: self.database.highest(),
            cut: self.database.found().cut,
        })
    }

    fn commit(&mut self, batches: &[Vec<Row>]) -> Result<(), Error> {
        self.database.transaction(|transaction| {
            batches.iter().flatten().try_for_each(|row| match row {
                Row::Insert { number, record, payload } => {
                    transaction.put_record(*number, record)?;
                    transaction.put_payload(*number, payload)
                }
                Row::Replace { number, record } => transaction.replace_record(*number, record).map(drop),
                Row::Remove { number } => transaction.remove_record(*number),
                Row::Fact { name, body: Some(body) } => transaction.put_fact(name, body),
                Row::Fact { name, body: None } => transaction.remove_fact(name),
                Row::Clear => transaction.clear(),
            })
        })?;
        self.syncs += u64::from(!self.database.owes_sync());
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), Error> {
        // A checkpoint syncs the journal and the file.
        self.syncs += if self.database.tidy()? { 2 } else { 0 };
        Ok(())
    }

    fn owes_sync(&self) -> bool {
        self.database.owes_sync()
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.syncs += 1;
        self.database.sync()
    }

    fn syncs(&self) -> u64 {
        self.syncs
    }

    fn payloads(&self) -> Result<Box<dyn Payloads>, Error> {
        Ok(Box::new(Reader::open(self.database.path())?))
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        self.database.close()
    }
}

impl Payloads for Reader {
    fn load(&mut self, number: u64) -> Result<Option<Payload>, Error> {
        Ok(self.payload(number)?.map(Payload::from))
    }

    fn backup(&mut self, to: &Path) -> Result<u64, Error> {
        backup(self.path(), to)
    }
}
