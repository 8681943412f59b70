//! What a command does when what it asks is slow, elsewhere, or not there.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::{Engine, kernel};
use evercrew_sys::{limits, listener};

use crate::EVERCREW;

const SLEEPERS: &str =
    "[service.web]\ncommand = [\"sleep\", \"1000\"]\n[service.worker]\ncommand = [\"sleep\", \"1000\"]\n";
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_name_that_is_nearly_one_is_answered_with_it() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    for (arguments, near) in [
        (&["status", "wbe"][..], "did you mean `web`?"),
        (&["restart", "wroker.1"], "did you mean `worker.1`?"),
        (&["logs", "wbe"], "did you mean `web`?"),
    ] {
        let refused = engine.run(arguments);
        assert!(
            refused.code == 4 && refused.stderr.contains(near),
            "{arguments:?}: {} {}",
            refused.code,
            refused.stderr
        );
    }
    let refused = engine.run(&["status", "mailer"]);
    assert!(refused.code == 4 && !refused.stderr.contains("did you mean"), "{}", refused.stderr);
    assert_eq!(engine.down(), 0);
}

#[test]
fn down_from_outside_the_engine_s_process_namespace_returns_when_its_supervisor_is_gone() {
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    // In there the supervisor's number is 1, which is somebody else's out here. What ignores SIGTERM takes a while.
    let slow = "[service.s]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo up >&5; while :; do sleep 1; done\"]\n\
                ready = { fd = 5 }\nstop = { grace = \"700ms\" }\n";
    let mut engine = Engine::new(EVERCREW, slow).through(&view);
    engine.start();
    engine.ready();
    let supervisor = engine.supervisor();
    assert_ne!(supervisor.pid, 1);
    let late = engine.run(&["down", "--timeout", "50ms"]);
    assert!(late.code == 124 && supervisor.lives(), "{} {}", late.code, late.stderr);
    engine.ok(&["down", "--timeout", "30s"]);
    assert!(!supervisor.lives(), "it returned before the end");
    assert_eq!(engine.wait(SOON), 0);
}

#[test]
fn a_queue_of_callers_that_is_full_holds_a_command_no_longer_than_it_may() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    limits::raise_nofile().expect("enough descriptors for a queue");
    let socket = engine.home().join(".evercrew/control.sock");
    let manager = engine.manager();
    manager.signal(Signal::Stop);
    assert!(manager.stopped_within(SOON));
    let mut callers: Vec<UnixStream> = Vec::new();
    let full = loop {
        match listener::call(&socket) {
            Ok(stream) => callers.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock, "{full}");
    let asked = Instant::now();
    let late = engine.run(&["scale", "web=1", "--timeout", "300ms"]);
    assert_eq!(late.code, 124, "{}", late.stderr);
    assert!(asked.elapsed() < SOON && late.stderr.contains("does not answer"), "{}", late.stderr);
    manager.signal(Signal::Cont);
    engine.ok(&["status"]);
    drop(callers);
    assert_eq!(engine.down(), 0);
}

#[test]
fn colours_are_printed_when_asked_for_and_never_against_no_color() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let colored = |variable: Option<&str>, arguments: &[&str]| {
        let mut command = Command::new(EVERCREW);
        command.arg("-c").arg(engine.home().join("evercrew.toml")).args(arguments).stdin(Stdio::null());
        command.env_remove("NO_COLOR").envs(variable.map(|value| ("NO_COLOR", value)));
        let output = command.output().expect("run the binary");
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    engine.configure("[service.web]\ncommnd = [\"sleep\"]\n");
    for command in ["status", "check"] {
        assert!(!colored(None, &[command]), "{command}: a pipe is no terminal");
        assert!(colored(None, &[command, "--color", "always"]), "{command}");
        assert!(colored(Some("1"), &[command, "--color", "always"]), "{command}: the option was given for this call");
        assert!(!colored(None, &[command, "--color", "never"]), "{command}");
    }
    // A terminal, by a program that gives one to what it runs.
    let on_terminal = |variables: &str, option: &str| {
        let words = format!("{variables} {EVERCREW} -c {}/evercrew.toml status {option}", engine.home().display());
        let mut command = Command::new("script");
        command.args(["-qec", &words, "/dev/null"]).stdin(Stdio::null()).env_remove("NO_COLOR").env("TERM", "xterm");
        command.output().ok().map(|output| output.stdout.contains(&0x1b))
    };
    match on_terminal("", "") {
        None => println!("SKIP there is no `script`"),
        plain => {
            assert_eq!(plain, Some(true), "a terminal has colours");
            assert_eq!(on_terminal("NO_COLOR=1", ""), Some(false));
            assert_eq!(on_terminal("NO_COLOR=", ""), Some(true), "empty is as if it were not set");
            assert_eq!(on_terminal("", "--color never"), Some(false));
            assert_eq!(on_terminal("NO_COLOR=1", "--color always"), Some(true));
        }
    }
    assert_eq!(engine.down(), 0);
}

/// The time that the quickest of some calls takes: what else the machine does counts for nothing.
fn quickest(engine: &Engine, arguments: &[&str]) -> Duration {
    let once = || {
        let asked = Instant::now();
        engine.ok(arguments);
        asked.elapsed()
    };
    (0..8).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn logs_answers_within_a_second_when_descriptors_are_used_up() {
    let few = ["sh", "-c", "ulimit -n 280 && exec \"$0\" \"$@\""];
    let mut engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"sh\", \"-c\", \"echo here; exec sleep 1000\"]\n")
        .through(&few);
    engine.start();
    engine.ready();
    limits::raise_nofile().expect("enough descriptors for callers");
    let socket = engine.home().join(".evercrew/control.sock");
    let callers: Vec<UnixStream> = (0..400).filter_map(|_| listener::call(&socket).ok()).collect();
    assert!(callers.len() > 280, "{}", callers.len());
    assert!(quickest(&engine, &["logs", "s"]) < Duration::from_secs(1));
    assert!(engine.ok(&["logs", "s"]).stdout.contains("here"));
    drop(callers);
    assert_eq!(engine.down(), 0);
}

/// A small file system that is unmounted at the end.
struct Disk<'a>(&'a Path);

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn logs_answers_within_a_second_while_a_worker_floods_a_full_disk() {
    let mut engine = Engine::new(EVERCREW, "");
    let small = engine.home().join("small");
    fs::create_dir(&small).expect("make a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
        .arg(&small)
        .stderr(Stdio::null())
        .status();
    let disk = Disk(&small);
    if !mounted.is_ok_and(|status| status.success()) {
        return println!("SKIP no tmpfs can be mounted");
    }
    engine.configure(
        "[log]\ndirectory = \"small/logs\"\nterminal = false\n[service.w]\ncommand = [\"yes\", \"a line of the flood\"]\n",
    );
    engine.start();
    engine.ready();
    engine.events(1).wait("full", Duration::from_secs(60), |event| event["kind"] == "log.failed");
    for arguments in [&["logs", "w"][..], &["logs"], &["status"]] {
        let took = quickest(&engine, arguments);
        assert!(took < Duration::from_secs(1), "{arguments:?}: {took:?}");
    }
    assert_eq!(engine.down(), 0);
    drop(disk);
}

#[test]
fn logs_are_read_where_the_running_engine_writes_them() {
    let writes = |logs: &str| {
        format!(
            "[log]\ndirectory = \"{logs}\"\n[service.s]\ncommand = [\"sh\", \"-c\", \"echo here; exec sleep 1000\"]\n"
        )
    };
    let mut engine = Engine::up(EVERCREW, &writes("first"));
    let line = |engine: &Engine| engine.run(&["logs", "s", "--since", "1h"]).stdout.contains("here");
    let until = Instant::now() + SOON;
    while !line(&engine) {
        assert!(Instant::now() < until, "{}", engine.log());
    }
    engine.configure(&writes("second"));
    assert!(line(&engine), "the file says what the next engine will do");
    engine.configure("broken [");
    assert!(line(&engine), "and need not be readable");
    engine.configure(&writes("second"));
    assert_eq!(engine.down(), 0);
    assert!(!line(&engine), "none runs, so the file is all there is");
    engine.configure(&writes("first"));
    assert!(line(&engine));
}
