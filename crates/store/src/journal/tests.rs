//! Journals as SQLite writes them, whole, cut short and with bits turned.

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const PAGE: usize = 512;

/// A directory with a journal of `commits` commits, of one to three pages each.
fn written(commits: u32) -> (TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().expect("directory");
    let store = directory.path().join("jobs.db");
    let connection = Connection::open(&store).expect("open");
    let setup = format!("PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;");
    connection.execute_batch(&setup).expect("settings");
    connection.execute_batch("CREATE TABLE t(n INTEGER PRIMARY KEY, b BLOB)").expect("table");
    for number in 1..commits {
        let many = number % 3;
        connection.execute_batch("BEGIN").expect("begin");
        for row in 0..=many {
            let values = rusqlite::params![number * 10 + row, vec![7u8; 300]];
            connection.execute("INSERT INTO t VALUES (?, ?)", values).expect("insert");
        }
        connection.execute_batch("COMMIT").expect("commit");
    }
    let journal = directory.path().join("jobs.db-wal");
    let bytes = std::fs::read(&journal).expect("read");
    // Closing would take the journal away: what is examined is a copy.
    let copy = directory.path().join("copy-wal");
    std::fs::write(&copy, &bytes).expect("copy");
    (directory, copy, bytes)
}

fn looked_at(path: &Path, bytes: &[u8], written: Written) -> Result<Journal, ErrorKind> {
    std::fs::write(path, bytes).expect("write");
    examine(Path::new("jobs.db"), path, written).map_err(|error| error.kind())
}

fn frames(bytes: &[u8]) -> u64 {
    ((bytes.len() - HEADER) / (PAGE + FRAME_HEADER)) as u64
}

#[test]
fn a_whole_journal_is_taken_whole() {
    let (_directory, path, bytes) = written(6);
    let whole = Journal { frames: frames(&bytes), cut: 0 };
    assert!(whole.frames > 6);
    assert_eq!(looked_at(&path, &bytes, Written::InOrder), Ok(whole));
    assert_eq!(looked_at(&path, &[], Written::InOrder), Ok(Journal::default()));
    assert_eq!(looked_at(&path, &[0; 4096], Written::InOrder), Ok(Journal::default()));
}

#[test]
fn a_turned_bit_anywhere_is_damage_in_the_last_commit_too() {
    let (_directory, path, bytes) = written(4);
    for byte in 0..bytes.len() {
        let mut turned = bytes.clone();
        turned[byte] ^= 1 << (byte % 8);
        let found = looked_at(&path, &turned, Written::InOrder);
        assert_eq!(found, Err(ErrorKind::Damaged), "bit {} of byte {byte}", byte % 8);
    }
}

#[test]
fn a_journal_cut_at_any_byte_loses_its_last_commits_alone_and_is_no_damage() {
    let (_directory, path, bytes) = written(4);
    let whole = frames(&bytes);
    for length in 0..bytes.len() {
        let found = looked_at(&path, &bytes[..length], Written::InOrder).expect("no damage");
        let there = (length.saturating_sub(HEADER) / (PAGE + FRAME_HEADER)) as u64;
        assert!(found.frames <= there && found.frames < whole, "{length}: {found:?}");
        assert_eq!(found.frames + found.cut, there, "{length}: {found:?}");
    }
}

#[test]
fn pages_of_one_commit_may_be_missing_but_not_those_before_another_commit() {
    let (_directory, path, bytes) = written(6);
    let place = |frame: u64| HEADER + frame as usize * (PAGE + FRAME_HEADER);
    let commits: Vec<u64> = (0..frames(&bytes)).filter(|frame| number(&bytes[place(*frame)..], 4) != 0).collect();
    let [.., before, last] = commits[..] else { panic!("too few commits") };
    assert!(last - before >= 2, "the last commit has several pages");
    let lost = |frame: u64| {
        let mut torn = bytes.clone();
        torn[place(frame)..place(frame + 1)].fill(0);
        torn
    };
    let cut = Journal { frames: before + 1, cut: last - before - 1 };
    assert_eq!(looked_at(&path, &lost(before + 1), Written::InOrder), Ok(cut));
    let torn = lost(commits[1]);
    assert_eq!(looked_at(&path, &torn, Written::InOrder), Err(ErrorKind::Damaged));
    let relaxed = looked_at(&path, &torn, Written::Anyhow).expect("a lost power may do that without syncs");
    assert_eq!(relaxed.frames, commits[0] + 1);
    assert!(relaxed.cut > 0);
}

#[test]
fn it_is_written_again_as_it_is() {
    let (_directory, path, bytes) = written(6);
    write_again(Path::new("jobs.db"), &path).expect("write");
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
    write_again(Path::new("jobs.db"), &path.with_extension("none")).expect("nothing to write");
}
