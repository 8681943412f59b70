//! The binary `evercrew`: the command line, and every role of the engine's own processes.

// They panic where nobody reads; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod appearing;
mod arguments;
mod client;
mod commands;
mod configuration;
mod daemon;
mod doctor;
mod example;
mod failure;
mod generated;
mod leftovers;
mod output;
mod ownership;
mod procfile;
mod queue_server;
mod role;
mod table;
mod tenancy;
mod top;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(role) = role::Role::take() {
        return role.run();
    }
    let outcome = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments.command.run(&arguments.global),
        Err(error) => output::usage(&error),
    };
    ExitCode::from(outcome.unwrap_or_else(|failure| {
        output::say(&failure);
        failure.code
    }))
}
