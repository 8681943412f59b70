//! A store in a process of its own, for tests that let its system calls fail: commits one job after the other, and says
//! the number of each one when it is safe.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use evercrew_store::{Durability, Error, ErrorKind, Row, Sqlite, Store};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(store), Some(Ok(last))) = (arguments.next(), arguments.next().map(|last| last.parse::<u64>())) else {
        return ExitCode::from(2);
    };
    match run(Path::new(&store), last) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.kind() == ErrorKind::SyncFailed { 3 } else { 4 })
        }
    }
}

fn run(path: &Path, last: u64) -> Result<(), Error> {
    let mut store = Sqlite::open(path, Durability::Sync)?;
    for number in 1..=last {
        let record = format!("record {number}").into_bytes();
        store.commit(&[vec![Row::Insert { number, record, payload: vec![b'x'; 3000].into() }]])?;
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{number}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        store.tidy()?;
    }
    Box::new(store).close()
}
