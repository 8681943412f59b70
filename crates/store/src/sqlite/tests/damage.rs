//! Every bit of a small store, turned.

use std::path::Path;

use super::rows::{Rows, directory, open};
use crate::error::{Error, ErrorKind};

/// Each bit in a long run, every 29th else: no power of two, so every place in a byte has its turn.
fn step() -> usize {
    if std::env::var_os("EVERCREW_LONG").is_some() { 1 } else { 29 }
}

/// Opens what lies there, reads it, writes further, and reads that anew.
fn served(store: &Path, expected: &Rows) -> Result<(), Error> {
    let mut further = expected.clone();
    further.records.extend(Rows::some(30..40).records);
    let mut database = open(store)?;
    assert_eq!(&Rows::read(&database)?, expected, "served silently");
    further.write(&mut database)?;
    database.transaction(|transaction| {
        further.records.keys().take(2).try_for_each(|number| transaction.remove_record(*number))
    })?;
    let removed: Vec<u64> = further.records.keys().take(2).copied().collect();
    removed.iter().for_each(|number| drop(further.records.remove(number)));
    database.close()?;
    let database = open(store)?;
    assert_eq!(Rows::read(&database)?, further, "served silently after further commits");
    Ok(())
}

/// Turns bits of the file `suffix` of the store whose files are `files`, and counts how often that was found.
fn turn(files: &[(&str, Vec<u8>)], suffix: &str, expected: &Rows) -> (usize, usize) {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let (mut found, mut harmless) = (0, 0);
    let length = files.iter().find(|(name, _)| *name == suffix).map_or(0, |(_, bytes)| bytes.len());
    for bit in (0..length * 8).step_by(step()) {
        for name in ["", "-wal", "-shm"] {
            let path = super::super::opening::beside(&store, name);
            let _ = std::fs::remove_file(&path);
            if let Some((_, bytes)) = files.iter().find(|(of, _)| *of == name) {
                let mut bytes = bytes.clone();
                if name == suffix {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                std::fs::write(&path, bytes).expect("write");
            }
        }
        match served(&store, expected) {
            Ok(()) => harmless += 1,
            Err(error) => {
                let kinds = [ErrorKind::Damaged, ErrorKind::Newer, ErrorKind::Unusable];
                assert!(kinds.contains(&error.kind()), "byte {} bit {}: {error}", bit / 8, bit % 8);
                found += 1;
            }
        }
    }
    (found, harmless)
}

#[test]
fn a_turned_bit_of_the_file_is_found_or_was_of_no_use() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let rows = Rows::some(5..12);
    let mut database = open(&store).expect("new");
    Rows::some(1..20).write(&mut database).expect("write");
    database
        .transaction(|transaction| {
            (1..20).filter(|number| !(5..12).contains(number)).try_for_each(|number| transaction.remove_record(number))
        })
        .expect("remove");
    database.close().expect("close");
    let bytes = std::fs::read(&store).expect("read");
    let bits = bytes.len() * 8;
    let (found, harmless) = turn(&[("", bytes)], "", &rows);
    println!("{bits} bits, every {}th turned: {found} found, {harmless} in space that is not used", step());
    assert!(found > harmless / 4, "most bits of a small store are in use: {found} found, {harmless} not");
}

#[test]
fn a_turned_bit_of_the_journal_is_always_found() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let rows = Rows::some(1..12);
    let mut database = open(&store).expect("new");
    for number in 1..12 {
        Rows::some(number..=number).write(&mut database).expect("write");
    }
    let files =
        ["", "-wal"].map(|name| (name, std::fs::read(super::super::opening::beside(&store, name)).expect("read")));
    let bits = files[1].1.len() * 8;
    let (found, harmless) = turn(&files, "-wal", &rows);
    println!("{bits} bits, every {}th turned: {found} found", step());
    assert_eq!(harmless, 0);
}

#[test]
fn pages_of_an_earlier_time_are_found_in_whatever_company() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut database = open(&store).expect("new");
    Rows::some(1..12).write(&mut database).expect("write");
    database.close().expect("close");
    let before = std::fs::read(&store).expect("read");
    let mut database = open(&store).expect("again");
    database.transaction(|transaction| transaction.remove_record(6)).expect("remove");
    let expected = Rows::read(&database).expect("read");
    database.close().expect("close");
    let after = std::fs::read(&store).expect("read");
    // Page 1 has a counter that changes with every checkpoint and says nothing.
    let changed: Vec<_> = (1..after.len() / 512)
        .map(|page| page * 512..(page + 1) * 512)
        .filter(|range| before.get(range.clone()) != after.get(range.clone()))
        .collect();
    assert!((3..8).contains(&changed.len()), "record, payload and total at least: {}", changed.len());
    for company in 0..(1 << changed.len()) - 1 {
        let mut stale = after.clone();
        for (_, range) in changed.iter().enumerate().filter(|(place, _)| company >> place & 1 == 1) {
            stale[range.clone()].copy_from_slice(&before[range.clone()]);
        }
        std::fs::write(&store, stale).expect("write");
        if let Ok(rows) = open(&store).and_then(|database| Rows::read(&database)) {
            assert_eq!(rows, expected, "company {company:b}");
        }
    }
}

#[test]
fn a_page_in_use_that_is_called_free_is_found_before_it_is_written_over() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut database = open(&store).expect("new");
    Rows::some(1..40).write(&mut database).expect("write");
    database
        .transaction(|transaction| (10..40).try_for_each(|number| transaction.remove_record(number)))
        .expect("remove");
    database.close().expect("close");
    let mut bytes = std::fs::read(&store).expect("read");
    let number = |at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_be_bytes) as usize;
    let trunk = (number(32) - 1) * 512;
    assert!(number(32) > 0 && number(trunk + 4) > 0, "some pages are free");
    // The root of the records.
    bytes[trunk + 8..trunk + 12].copy_from_slice(&2u32.to_be_bytes());
    std::fs::write(&store, bytes).expect("write");
    assert_eq!(open(&store).expect_err("damaged").kind(), ErrorKind::Damaged);
}
