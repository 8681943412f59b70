//! What is saved of damaged stores.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::salvage::{check, repair};
use super::super::{Database, Saved, opening};
use super::rows::{Rows, directory};
use crate::error::ErrorKind;
use crate::settings::Durability;

fn filled(directory: &Path) -> PathBuf {
    let store = directory.join("jobs.db");
    let mut database = Database::open(&store, Durability::Sync).expect("new");
    Rows::some(1..500).write(&mut database).expect("write");
    database.close().expect("close");
    store
}

fn opened(store: &Path) -> Rows {
    let database = Database::open(store, Durability::Sync).expect("repaired stores open");
    assert!(database.highest() >= 499);
    Rows::read(&database).expect("read")
}

/// Damages the file, sees that it is refused, repairs it and gives what is there then.
fn after(damage: impl FnOnce(&mut Vec<u8>)) -> (Saved, Rows) {
    let directory = directory();
    let store = filled(directory.path());
    let mut bytes = fs::read(&store).expect("read");
    damage(&mut bytes);
    fs::write(&store, &bytes).expect("write");
    let refused = Database::open(&store, Durability::Sync).and_then(|database| Rows::read(&database));
    assert!(matches!(refused.expect_err("damaged").kind(), ErrorKind::Damaged | ErrorKind::Unusable));
    let saved = repair(&store).expect("repair");
    assert_eq!(fs::read(&saved.old).expect("old"), bytes, "the damaged one is kept as it was");
    assert_eq!(check(&store).expect("a repaired store is whole"), saved.records);
    let rows = opened(&store);
    assert_eq!(rows.records.len() as u64, saved.records);
    let whole = Rows::some(1..500);
    assert!(rows.records.iter().all(|(number, row)| whole.records[number] == *row), "what was not written");
    (saved, rows)
}

#[test]
fn a_row_that_is_wrong_is_lost_alone() {
    let (saved, rows) = after(|bytes| {
        let place = bytes.windows(11).position(|text| text == b"record 250 ").expect("record 250");
        bytes[place] ^= 4;
    });
    assert_eq!((saved.records, saved.lost, saved.without_payload), (498, Some(1), 0));
    assert!(!rows.records.contains_key(&250));
    assert_eq!(rows.facts, Rows::some([]).facts);
}

#[test]
fn records_behind_a_page_that_cannot_be_read_are_saved() {
    let (saved, rows) = after(|bytes| {
        let place = bytes.windows(11).position(|text| text == b"record 250 ").expect("record 250");
        let page = place / 4096 * 4096;
        bytes[page..page + 4096].fill(0xFF);
    });
    assert!(saved.records > 300 && saved.lost == Some(499 - saved.records), "{saved:?}");
    assert!(rows.records.contains_key(&1) && rows.records.contains_key(&499));
}

#[test]
fn a_wrong_head_costs_nothing() {
    let (saved, rows) = after(|bytes| bytes[..4096].fill(0));
    assert_eq!((saved.records, saved.lost), (499, Some(0)));
    assert_eq!(rows, Rows::some(1..500));
}

#[test]
fn commits_behind_a_wrong_page_of_the_journal_are_saved() {
    let directory = directory();
    let (store, left) = (directory.path().join("jobs.db"), directory.path().join("left.db"));
    let mut database = Database::open(&store, Durability::Sync).expect("new");
    for number in 1..100 {
        Rows::some([number]).write(&mut database).expect("write");
    }
    for suffix in ["", "-wal"] {
        fs::copy(opening::beside(&store, suffix), opening::beside(&left, suffix)).expect("copy");
    }
    let journal = opening::beside(&left, "-wal");
    let mut bytes = fs::read(&journal).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, bytes).expect("write");
    assert_eq!(Database::open(&left, Durability::Sync).expect_err("damaged").kind(), ErrorKind::Damaged);
    let saved = repair(&left).expect("repair");
    assert_eq!((saved.records, saved.lost), (99, Some(0)), "later pages hold what the wrong one held");
    let rows = Database::open(&left, Durability::Sync).and_then(|database| Rows::read(&database)).expect("read");
    assert_eq!(rows, Rows::some(1..100));
}

#[test]
fn a_store_in_use_and_one_that_is_not_there_are_not_repaired() {
    let directory = directory();
    let store = filled(directory.path());
    let database = Database::open(&store, Durability::Sync).expect("open");
    assert_eq!(repair(&store).expect_err("in use").kind(), ErrorKind::Locked);
    drop(database);
    let none = store.with_extension("none");
    assert_eq!(repair(&none).expect_err("none").kind(), ErrorKind::Unusable);
    assert_eq!(check(&none).expect_err("none").kind(), ErrorKind::Unusable);
    assert!(!none.exists());
}

#[test]
fn a_check_looks_at_payloads_too_and_misses_none() {
    let directory = directory();
    let store = filled(directory.path());
    assert_eq!(check(&store).expect("whole"), 499);
    let bytes = fs::read(&store).expect("read");
    // The payload of 12 stands on pages of its own.
    let place = bytes.windows(64).position(|text| text == [b'a' + 12; 64]).expect("payload 12");
    let mut turned = bytes;
    turned[place + 30] ^= 1;
    fs::write(&store, &turned).expect("write");
    let error = check(&store).expect_err("damaged");
    assert!(error.to_string().contains("payload 12"), "{error}");
    let saved = repair(&store).expect("repair");
    assert_eq!((saved.records, saved.lost, saved.without_payload), (498, Some(1), 1));
    let mut database = Database::open(&store, Durability::Sync).expect("open");
    database.transaction(|transaction| transaction.put_record(600, b"no payload")).expect("write");
    database.close().expect("close");
    assert!(check(&store).expect_err("lacks a payload").to_string().contains("600"));
}
