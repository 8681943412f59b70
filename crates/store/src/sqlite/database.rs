//! The open file: rows in, rows out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, OptionalExtension, params};

use super::total::Total;
use super::{opening, schema, sum};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind};
use crate::journal::Journal;
use crate::settings::Durability;

/// Pages in the journal at which it is brought into the file.
const CHECKPOINT: i32 = 1000;

/// A file that is ours alone.
#[derive(Debug)]
pub(crate) struct Database {
    store: PathBuf,
    connection: Connection,
    total: Total,
    /// What a crash had left in the journal.
    found: Journal,
    /// Pages in the journal after the last commit, as SQLite tells.
    pages: Arc<AtomicI32>,
    checkpoint_at: i32,
    durability: Durability,
    /// A commit that was acknowledged is not synced.
    owes_sync: bool,
    /// Last, so that the file is closed before somebody else may open it.
    _claim: Claim,
}

impl Database {
    /// Opens the file at `store`, making it when there is none.
    ///
    /// # Errors
    /// Every kind.
    pub(crate) fn open(store: &Path, durability: Durability) -> Result<Self, Error> {
        Self::open_with_pages(store, durability, schema::PAGE)
    }

    pub(super) fn open_with_pages(store: &Path, durability: Durability, page: u32) -> Result<Self, Error> {
        if let Some(directory) = store.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(Error::io(store, "make its directory"))?;
        }
        let claim = Claim::take(store)?;
        let (mut connection, found) = opening::open(store, durability, page)?;
        let total = read_total(store, &connection)?;
        let pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&pages);
        let hook = move |_: &mut Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(Error::sqlite(store, "set it up"))?;
        Ok(Self {
            store: store.to_owned(),
            connection,
            total,
            found,
            pages,
            checkpoint_at: CHECKPOINT,
            durability,
            owes_sync: false,
            _claim: claim,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.store
    }

    /// What a crash had left in the journal.
    pub(crate) fn found(&self) -> Journal {
        self.found
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> u64 {
        self.total.records
    }

    /// The highest number that was ever given to a record; 0 before the first.
    pub(crate) fn highest(&self) -> u64 {
        self.total.highest
    }

    /// Gives every record to `each`, by ascending number.
    ///
    /// # Errors
    /// `Damaged`, also when a record is missing; what `each` gives.
    pub(crate) fn each_record(&self, each: impl FnMut(u64, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        each_record(&self.store, &self.connection, &self.total, each)
    }

    /// Gives every fact to `each`, by name.
    ///
    /// # Errors
    /// `Damaged`; what `each` gives.
    pub(crate) fn each_fact(&self, each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        each_fact(&self.store, &self.connection, each)
    }

    /// Looks at every row, however large the file is.
    ///
    /// # Errors
    /// `Damaged`, also for a record without its payload.
    pub(crate) fn look_through(&self) -> Result<(), Error> {
        look_through(&self.store, &self.connection).map(drop)
    }

    /// Brings what `write` writes to disk in one transaction with one sync. When that fails nothing of it is there.
    ///
    /// # Errors
    /// `Full`: it goes on; every other kind: it does not.
    pub(crate) fn transaction(
        &mut self,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |attempt| Error::sqlite(&self.store, attempt);
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed("begin a commit"))?;
        let mut transaction = Transaction { store: &self.store, connection: &self.connection, total: self.total };
        let written = write(&mut transaction)
            .and_then(|()| transaction.put_total(&self.total))
            .map(|()| transaction.total)
            .and_then(|total| self.connection.execute_batch("COMMIT").map_err(failed("commit")).map(|()| total));
        match written {
            Ok(total) => {
                self.total = total;
                self.owes_sync = self.durability == Durability::Relaxed;
                Ok(())
            }
            Err(error) => {
                // Some failures have rolled back already.
                if !self.connection.is_autocommit() {
                    self.connection.execute_batch("ROLLBACK").map_err(failed("take a commit back"))?;
                }
                Err(error)
            }
        }
    }

    /// Whether acknowledged commits wait for a sync.
    pub(crate) fn owes_sync(&self) -> bool {
        self.owes_sync
    }

    /// Syncs acknowledged commits.
    ///
    /// # Errors
    /// `SyncFailed`.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        let journal = opening::beside(&self.store, "-wal");
        let synced = std::fs::File::open(journal).and_then(|journal| journal.sync_data());
        synced.map_err(|error| Error::new(&self.store, ErrorKind::SyncFailed, format!("sync its journal: {error}")))?;
        self.owes_sync = false;
        Ok(())
    }

    /// Brings the journal into the file when it has grown enough, and says whether it has. A full disk leaves it as it
    /// is: it is tried again when the journal has grown by as much once more.
    ///
    /// # Errors
    /// `SyncFailed`, `Damaged`.
    pub(crate) fn tidy(&mut self) -> Result<bool, Error> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.checkpoint_at.min(pages.saturating_add(CHECKPOINT)) {
            return Ok(false);
        }
        let moved = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
            .and_then(|mut checkpoint| {
                checkpoint.query_row([], |row| Ok((row.get::<_, i32>(1)?, row.get::<_, i32>(2)?)))
            })
            .map_err(Error::sqlite(&self.store, "bring its journal into the file"));
        let is_whole = match moved {
            Ok((pages, moved)) => pages == moved,
            Err(error) if error.passes() => false,
            Err(error) => return Err(error),
        };
        // A journal that was brought in whole begins anew.
        self.checkpoint_at = if is_whole { CHECKPOINT } else { pages.saturating_add(CHECKPOINT) };
        self.pages.store(0, Ordering::Relaxed);
        Ok(true)
    }

    /// Brings everything into the file and lets go of it.
    ///
    /// # Errors
    /// `SyncFailed`, `Full`: the next start does it.
    pub(crate) fn close(self) -> Result<(), Error> {
        opening::checkpoint_whole(&self.store, &self.connection)
    }
}

#[cfg(test)]
impl Database {
    /// Lets the file grow by no more than this many pages, as on a disk that is full.
    pub(super) fn limit_pages(&self, more: Option<u32>) {
        let pages: u32 = self.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
        let most = more.map_or(u32::MAX - 1, |more| pages + more);
        self.connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).expect("limit");
    }
}

/// What is being written.
pub(crate) struct Transaction<'a> {
    store: &'a Path,
    connection: &'a Connection,
    total: Total,
}

impl Transaction<'_> {
    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(Error::sqlite(self.store, "write"))
    }

    /// Keeps a record, in place of the one with its number if there is one.
    pub(crate) fn put_record(&mut self, number: u64, body: &[u8]) -> Result<(), Error> {
        let sum = sum::numbered(number, body);
        let key = number.cast_signed();
        if number > self.total.highest {
            self.run("INSERT INTO record VALUES (?, ?, ?)", params![key, sum, body])?;
            self.total.add(number);
        } else if !self.replace_record(number, body)? {
            self.run("INSERT INTO record VALUES (?, ?, ?)", params![key, sum, body])?;
            self.total.add(number);
        }
        Ok(())
    }

    /// Keeps a record in place of the one with its number; false when there is none.
    pub(crate) fn replace_record(&mut self, number: u64, body: &[u8]) -> Result<bool, Error> {
        let values = params![number.cast_signed(), sum::numbered(number, body), body];
        Ok(self.run("UPDATE record SET sum = ?2, body = ?3 WHERE number = ?1", values)? == 1)
    }

    /// Drops a record and its payload, if they are there.
    pub(crate) fn remove_record(&mut self, number: u64) -> Result<(), Error> {
        let key = params![number.cast_signed()];
        if self.run("DELETE FROM record WHERE number = ?", key)? == 1 {
            self.total.remove(number);
        }
        self.run("DELETE FROM payload WHERE number = ?", key).map(drop)
    }

    /// Keeps a payload.
    pub(crate) fn put_payload(&mut self, number: u64, body: &[u8]) -> Result<(), Error> {
        let values = params![number.cast_signed(), sum::numbered(number, body), body];
        self.run("INSERT OR REPLACE INTO payload VALUES (?, ?, ?)", values).map(drop)
    }

    /// Keeps a fact, in place of the one with its name.
    pub(crate) fn put_fact(&mut self, name: &[u8], body: &[u8]) -> Result<(), Error> {
        let values = params![name, sum::of(name, body), body];
        self.run("INSERT OR REPLACE INTO fact VALUES (?, ?, ?)", values).map(drop)
    }

    /// Drops a fact, if it is there.
    pub(crate) fn remove_fact(&mut self, name: &[u8]) -> Result<(), Error> {
        self.run("DELETE FROM fact WHERE name = ?", params![name]).map(drop)
    }

    /// Drops every record and payload.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        self.run("DELETE FROM record", [])?;
        self.run("DELETE FROM payload", [])?;
        self.total.clear();
        Ok(())
    }

    /// Gives no number up to `highest` any more.
    pub(crate) fn raise_highest(&mut self, highest: u64) {
        self.total.highest = self.total.highest.max(highest);
    }

    fn put_total(&mut self, before: &Total) -> Result<(), Error> {
        if self.total == *before {
            return Ok(());
        }
        let (body, sum) = self.total.encode();
        self.run("UPDATE total SET sum = ?, body = ? WHERE one = 1", params![sum, body]).map(drop)
    }
}

pub(super) fn read_total(store: &Path, connection: &Connection) -> Result<Total, Error> {
    let rows: Vec<(u32, Vec<u8>)> = connection
        .prepare("SELECT sum, body FROM total")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .map_err(Error::sqlite(store, "read what it holds"))?;
    let total = match &rows[..] {
        [(sum, body)] => Total::decode(body, *sum),
        _ => None,
    };
    total.ok_or_else(|| Error::new(store, ErrorKind::Damaged, "what it says of itself is wrong"))
}

pub(super) fn each_record(
    store: &Path,
    connection: &Connection,
    total: &Total,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = || Error::sqlite(store, "read its records");
    let mut statement = connection.prepare("SELECT number, sum, body FROM record ORDER BY number").map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let mut found = Total::default();
    while let Some(row) = rows.next().map_err(failed())? {
        let number = row.get::<_, i64>(0).map_err(failed())?.cast_unsigned();
        let told: u32 = row.get(1).map_err(failed())?;
        let body = row.get_ref(2).map_err(failed())?.as_blob().map_err(|error| failed()(error.into()))?;
        if sum::numbered(number, body) != told {
            return Err(Error::new(store, ErrorKind::Damaged, format!("record {number} is not what was written")));
        }
        found.add(number);
        each(number, body)?;
    }
    if !total.agrees(&found) {
        let detail = format!("{} records were written, {} are there", total.records, found.records);
        return Err(Error::new(store, ErrorKind::Damaged, detail));
    }
    Ok(())
}

pub(super) fn each_fact(
    store: &Path,
    connection: &Connection,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = || Error::sqlite(store, "read its facts");
    let mut statement = connection.prepare("SELECT name, sum, body FROM fact ORDER BY name").map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let blob = |at| row.get_ref(at).and_then(|value| Ok(value.as_blob()?)).map_err(failed());
        let (name, body) = (blob(0)?, blob(2)?);
        let told: u32 = row.get(1).map_err(failed())?;
        if sum::of(name, body) != told {
            return Err(Error::new(store, ErrorKind::Damaged, "a fact is not what was written"));
        }
        each(name, body)?;
    }
    Ok(())
}

/// The payload of `number`; `None` when there is none.
pub(super) fn payload(store: &Path, connection: &Connection, number: u64) -> Result<Option<Vec<u8>>, Error> {
    let found: Option<(u32, Vec<u8>)> = connection
        .prepare_cached("SELECT sum, body FROM payload WHERE number = ?")
        .and_then(|mut one| one.query_row([number.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(Error::sqlite(store, "read a payload"))?;
    match found {
        Some((told, body)) if sum::numbered(number, &body) == told => Ok(Some(body)),
        Some(_) => Err(Error::new(store, ErrorKind::Damaged, format!("payload {number} is not what was written"))),
        None => Ok(None),
    }
}

/// Looks at every row of a file, and returns how many records there are.
pub(super) fn look_through(store: &Path, connection: &Connection) -> Result<u64, Error> {
    opening::verify(store, connection, true)?;
    let total = read_total(store, connection)?;
    let mut expected = Vec::with_capacity(usize::try_from(total.records).unwrap_or(0).min(1 << 20));
    each_record(store, connection, &total, |number, _| {
        expected.push(number);
        Ok(())
    })?;
    each_fact(store, connection, |_, _| Ok(()))?;
    let mut expected = expected.into_iter();
    let mut lacking = None;
    each_payload(store, connection, |number| {
        let next = expected.next();
        lacking = lacking.or(next.filter(|next| *next != number).or((next.is_none()).then_some(number)));
    })?;
    match lacking.or(expected.next()) {
        None => Ok(total.records),
        Some(number) => {
            Err(Error::new(store, ErrorKind::Damaged, format!("record {number} and payloads do not go together")))
        }
    }
}

/// Looks at every payload, and gives the number of each to `each`, ascending.
fn each_payload(store: &Path, connection: &Connection, mut each: impl FnMut(u64)) -> Result<(), Error> {
    let failed = || Error::sqlite(store, "read its payloads");
    let mut statement = connection.prepare("SELECT number, sum, body FROM payload ORDER BY number").map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let number = row.get::<_, i64>(0).map_err(failed())?.cast_unsigned();
        let told: u32 = row.get(1).map_err(failed())?;
        let body = row.get_ref(2).map_err(failed())?.as_blob().map_err(|error| failed()(error.into()))?;
        if sum::numbered(number, body) != told {
            return Err(Error::new(store, ErrorKind::Damaged, format!("payload {number} is not what was written")));
        }
        each(number);
    }
    Ok(())
}
