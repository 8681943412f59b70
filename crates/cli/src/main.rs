//! The binary `evercrew`: the command line, and every role of the engine's own processes.

mod arguments;
mod client;
mod commands;
mod configuration;
mod failure;
mod leftovers;
mod role;
mod table;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(role) = role::Role::take() {
        return role.run();
    }
    let arguments = arguments::Arguments::parse();
    match commands::run(&arguments.command, &arguments.global) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
