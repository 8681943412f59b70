//! `run`: a command of the operator's where a service's workers live.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_sys::terminal;

use crate::EVERCREW;

const SERVICE: &str = "[service.app]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\ndirectory = \"there\"\numask = \"027\"\n\
                       env_file = \"app.env\"\nenv = { A = \"b\" }\nlimits = { nofile = 123 }\n";
const SHOW: &str = "echo $A $FROM_FILE $FROM_ENGINE $(pwd) $(umask) $(ulimit -n) \
                    [$EVERCREW_INSTANCE$EVERCREW_WORKER$NOTIFY_SOCKET] $EVERCREW_SERVICE";

fn engine() -> Engine {
    let engine = Engine::new(EVERCREW, SERVICE).with("FROM_ENGINE", "engine");
    std::fs::create_dir(engine.home().join("there")).expect("make a directory");
    std::fs::write(engine.home().join("app.env"), "FROM_FILE=file\n").expect("write");
    engine
}

fn command(engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = Command::new(EVERCREW);
    command.arg("-c").arg(engine.home().join("evercrew.toml")).arg("run").args(arguments);
    command
}

#[test]
fn it_runs_as_a_worker_would_with_the_engine_and_without() {
    let mut engine = engine();
    let there = engine.home().join("there");
    let expected = format!("b file engine {} 0027 123 [] app\n", there.display());
    assert_eq!(engine.ok(&["run", "app", "--", "sh", "-c", SHOW]).stdout, expected, "without");
    engine.start();
    engine.ready();
    // What the engine has counts, not what this shell has.
    let output = command(&engine, &["app", "--", "sh", "-c", SHOW]).env("FROM_ENGINE", "shell").output();
    assert_eq!(String::from_utf8_lossy(&output.expect("run").stdout), expected, "with");
    assert_eq!(engine.pids("app").len(), 2, "it is no worker");
    for (arguments, code) in [
        (&["app", "--", "sh", "-c", "exit 7"][..], 7),
        (&["app", "--", "no-such-program"], 127),
        (&["app", "--", "/no/such/program"], 127),
        (&["app", "--", "/etc/passwd"], 126),
        (&["nobody", "--", "true"], 4),
        (&["app", "true"], 2),
        (&["app", "--"], 2),
    ] {
        assert_eq!(command(&engine, arguments).status().expect("run").code(), Some(code), "{arguments:?}");
    }
    assert_eq!(engine.down(), 0);
    assert_eq!(engine.run(&["run", "nobody", "--", "true"]).code, 4);
}

#[test]
fn signals_and_standard_streams_are_the_commands_own_and_it_outlives_the_engine() {
    let mut engine = engine();
    engine.start();
    engine.ready();
    let script = "trap 'echo caught; exit 9' USR1; echo begun; while read line; do echo \"got $line\"; done; while :; do sleep 0.02; done";
    let mut child = command(&engine, &["app", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run the binary");
    let mut output = child.stdout.take().expect("piped");
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        output.read_exact(&mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert_eq!(read(6), "begun\n");
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"x\n").expect("write");
    assert_eq!(read(6), "got x\n");
    drop(child.stdin.take());
    assert_eq!(engine.down(), 0);
    engine.start();
    engine.ready();
    let process = Process::open(child.id());
    assert!(process.lives(), "neither `down` nor the next `up` ends it");
    process.signal(Signal::Usr1);
    assert_eq!(read(7), "caught\n");
    assert_eq!(child.wait().expect("reap").code(), Some(9));
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_terminal_is_passed_on() {
    let engine = engine();
    let (master, slave) = terminal::pseudo().expect("a terminal");
    let of = || Stdio::from(slave.as_fd().try_clone_to_owned().expect("duplicate"));
    let status = command(&engine, &["app", "--", "sh", "-c", "test -t 0 && test -t 1 && test \"$TERM\" = vt100"])
        .env("TERM", "vt100")
        .stdin(of())
        .stdout(of())
        .status();
    assert_eq!(status.expect("run the binary").code(), Some(0));
    drop(master);
}

#[test]
fn it_runs_as_the_services_user() {
    let engine =
        Engine::new(EVERCREW, "[service.app]\ncommand = [\"sleep\", \"1\"]\nuser = \"nobody\"\ndirectory = \"/\"\n");
    let run = engine.run(&["run", "app", "--", "id", "-un"]);
    if run.code == 77 {
        return println!("SKIP another user needs root");
    }
    assert_eq!((run.code, run.stdout.as_str()), (0, "nobody\n"), "{}", run.stderr);
    assert_eq!(engine.ok(&["run", "app", "--", "sh", "-c", "echo $USER"]).stdout, "nobody\n");
}
