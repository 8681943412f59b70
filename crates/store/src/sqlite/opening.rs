//! Opening a file: nothing is served before what a crash left has been judged and is safely on disk.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::header::{self, SMALL};
use super::schema::{FORM, RELAXED, SYNCED, TABLES};
use super::total::Total;
use crate::error::{Error, ErrorKind};
use crate::journal::{self, Journal};
use crate::settings::Durability;

/// Opens the file at `store`, whose lock is held, making it when there is none.
///
/// # Errors
/// As [`Error`] says; `Damaged` for everything that SQLite or we find wrong in its structure.
pub(super) fn open(store: &Path, durability: Durability, page: u32) -> Result<(Connection, Journal), Error> {
    let journal_path = beside(store, "-wal");
    let header = match header::read(store)? {
        Some(header) => header,
        None => {
            if fs::metadata(&journal_path).is_ok_and(|journal| journal.len() > 0) {
                return Err(Error::new(store, ErrorKind::Damaged, "it is gone and its journal is there"));
            }
            create(store, durability, page)?;
            header::read(store)?.ok_or_else(|| Error::new(store, ErrorKind::Unusable, "it is gone again"))?
        }
    };
    let found = journal::examine(store, &journal_path, header.written)?;
    journal::write_again(store, &journal_path)?;
    let connection = connect(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    checkpoint_whole(store, &connection)?;
    verify(store, &connection, header.length <= SMALL)?;
    // The journal has its name by now. SQLite syncs the directory too, and does not look at what comes of it.
    sync_directory(store)
        .map_err(|error| Error::new(store, ErrorKind::SyncFailed, format!("sync its directory: {error}")))?;
    promise(store, &connection, durability)?;
    Ok((connection, found))
}

/// The path of a file that belongs to `store`.
pub(super) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A connection to a file that is there.
pub(super) fn connect(store: &Path, access: OpenFlags) -> Result<Connection, Error> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(store, flags).map_err(Error::sqlite(store, "open it"))?;
    let settings = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;
        PRAGMA cache_size = -16384; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;
        PRAGMA busy_timeout = 5000;";
    connection.execute_batch(settings).map_err(Error::sqlite(store, "set it up"))?;
    // Closing must not write behind a failure that was told.
    let on_close = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(on_close, true).map_err(Error::sqlite(store, "set it up"))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes the file under another name, whole and safe, and gives it its own: no crash leaves half of one.
pub(super) fn create(store: &Path, durability: Durability, page: u32) -> Result<(), Error> {
    if let Some(directory) = store.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(Error::io(store, "make its directory"))?;
    }
    let draft = beside(store, "-new");
    let beside_the_draft = [beside(&draft, "-wal"), beside(&draft, "-shm")];
    for leftover in [draft.clone(), beside(store, "-shm")].iter().chain(&beside_the_draft) {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(store, "remove what an earlier start left")(error));
            }
            _ => {}
        }
    }
    let failed = "make it";
    make_private(&draft).map_err(Error::io(store, failed))?;
    let connection = Connection::open(&draft).map_err(Error::sqlite(store, failed))?;
    let mode = match durability {
        Durability::Sync => SYNCED,
        Durability::Relaxed => RELAXED,
    };
    let mut script = format!(
        "PRAGMA page_size = {page}; PRAGMA journal_mode = WAL; BEGIN; PRAGMA application_id = {mode};
         PRAGMA user_version = {FORM};"
    );
    for (_, table) in TABLES {
        script.push_str(table);
        script.push(';');
    }
    script.push_str("COMMIT;");
    connection.execute_batch(&script).map_err(Error::sqlite(store, failed))?;
    let (body, sum) = Total::default().encode();
    connection
        .execute("INSERT INTO total VALUES (1, ?, ?)", rusqlite::params![sum, body])
        .map_err(Error::sqlite(store, failed))?;
    // Closing would do it too, and say nothing of a failure.
    checkpoint_whole(store, &connection)?;
    connection.close().map_err(|(_, error)| Error::sqlite(store, failed)(error))?;
    // A mode of the journal that could not be set is no error to SQLite, and is told as if it were set.
    let made = connect(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    verify(store, &made, true).map_err(|_| Error::new(store, ErrorKind::SyncFailed, failed))?;
    drop(made);
    journal::write_again(&draft, &draft)?;
    fs::rename(&draft, store).map_err(Error::io(store, failed))?;
    // They are empty, and the next draft does without them.
    for leftover in beside_the_draft {
        let _ = fs::remove_file(leftover);
    }
    sync_directory(store).map_err(Error::io(store, failed))
}

/// Makes an empty file that only its owner reads: jobs may hold what is nobody else's. SQLite gives the files beside it the
/// same mode.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    File::options().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Makes a name that was given safe.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Brings the whole journal into the file, with syncs, and empties it.
pub(super) fn checkpoint_whole(store: &Path, connection: &Connection) -> Result<(), Error> {
    let failed = "bring its journal into the file";
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(Error::sqlite(store, failed))?;
    if busy != 0 {
        return Err(Error::new(store, ErrorKind::Locked, "by another program that reads or writes it"));
    }
    Ok(())
}

/// Whether the structure is what it was made as. `whole` looks at every page.
pub(super) fn verify(store: &Path, connection: &Connection, whole: bool) -> Result<(), Error> {
    let failed = "look at its structure";
    let damaged = |detail: String| Error::new(store, ErrorKind::Damaged, detail);
    let mode: String =
        connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(Error::sqlite(store, failed))?;
    if mode != "wal" {
        return Err(damaged(format!("its journal is of mode {mode}")));
    }
    let mut schema = connection
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY rowid")
        .map_err(Error::sqlite(store, failed))?;
    let found: Vec<(String, String)> = schema
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(Error::sqlite(store, failed))?;
    if !found.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).eq(TABLES) {
        return Err(damaged("its tables are others".to_owned()));
    }
    let checks: &[&str] = if whole { &[""] } else { &["(record)", "(fact)", "(total)"] };
    for check in checks {
        let finding: String = connection
            .query_row(&format!("PRAGMA integrity_check{check}"), [], |row| row.get(0))
            .map_err(Error::sqlite(store, failed))?;
        if finding != "ok" {
            return Err(damaged(finding.replace('\n', "; ")));
        }
    }
    Ok(())
}

/// Writes into the head how commits are written from here on, before the first of them.
fn promise(store: &Path, connection: &Connection, durability: Durability) -> Result<(), Error> {
    let failed = "note how it is written";
    let mode = match durability {
        Durability::Sync => SYNCED,
        Durability::Relaxed => RELAXED,
    };
    let noted: u32 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(Error::sqlite(store, failed))?;
    if noted != mode {
        connection.execute_batch(&format!("PRAGMA application_id = {mode}")).map_err(Error::sqlite(store, failed))?;
        checkpoint_whole(store, connection)?;
    }
    if durability == Durability::Relaxed {
        connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(Error::sqlite(store, failed))?;
    }
    Ok(())
}
