//! Every hook in one program, each of which writes down that it was called; and a reload that asks the program itself.
//!
//! ```sh
//! HOOKS_FOLDER=/tmp cargo run -p evercrew --example hooks -- up
//! ```

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use evercrew::{BoxError, Builder, Server, custom};

fn main() -> Result<(), BoxError> {
    evercrew::init();
    // A file that is wrong refuses a reload, not the commands of this program.
    let builder = build(workers().unwrap_or(2));
    builder.reload_from(|| Ok(build(workers()?))).main()?;
    Ok(())
}

/// How many workers there are is in a file of the program's own.
fn workers() -> Result<u32, BoxError> {
    Ok(fs::read_to_string(folder().join("workers"))?.trim().parse()?)
}

fn build(workers: u32) -> Builder {
    let sweeper = custom("sweeper", |context| {
        while !context.wait_for_set(Duration::from_millis(500)) {}
        note(&format!("run ended {}", context.identity().name))
    })
    .workers(workers)
    .heartbeat(Duration::from_millis(500), Duration::from_secs(30))
    .before_fork(|| note("before_fork"))
    .initialize(|context| note(&format!("initialize {}", context.identity().name)))
    .after_start(|event| write_down(&format!("after_start {}", event.worker().unwrap_or_default())))
    .at_end(|context| write_down(&format!("at_end {}", context.identity().name)));
    Server::builder()
        .service(sweeper)
        .before_run(|| note("before_run"))
        .after_run(|| write_down("after_run"))
        .on_event(|event| write_down(&format!("event {}", event.kind())))
        .on_heartbeat(|event| write_down(&format!("beat {}", event.worker().unwrap_or_default())))
}

fn folder() -> PathBuf {
    std::env::var_os("HOOKS_FOLDER").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn note(what: &str) -> Result<(), BoxError> {
    let mut file = OpenOptions::new().create(true).append(true).open(folder().join("hooks.txt"))?;
    Ok(writeln!(file, "{what}")?)
}

fn write_down(what: &str) {
    if let Err(error) = note(what) {
        eprintln!("cannot write down `{what}`: {error}");
    }
}
