//! The logger in a process of its own, for the tests: its link is descriptor 3.

use std::process::ExitCode;

fn main() -> ExitCode {
    match evercrew_sys::exec::take_descriptor(3) {
        Some(link) => ExitCode::from(evercrew_logger::run(link)),
        None => ExitCode::from(64),
    }
}
