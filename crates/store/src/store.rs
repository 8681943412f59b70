//! What every store does.

use std::path::Path;

use crate::error::Error;
use crate::row::{Payload, Row};

/// Keeps records and payloads by number, and facts by name.
///
/// What [`Store::commit`] returned `Ok` for survives as the store's durability says; what it returned an error for is
/// not there, or after a kind that does not pass not known. A store has one user at a time.
pub trait Store: Send {
    /// Reads all records by ascending number, and then all facts by name.
    ///
    /// # Errors
    /// `Damaged`; what the reader gives.
    fn recover(&mut self, reader: &mut dyn Recovery) -> Result<Recovered, Error>;

    /// Brings these batches, in their order, to where they are safe: all of them or, with an error, none.
    ///
    /// # Errors
    /// `Full` passes; after any other kind the store is not used any more.
    fn commit(&mut self, batches: &[Vec<Row>]) -> Result<(), Error>;

    /// What may be done after answers left: upkeep that no commit has to wait for.
    ///
    /// # Errors
    /// As for a commit.
    fn tidy(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether acknowledged commits wait for a sync, which is due a second after the first of them.
    fn owes_sync(&self) -> bool {
        false
    }

    /// Syncs them.
    ///
    /// # Errors
    /// `SyncFailed`.
    fn sync(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Syncs that were made since it was opened, as far as the store can tell: one for each commit that is safe.
    fn syncs(&self) -> u64;

    /// Reads beside the commits, from another thread.
    ///
    /// # Errors
    /// When it cannot be opened a second time.
    fn payloads(&self) -> Result<Box<dyn Payloads>, Error>;

    /// Lets go of it in good order.
    ///
    /// # Errors
    /// `SyncFailed`, `Full`: nothing is lost, the next start does what is left.
    fn close(self: Box<Self>) -> Result<(), Error>;
}

/// Who reads a store at its start.
pub trait Recovery {
    /// A record.
    ///
    /// # Errors
    /// Why it cannot be used; reading ends.
    fn record(&mut self, number: u64, body: &[u8]) -> Result<(), Error>;

    /// A fact.
    ///
    /// # Errors
    /// Why it cannot be used; reading ends.
    fn fact(&mut self, name: &[u8], body: &[u8]) -> Result<(), Error>;
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// How many records there are.
    pub records: u64,
    /// The highest number that was ever given; 0 before the first.
    pub highest: u64,
    /// Pages of a last commit that a crash cut short and that nobody was told of. They are gone.
    pub cut: u64,
}

/// Reads payloads beside the commits.
pub trait Payloads: Send {
    /// The payload of a record; `None` when there is none.
    ///
    /// # Errors
    /// `Damaged`.
    fn load(&mut self, number: u64) -> Result<Option<Payload>, Error>;

    /// Copies the whole store, as it is at one moment, to a file whose name is free; commits go on. Returns how many
    /// records the copy has.
    ///
    /// # Errors
    /// The name is taken; `Full`; `Damaged`; the store has no files.
    fn backup(&mut self, to: &Path) -> Result<u64, Error>;
}
