//! The binary `evercrew`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(evercrew_cli::Program::new().worker("hello", true, evercrew_worker::hello).main())
}
