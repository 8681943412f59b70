//! A damaged store, looked at while no server has it.

use std::path::Path;

use evercrew_store::{ErrorKind, Sqlite};

use crate::error::Error;

/// Looks at every job of the store at `path`, and where it is damaged saves what can be saved: a new store takes its
/// place, the damaged one is kept beside it. Gives what was done, in words.
///
/// # Errors
/// When a server has it, a later version wrote it, or the new one cannot be written.
pub fn repair(path: &Path) -> Result<String, Error> {
    match Sqlite::check(path) {
        Ok(records) => Ok(format!("whole, {records} jobs")),
        Err(error) if error.kind() == ErrorKind::Damaged => {
            let saved = Sqlite::repair(path).map_err(Error::Store)?;
            let lost = saved
                .lost
                .map_or_else(|| "it is not known how many are lost".to_owned(), |lost| format!("{lost} are lost"));
            let texts = saved.without_payload;
            Ok(format!(
                "{} jobs saved, {lost}, of which {texts} for want of their text; the damaged store is {}",
                saved.records,
                saved.old.display()
            ))
        }
        Err(error) => Err(Error::Store(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_store_is_left_alone() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("jobs.db");
        let book = crate::book::open(&crate::Storage::Sqlite(path.clone()), crate::Durability::Sync).expect("open");
        assert!(repair(&path).is_err(), "somebody has it");
        book.store.close().expect("close");
        drop(book.reader);
        assert_eq!(repair(&path).expect("check"), "whole, 0 jobs");
    }
}
