//! The store in a file of SQLite.
//!
//! Records, payloads and facts are bytes here, each with a checksum over its key and itself. `total` says how many
//! records there are and which, so that one which is gone is missed.

mod backup;
mod database;
mod header;
mod opening;
mod reader;
mod salvage;
mod schema;
mod store;
mod sum;
mod total;

use backup::backup;
use database::Database;
use reader::Reader;
pub use salvage::Saved;
pub use store::Sqlite;

#[cfg(test)]
mod tests;
