//! A disk that fails at the k-th sync: nothing is acknowledged behind it, and nothing that was is lost.

use std::path::Path;
use std::process::{Command, Output};

use evercrew_store::{Durability, Error, Recovery, Sqlite, Store};

struct Numbers(Vec<u64>);

impl Recovery for Numbers {
    fn record(&mut self, number: u64, _: &[u8]) -> Result<(), Error> {
        self.0.push(number);
        Ok(())
    }

    fn fact(&mut self, _: &[u8], _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// The probe, with these system calls failing from the `when`-th on.
fn failing(calls: &str, when: &str, store: &Path, jobs: u64) -> Output {
    let inject = format!("inject={calls}:error=EIO:when={when}");
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject])
        .arg(env!("CARGO_BIN_EXE_evercrew-store-probe"))
        .arg(store)
        .arg(jobs.to_string())
        .output()
        .expect("strace")
}

fn can_inject() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    works.is_ok_and(|status| status.success())
}

#[test]
fn nothing_is_acknowledged_behind_a_failed_sync_and_the_next_start_syncs_before_it_answers() {
    if !can_inject() {
        println!("SKIP strace: it is not here, or may trace nothing");
        return;
    }
    let step = if std::env::var_os("EVERCREW_LONG").is_some() { 1 } else { 7 };
    let (mut failed, mut acknowledged, mut unheard) = (0, 0, 0);
    for k in (1..=50).step_by(step) {
        let directory = tempfile::tempdir().expect("directory");
        let store = directory.path().join("jobs.db");
        drop(Sqlite::open(&store, Durability::Sync).expect("new"));
        let output = failing("fdatasync,fsync", &k.to_string(), &store, 60);
        let said = String::from_utf8_lossy(&output.stdout);
        let answered: Vec<u64> = said.lines().map(|line| line.parse().expect("a number")).collect();
        let words = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            unheard += 1;
            continue;
        }
        assert_eq!(output.status.code(), Some(3), "sync {k}: {words}");
        assert!(words.contains("not safely on disk"), "{words}");
        assert_eq!(answered, (1..=answered.len() as u64).collect::<Vec<_>>());
        failed += 1;
        acknowledged += answered.len();
        // A disk that still fails: nothing is answered.
        let journal = directory.path().join("jobs.db-wal");
        if std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0) {
            let again = failing("fdatasync,fsync", "1", &store, 1);
            assert_eq!((again.status.code(), again.stdout.len()), (Some(3), 0), "sync {k}");
        }
        let mut there = Numbers(Vec::new());
        Sqlite::open(&store, Durability::Sync).and_then(|mut store| store.recover(&mut there)).expect("the disk works");
        assert!(there.0.starts_with(&answered), "sync {k}: {answered:?} were answered, {:?} are there", there.0);
        assert!(there.0.len() <= answered.len() + 1, "sync {k}: {:?}", there.0);
    }
    // SQLite's sync of the directory, behind ours of the same names.
    assert!(unheard <= 1, "{unheard} failed syncs were not noticed");
    println!("{failed} failed syncs, {acknowledged} commits acknowledged before them, none lost");
}

#[test]
fn a_sync_that_fails_while_a_store_is_made_leaves_none_that_is_half() {
    if !can_inject() {
        println!("SKIP strace: it is not here, or may trace nothing");
        return;
    }
    let mut made = 0;
    for k in 1..=20 {
        let directory = tempfile::tempdir().expect("directory");
        let store = directory.path().join("jobs.db");
        let output = failing("fdatasync,fsync", &k.to_string(), &store, 2);
        let answered = String::from_utf8_lossy(&output.stdout).lines().count();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!([Some(0), Some(3)].contains(&output.status.code()), "sync {k}: {words}");
        assert!(!output.status.success() || answered == 2, "sync {k}: {words}");
        made += usize::from(store.exists());
        let mut there = Numbers(Vec::new());
        Sqlite::open(&store, Durability::Sync).and_then(|mut store| store.recover(&mut there)).expect("the disk works");
        assert!((answered..=answered + 1).contains(&there.0.len()), "sync {k}: {:?}", there.0);
    }
    assert!((1..20).contains(&made), "{made} of 20 had their name when the sync failed");
}

#[test]
fn a_failed_write_ends_it_too() {
    if !can_inject() {
        println!("SKIP strace: it is not here, or may trace nothing");
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let store = directory.path().join("jobs.db");
    drop(Sqlite::open(&store, Durability::Sync).expect("new"));
    let output = failing("pwrite64", "20", &store, 60);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let answered = String::from_utf8_lossy(&output.stdout).lines().count();
    let mut there = Numbers(Vec::new());
    Sqlite::open(&store, Durability::Sync).and_then(|mut store| store.recover(&mut there)).expect("the disk works");
    assert!(there.0.len() >= answered && there.0.len() <= answered + 1, "{answered} {:?}", there.0);
}
