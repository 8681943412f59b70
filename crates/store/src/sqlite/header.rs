//! The head of the file, read before SQLite opens it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::schema::{FORM, RELAXED, SYNCED};
use crate::error::{Error, ErrorKind};
use crate::journal::Written;

/// What the head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) written: Written,
    /// Bytes of the file.
    pub(super) length: u64,
}

const LENGTH: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Files up to here are read once from front to end, which is several times faster than page by page in the order of
/// their keys, and checked as a whole.
pub(super) const SMALL: u64 = 1 << 30;

/// Reads it, and the whole file into the kernel's cache when it is small. `None` when there is no file.
///
/// # Errors
/// `Newer`; `Unusable` when it is no store; `Damaged`.
pub(super) fn read(store: &Path) -> Result<Option<Header>, Error> {
    let mut file = match File::open(store) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(store, "open it")(error)),
    };
    let length = file.metadata().map_err(Error::io(store, "look at it"))?.len();
    let mut bytes = [0; LENGTH];
    let damaged = |detail: &str| Error::new(store, ErrorKind::Damaged, detail);
    if file.read_exact(&mut bytes).is_err() {
        return Err(damaged("it has no head"));
    }
    let number = |at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
    let written = match number(68) {
        SYNCED => Written::InOrder,
        RELAXED => Written::Anyhow,
        _ if bytes[..16] != *MAGIC => return Err(Error::new(store, ErrorKind::Unusable, "it is no store of jobs")),
        _ => return Err(damaged("its head names no store of jobs")),
    };
    if bytes[..16] != *MAGIC {
        return Err(damaged("its head is wrong"));
    }
    match number(60) {
        FORM => {}
        0 => return Err(damaged("its head names no form")),
        form => {
            let detail = format!("form {form}; this one reads form {FORM}");
            return Err(Error::new(store, ErrorKind::Newer, detail));
        }
    }
    if length <= SMALL {
        warm(&mut file);
    }
    Ok(Some(Header { written, length }))
}

/// Who fails here fails again where it is told.
fn warm(file: &mut File) {
    let mut piece = vec![0; 1 << 20];
    while file.read(&mut piece).is_ok_and(|length| length > 0) {}
}
