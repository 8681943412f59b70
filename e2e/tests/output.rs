//! Where a command's words go, and what happens when they cannot.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use evercrew_e2e::Engine;

use crate::EVERCREW;

const SLEEPER: &str = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\n";

fn command(engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = Command::new(EVERCREW);
    command.arg("-c").arg(engine.home().join("evercrew.toml")).args(arguments).stdin(Stdio::null());
    command
}

/// Standard error or output where every write fails.
fn full() -> File {
    File::options().write(true).open("/dev/full").expect("open /dev/full")
}

/// A pipe whose reader is gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_result_that_cannot_be_written_is_1_with_the_reason_and_a_reader_that_left_is_nothing() {
    let mut engine = Engine::up(EVERCREW, SLEEPER);
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["events"],
        &["events", "-f", "--since", "1"],
        &["check"],
        &["config", "show"],
        &["schema"],
        &["version"],
        &["--help"],
    ] {
        let output = command(&engine, arguments).stdout(full()).output().expect("run the binary");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("cannot write to standard output: No space left"), "{arguments:?}: {told}");
        let output = command(&engine, arguments).stdout(gone()).output().expect("run the binary");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_broken_standard_error_changes_no_exit_code() {
    let engine = Engine::new(EVERCREW, SLEEPER);
    let mut codes = Vec::new();
    for arguments in [&["status"][..], &["down"], &["scale", "sleep=2"], &["check", "--set", "x=1"], &["frobnicate"]] {
        for broken in [Stdio::from(full()), gone()] {
            let status = command(&engine, arguments).stdout(Stdio::null()).stderr(broken).status();
            codes.push(status.expect("run the binary").code().unwrap_or(-1));
        }
    }
    assert_eq!(codes, [3, 3, 0, 0, 69, 69, 78, 78, 2, 2]);
}

#[test]
fn an_engine_without_standard_error_serves() {
    let engine = Engine::new(EVERCREW, SLEEPER);
    let mut up = command(&engine, &["up"]).stdout(gone()).stderr(gone()).spawn().expect("run the binary");
    engine.ready();
    assert_eq!(engine.run(&["restart", "sleep"]).code, 0);
    assert_eq!(engine.run(&["down"]).code, 0);
    assert_eq!(up.wait().expect("reap").code(), Some(0));
}

#[test]
fn progress_to_a_pipe_is_lines() {
    let mut engine = Engine::up(EVERCREW, &format!("{SLEEPER}workers = 2\nrollout = {{ settle = \"10ms\" }}\n"));
    let mut restart = command(&engine, &["restart", "sleep"]).stderr(Stdio::piped()).spawn().expect("run the binary");
    let mut told = String::new();
    restart.stderr.take().expect("piped").read_to_string(&mut told).expect("read");
    assert_eq!(restart.wait().expect("reap").code(), Some(0));
    assert_eq!(told, "sleep 1 of 2\nsleep 2 of 2\nevery worker was replaced\n");
    assert_eq!(engine.down(), 0);
}
