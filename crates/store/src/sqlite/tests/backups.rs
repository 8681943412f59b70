//! Copies while the store is written.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{Database, backup};
use super::rows::{Rows, directory};
use crate::error::ErrorKind;
use crate::settings::Durability;

#[test]
fn a_copy_taken_while_commits_go_on_is_of_one_moment() {
    let directory = directory();
    let (store, copy) = (directory.path().join("jobs.db"), directory.path().join("copy.db"));
    let mut database = Database::open(&store, Durability::Sync).expect("new");
    Rows::some(1..2000).write(&mut database).expect("write");
    let done = AtomicBool::new(false);
    let (mut copies, mut commits) = (0, 0);
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let mut seen = Vec::new();
            for _ in 0..5 {
                backup(&store, &copy).expect("copy");
                let read = Database::open(&copy, Durability::Sync).and_then(|copy| Rows::read(&copy)).expect("read");
                seen.push(read);
                std::fs::remove_file(&copy).expect("remove");
            }
            done.store(true, Ordering::Release);
            seen
        });
        // Each commit has ten rows: a copy with another number of them has half a commit.
        let mut next = 2000;
        while !done.load(Ordering::Acquire) {
            Rows::some(next..next + 10).write(&mut database).expect("write");
            database.tidy().expect("tidy");
            next += 10;
            commits += 1;
        }
        for rows in copying.join().expect("copies") {
            let count = rows.records.len() as u64;
            assert_eq!((count - 1999) % 10, 0, "half a commit");
            assert_eq!(rows, Rows::some(1..=count));
            copies += 1;
        }
    });
    println!("{copies} copies beside {commits} commits");
    assert_eq!(copies, 5);
}

#[test]
fn a_copy_replaces_nothing_and_one_that_fails_leaves_nothing() {
    let directory = directory();
    let (store, copy) = (directory.path().join("jobs.db"), directory.path().join("copy.db"));
    let mut database = Database::open(&store, Durability::Sync).expect("new");
    Rows::some(1..20).write(&mut database).expect("write");
    std::fs::write(&copy, "mine").expect("write");
    assert_eq!(backup(&store, &copy).expect_err("taken").kind(), ErrorKind::Unusable);
    assert_eq!(std::fs::read(&copy).expect("read"), b"mine");
    let error = backup(&store, &directory.path().join("none/copy.db")).expect_err("no directory");
    assert!(error.to_string().contains("none/copy.db"), "{error}");
    database.close().expect("close");
    // A row that is not what was written is found in the copy before it gets its name.
    let mut bytes = std::fs::read(&store).expect("read");
    let place = bytes.windows(9).position(|nine| nine == b"record 3 ").expect("record 3");
    bytes[place] ^= 1;
    std::fs::write(&store, bytes).expect("write");
    let bad = directory.path().join("bad.db");
    assert_eq!(backup(&store, &bad).expect_err("damaged").kind(), ErrorKind::Damaged);
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).expect("list").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("bad")), "{left:?}");
}
