//! What a crash leaves: files as they are in the middle.

use std::fs;
use std::path::Path;

use super::super::{Database, opening};
use super::rows::{Rows, directory, open};
use crate::error::ErrorKind;
use crate::journal::Journal;
use crate::settings::Durability;

/// The files of an open store, as a crash would leave them, at another place.
fn crashed(store: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        fs::copy(opening::beside(store, suffix), opening::beside(to, suffix)).expect("copy");
    }
}

#[test]
fn what_was_committed_is_there_after_a_crash_and_half_a_commit_is_cut_and_counted() {
    let directory = directory();
    let (store, left) = (directory.path().join("jobs.db"), directory.path().join("left.db"));
    let mut database = open(&store).expect("new");
    Rows::some(1..10).write(&mut database).expect("write");
    let journal = opening::beside(&store, "-wal");
    let whole = fs::metadata(&journal).expect("journal").len();
    Rows::some(10..20).write(&mut database).expect("write");
    crashed(&store, &left);
    let recovered = open(&left).expect("open");
    assert_eq!(Rows::read(&recovered).expect("read"), Rows::some(1..20));
    assert_eq!(recovered.found().cut, 0);
    drop(recovered);
    for more in [1, 600, 1200] {
        crashed(&store, &left);
        let journal = fs::OpenOptions::new().write(true).open(opening::beside(&left, "-wal")).expect("open");
        journal.set_len(whole + more).expect("cut");
        let recovered = open(&left).expect("open");
        assert_eq!(Rows::read(&recovered).expect("read"), Rows::some(1..10));
        assert_eq!(recovered.found().cut, more / 536, "whole pages of the commit that was cut");
        drop(recovered);
    }
}

#[test]
fn a_missing_file_beside_its_journal_is_damage_and_no_new_store() {
    let directory = directory();
    let (store, left) = (directory.path().join("jobs.db"), directory.path().join("left.db"));
    let mut database = open(&store).expect("new");
    Rows::some(1..10).write(&mut database).expect("write");
    crashed(&store, &left);
    fs::remove_file(&left).expect("remove");
    let error = open(&left).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains(crate::REPAIR), "{error}");
    fs::write(&left, "").expect("empty");
    assert_eq!(open(&left).expect_err("damaged").kind(), ErrorKind::Damaged);
}

#[test]
fn half_a_new_store_is_made_anew() {
    let directory = directory();
    let store = directory.path().join("below/jobs.db");
    fs::create_dir(directory.path().join("below")).expect("directory");
    for suffix in ["-new", "-new-wal", "-new-shm"] {
        fs::write(opening::beside(&store, suffix), "half").expect("write");
    }
    let mut database = open(&store).expect("new");
    Rows::some(1..3).write(&mut database).expect("write");
    assert_eq!(Rows::read(&database).expect("read"), Rows::some(1..3));
}

#[test]
fn a_later_form_is_refused_and_untouched_and_what_is_no_store_too() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    open(&store).expect("new").close().expect("close");
    let mut bytes = fs::read(&store).expect("read");
    bytes[63] = 2;
    fs::write(&store, &bytes).expect("write");
    let error = open(&store).expect_err("later");
    assert_eq!(error.kind(), ErrorKind::Newer);
    assert!(error.to_string().contains("form 2; this one reads form 1"), "{error}");
    assert_eq!(fs::read(&store).expect("read"), bytes);
    fs::write(&store, vec![b'x'; 4096]).expect("write");
    let error = open(&store).expect_err("no store");
    assert_eq!(error.kind(), ErrorKind::Unusable, "{error}");
}

#[test]
fn how_it_is_written_is_known_before_the_first_commit_of_that_kind() {
    let directory = directory();
    let (store, left) = (directory.path().join("jobs.db"), directory.path().join("left.db"));
    let write = |durability: Durability, range: std::ops::Range<u64>| {
        let mut database = Database::open_with_pages(&store, durability, 512).expect("open");
        range.for_each(|number| Rows::some([number]).write(&mut database).expect("write"));
        assert_eq!(database.owes_sync(), durability == Durability::Relaxed);
        database.sync().expect("sync");
        assert!(!database.owes_sync());
        crashed(&store, &left);
        database.close().expect("close");
        let journal = opening::beside(&left, "-wal");
        let mut bytes = fs::read(&journal).expect("read");
        // A commit in the middle that never reached the disk.
        bytes[32 + 2 * 536..32 + 3 * 536].fill(0);
        fs::write(&journal, bytes).expect("write");
        open(&left).map(|database| database.found())
    };
    assert_eq!(write(Durability::Sync, 1..5).expect_err("synced").kind(), ErrorKind::Damaged);
    let found: Journal = write(Durability::Relaxed, 5..9).expect("a lost power may do that");
    assert!(found.cut > 0);
    assert_eq!(write(Durability::Sync, 9..14).expect_err("synced again").kind(), ErrorKind::Damaged);
}

#[test]
fn a_second_server_is_told_who_has_it_and_the_first_goes_on() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut first = open(&store).expect("new");
    let error = open(&store).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    Rows::some(1..3).write(&mut first).expect("write");
    drop(first);
    assert_eq!(Rows::read(&open(&store).expect("free")).expect("read"), Rows::some(1..3));
}

#[test]
fn numbers_are_never_given_twice_whatever_was_removed() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut database = open(&store).expect("new");
    Rows::some(1..10).write(&mut database).expect("write");
    database.transaction(|transaction| transaction.remove_record(9)).expect("remove");
    database.close().expect("close");
    let mut database = open(&store).expect("again");
    assert_eq!((database.highest(), database.records()), (9, 8));
    database.transaction(|transaction| transaction.clear()).expect("clear");
    database.close().expect("close");
    let database = open(&store).expect("again");
    assert_eq!((database.highest(), database.records()), (9, 0));
}
