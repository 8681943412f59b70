//! A copy of the file while it is written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{database, opening};
use crate::error::{Error, ErrorKind};

/// Copies the store at `store` to `to`, a name that must be free: everything that was acknowledged before the call, and
/// no half of a commit. Writers go on meanwhile; only the journal cannot be emptied. The copy is read once from front to
/// end before it gets its name. Returns how many records it has.
///
/// # Errors
/// `Unusable` when the name is taken; `Full`; `Damaged`, when what was copied is.
pub(crate) fn backup(store: &Path, to: &Path) -> Result<u64, Error> {
    let taken = || Error::new(to, ErrorKind::Unusable, "there is a file of this name: name another one for the copy");
    if to.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let draft = opening::beside(to, "-new");
    let copied = copy(store, &draft).and_then(|()| look_through(&draft)).and_then(|records| {
        let failed = "give the copy its name";
        File::open(&draft).and_then(|file| file.sync_all()).map_err(Error::io(to, failed))?;
        // Unlike a rename this never replaces.
        fs::hard_link(&draft, to).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => taken(),
            _ => Error::io(to, failed)(error),
        })?;
        opening::sync_directory(to).map_err(Error::io(to, failed))?;
        Ok(records)
    });
    for leftover in ["", "-journal", "-wal", "-shm"] {
        let _ = fs::remove_file(opening::beside(&draft, leftover));
    }
    copied
}

fn copy(store: &Path, draft: &PathBuf) -> Result<(), Error> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(draft, "remove what an earlier copy left")(error));
        }
        _ => {}
    }
    let from = opening::connect(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    opening::make_private(draft).map_err(Error::io(draft, "make the copy"))?;
    let mut into = Connection::open(draft).map_err(Error::sqlite(draft, "make the copy"))?;
    let failed = || Error::sqlite(draft, "copy to it");
    let copying = Backup::new(&from, &mut into).map_err(failed())?;
    // In one step: the copy is of one moment, and writers cannot make it begin anew.
    match copying.step(-1).map_err(failed())? {
        StepResult::Done => {}
        _ => return Err(Error::new(store, ErrorKind::Locked, "by another program that reads or writes it")),
    }
    drop(copying);
    into.close().map_err(|(_, error)| failed()(error))
}

fn look_through(copy: &Path) -> Result<u64, Error> {
    let connection = opening::connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    database::look_through(copy, &connection)
}
