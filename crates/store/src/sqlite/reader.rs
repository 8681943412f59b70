//! Payloads, read beside the writer.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{database, opening};
use crate::error::Error;

/// A connection of its own: it waits for no commit, and sees all that were acknowledged.
#[derive(Debug)]
pub(crate) struct Reader {
    store: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the file at `store`, which a [`super::Database`] of this process holds.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(store: &Path) -> Result<Self, Error> {
        let connection = opening::connect(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { store: store.to_owned(), connection })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.store
    }

    /// The payload of `number`; `None` when there is none.
    ///
    /// # Errors
    /// `Damaged`.
    pub(crate) fn payload(&self, number: u64) -> Result<Option<Vec<u8>>, Error> {
        database::payload(&self.store, &self.connection, number)
    }
}
