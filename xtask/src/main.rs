//! Tasks of the project: `cargo xtask ci | check | test | long | programs`.
//!
//! **What it does.** Runs what continuous integration runs, on any machine: the tools of the language and the rules of
//! this house that no tool knows (which crate may depend on which, which licences, which words where).
//!
//! **Where to start.** `check.rs` for the list of stages, `suite.rs` for the tests.
//!
//! **What it must never know.** The engine: it only starts tools and reads source text.
//!
//! **How it is tested.** Each rule by a planted violation, in its own file.

mod arrows;
mod check;
mod licences;
mod packages;
mod programs;
mod spdx;
mod stage;
mod suite;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  check [STAGE…]      format, house-rules, arrows, licences, deny, lints, documentation, doctests; all or the named
  test [-- ARGS]      install the programs under test and run every test; ARGS go to the test runner
  ci   [-- ARGS]      check, then test
  long                the end-to-end tests and the simulation at their full volume, in release; the figures of SPECIFICATION
  programs            install the programs under test into .programs
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let mut rest: Vec<String> = arguments.collect();
    if rest.first().is_some_and(|first| first == "--") {
        rest.remove(0);
    }
    let done = match (task.as_str(), rest.as_slice()) {
        ("check", _) => check::check(&rest),
        ("test", _) => suite::test(&rest),
        ("ci", _) => check::check(&[]).and_then(|()| suite::test(&rest)),
        ("long", _) => suite::long(&rest),
        ("programs", []) => programs::install(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
