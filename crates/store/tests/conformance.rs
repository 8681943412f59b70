//! Every store of this crate passes the one suite.

use std::path::PathBuf;

use evercrew_store::conformance::{self, Kind};
use evercrew_store::{Durability, Memory, Sqlite, Store};

struct File(PathBuf, Durability);

impl Kind for File {
    fn open(&mut self) -> Box<dyn Store> {
        Box::new(Sqlite::open(&self.0, self.1).expect("open"))
    }

    fn lasts(&self) -> bool {
        true
    }
}

struct InMemory;

impl Kind for InMemory {
    fn open(&mut self) -> Box<dyn Store> {
        Box::new(Memory::new())
    }

    fn lasts(&self) -> bool {
        false
    }
}

#[test]
fn a_file_of_sqlite() {
    let directory = tempfile::tempdir().expect("directory");
    conformance::run(&mut File(directory.path().join("jobs.db"), Durability::Sync));
}

#[test]
fn a_file_of_sqlite_that_is_relaxed() {
    let directory = tempfile::tempdir().expect("directory");
    conformance::run(&mut File(directory.path().join("jobs.db"), Durability::Relaxed));
}

#[test]
fn memory() {
    conformance::run(&mut InMemory);
}
