//! What can be saved of a damaged file.
//!
//! The file and its journal stay as they are, under another name. A new file gets every row that can still be reached
//! and is what was written, by its own checksum.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Database, database, opening, schema, sum};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind};
use crate::journal;
use crate::settings::Durability;

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Jobs in the new store.
    pub records: u64,
    /// Jobs that the old store had beside them; `None` when it no longer says how many it had.
    pub lost: Option<u64>,
    /// Of those, jobs whose record could be read and whose payload could not.
    pub without_payload: u64,
    /// Where the old store is.
    pub old: PathBuf,
}

/// Where numbers go on when the old store no longer says which were given.
const LEAP: u64 = 1 << 32;
/// Rows that are written in one commit.
const PIECE: usize = 1000;

/// Looks at every row of the store at `store`, which must be nobody's, and returns how many records there are.
///
/// # Errors
/// As for opening it; `Damaged` for anything that is not what was written, or that lacks its payload.
pub(crate) fn check(store: &Path) -> Result<u64, Error> {
    if !store.is_file() {
        return Err(Error::new(store, ErrorKind::Unusable, "there is no such file"));
    }
    let database = Database::open(store, Durability::Sync)?;
    database.look_through()?;
    let records = database.records();
    database.close()?;
    Ok(records)
}

/// Saves what can be saved of the store at `store`, which must be nobody's: a new one takes its place, the old one is
/// kept beside it.
///
/// # Errors
/// `Locked`; `Unusable`, when there is no store; what goes wrong while the new one is written: the old one is untouched.
pub(crate) fn repair(store: &Path) -> Result<Saved, Error> {
    if !store.is_file() {
        return Err(Error::new(store, ErrorKind::Unusable, "there is no such file"));
    }
    let claim = Claim::take(store)?;
    let (copy, new) = (opening::beside(store, "-salvage"), opening::beside(store, "-repaired"));
    clear_away(store, &[&copy, &new])?;
    let saved = whole_copy(store, &copy).and_then(|()| save(store, &copy, &new));
    let saved = saved.and_then(|saved| put_in_place(store, &new, &saved.old).map(|()| saved));
    clear_away(store, &[&copy, &new])?;
    drop(claim);
    saved
}

fn clear_away(store: &Path, names: &[&PathBuf]) -> Result<(), Error> {
    for name in names {
        for suffix in ["", "-wal", "-shm", "-lock", "-new", "-new-wal", "-new-shm"] {
            match fs::remove_file(opening::beside(name, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(store, "remove what an earlier repair left")(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A copy of the file with what its journal holds written into it, and a first page as every store has it: where tables
/// begin is the same in all of them.
fn whole_copy(store: &Path, copy: &Path) -> Result<(), Error> {
    let failed = || Error::io(store, "copy it");
    fs::copy(store, copy).map_err(failed())?;
    let mut file = OpenOptions::new().read(true).write(true).open(copy).map_err(failed())?;
    let page = u64::from(schema::PAGE);
    journal::salvage(store, &opening::beside(store, "-wal"), &mut |number, bytes| {
        file.seek(SeekFrom::Start(u64::from(number - 1) * bytes.len() as u64))?;
        file.write_all(bytes)
    })?;
    let pattern = opening::beside(copy, "-new");
    opening::create(&pattern, Durability::Sync, schema::PAGE)?;
    let mut first = vec![0; schema::PAGE as usize];
    File::open(&pattern).and_then(|mut file| file.read_exact(&mut first)).map_err(failed())?;
    let _ = fs::remove_file(&pattern);
    let length = file.metadata().map_err(failed())?.len();
    let pages = u32::try_from(length / page).unwrap_or(u32::MAX);
    first[28..32].copy_from_slice(&pages.to_be_bytes());
    file.rewind().map_err(failed())?;
    file.write_all(&first).map_err(failed())
}

fn save(store: &Path, copy: &Path, new: &Path) -> Result<Saved, Error> {
    let from = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(Error::sqlite(store, "read its copy"))?;
    let mut into = Database::open(new, Durability::Sync)?;
    let total = database::read_total(store, &from).ok();
    let mut saved = Saved { records: 0, lost: None, without_payload: 0, old: free_name(store) };
    let mut piece = Vec::with_capacity(PIECE);
    let mut write = |piece: &mut Vec<(u64, Vec<u8>, Vec<u8>)>| {
        into.transaction(|transaction| {
            for (number, record, payload) in piece.drain(..) {
                transaction.put_record(number, &record)?;
                transaction.put_payload(number, &payload)?;
            }
            Ok(())
        })
    };
    each_reachable(&from, &mut |number, record| {
        match database::payload(store, &from, number) {
            Ok(Some(payload)) => piece.push((number, record, payload)),
            _ => saved.without_payload += 1,
        }
        if piece.len() == PIECE { write(&mut piece) } else { Ok(()) }
    })?;
    write(&mut piece)?;
    let mut facts = Vec::new();
    // Facts behind a wrong one are lost: they are few, and none of them is a job.
    let _ = database::each_fact(store, &from, |name, body| {
        facts.push((name.to_vec(), body.to_vec()));
        Ok(())
    });
    let highest = total.map_or_else(|| into.highest() + LEAP, |total| total.highest);
    into.transaction(|transaction| {
        facts.iter().try_for_each(|(name, body)| transaction.put_fact(name, body))?;
        transaction.raise_highest(highest);
        Ok(())
    })?;
    saved.records = into.records();
    saved.lost = total.map(|total| total.records.saturating_sub(saved.records));
    into.close()?;
    Ok(saved)
}

/// Gives every record that is what was written to `each`, also those behind a page that cannot be read.
fn each_reachable(from: &Connection, each: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    let mut next = 0i64;
    let mut leap = 1i64;
    loop {
        let before = next;
        let is_end = run_from(from, &mut next, each)?;
        if is_end {
            return Ok(());
        }
        // Behind an unreadable page: in growing steps, at most as many as a number has bits, and small ones again
        // where something could be read.
        leap = if next > before { 1 } else { leap.saturating_mul(2) };
        let Some(further) = next.checked_add(leap) else { return Ok(()) };
        next = further;
    }
}

/// Reads on from `next`; true at the end, false where a page cannot be read.
fn run_from(
    from: &Connection,
    next: &mut i64,
    each: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), Error>,
) -> Result<bool, Error> {
    let Ok(mut statement) =
        from.prepare_cached("SELECT number, sum, body FROM record WHERE number >= ? ORDER BY number")
    else {
        return Ok(false);
    };
    let Ok(mut rows) = statement.query([*next]) else { return Ok(false) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let Ok(number) = row.get::<_, i64>(0) else { return Ok(false) };
        if number < *next {
            return Ok(false);
        }
        let Some(following) = number.checked_add(1) else { return Ok(true) };
        *next = following;
        if let (Ok(told), Ok(body)) = (row.get::<_, u32>(1), row.get::<_, Vec<u8>>(2)) {
            let number = number.cast_unsigned();
            if sum::numbered(number, &body) == told {
                each(number, body)?;
            }
        }
    }
}

fn free_name(store: &Path) -> PathBuf {
    let names = (1..).map(|number: u32| opening::beside(store, &format!(".damaged-{number}")));
    names.into_iter().find(|name| name.symlink_metadata().is_err()).unwrap_or_default()
}

/// The old file and its journal get another name, the new one that of the old. A crash between leaves both whole, and a
/// start says that the file is gone: its journal must not meet the new file, so it goes first.
fn put_in_place(store: &Path, new: &Path, old: &Path) -> Result<(), Error> {
    let failed = || Error::io(store, "put the repaired store in its place");
    let journal = opening::beside(store, "-wal");
    if journal.exists() {
        fs::rename(&journal, opening::beside(old, "-wal")).map_err(failed())?;
    }
    let _ = fs::remove_file(opening::beside(store, "-shm"));
    fs::hard_link(store, old).map_err(failed())?;
    fs::rename(new, store).map_err(failed())?;
    opening::sync_directory(store).map_err(failed())
}
