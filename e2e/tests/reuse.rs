//! Numbers of processes come back: what has one that was ours is never signalled.
//!
//! In a process namespace of its own the test chooses the next number (`ns_last_pid`), and gives every number that the
//! engine knew to a canary, which writes down each signal that reaches it or its group.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, kernel, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const INSIDE: &str = "EVERCREW_TEST_INSIDE";

/// Sings on every signal; the silence of a killed one is heard as well.
const CANARY: &str = "for s in TERM INT HUP QUIT USR1 USR2 CONT; do trap \"echo $s >> song\" $s; done
exec 3<>air
echo >> sitting
while :; do read x <&3; done
";

/// A process with this number that leads a group of its own, or none where somebody else was faster.
fn canary(home: &Path, number: u32) -> Option<Child> {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).expect("choose the next number");
    let mut command = Command::new("sh");
    command.args(["-c", CANARY]).current_dir(home).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().expect("start a canary");
    if child.id() == number {
        return Some(child);
    }
    child.kill().expect("kill it");
    child.wait().expect("reap it");
    None
}

/// What was read of the file so far.
fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn inside() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("worker.sh", "#!/bin/sh\nsetsid sleep 1000 &\nsleep 1000 &\necho up\nexec sleep 1000\n");
    let configuration = format!(
        "[service.web]\ncommand = [{script:?}]\nworkers = 2\nready = {{ output = \"up\" }}\nstart_limit = false\n\
         stop = {{ grace = \"200ms\" }}\nbackoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\n\
         rollout = {{ settle = \"0s\" }}\n"
    );
    engine.configure(&configuration);
    assert!(Command::new("mkfifo").arg(engine.home().join("air")).status().is_ok_and(|status| status.success()));
    engine.start();
    engine.ready();
    let mut canaries: Vec<Child> = Vec::new();
    let mut taken: Vec<u32> = Vec::new();
    let mut events = engine.events(1);
    for round in 0..volume(100) {
        let worker = Process::open(engine.pids("web")[0]);
        // Its descendants as well: what left the group, and what did not.
        let known: Vec<u32> = std::iter::once(worker.pid).chain(worker.children()).collect();
        worker.signal(Signal::Kill);
        events.worker("worker.exit", "web.1", SOON);
        events.worker("worker.ready", "web.1", SOON);
        taken.extend(known);
        if round % 5 == 0 {
            let manager = engine.manager();
            manager.signal(Signal::Kill);
            events.wait("takeover", SOON, |event| event["kind"] == "engine.manager-started");
            taken.push(manager.pid);
        }
        taken.retain(|number| match canary(engine.home(), *number) {
            Some(child) => {
                canaries.push(child);
                false
            }
            None => Process::try_open(*number).is_some(),
        });
    }
    // Some numbers were not free when their turn came.
    assert!(canaries.len() >= volume(100), "{} canaries", canaries.len());
    let sitting = engine.home().join("sitting");
    while text(&sitting).lines().count() < canaries.len() {
        std::thread::yield_now();
    }
    // Everything that signals: an own group's end, a ladder to its end, a takeover, the end without a supervisor.
    engine.ok(&["restart", "web"]);
    engine.ok(&["scale", "web=4"]);
    engine.ok(&["scale", "web=1"]);
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    supervisor.signal(Signal::Kill);
    assert!(manager.gone_within(SOON));
    engine.wait(SOON);
    // The next one looks for what the last one left.
    engine.start();
    engine.ready();
    assert_eq!(engine.down(), 0);
    assert_eq!(text(&engine.home().join("song")), "", "signals that reached canaries");
    for mut child in canaries {
        assert!(child.try_wait().expect("look").is_none(), "canary {} was killed", child.id());
        child.kill().expect("kill it");
        child.wait().expect("reap it");
    }
}

#[test]
fn nothing_that_has_a_number_of_ours_again_is_signalled() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    let name = "reuse::nothing_that_has_a_number_of_ours_again_is_signalled";
    let mut command = Command::new(view[0]);
    command.args(&view[1..]).arg(std::env::current_exe().expect("this program"));
    let output = command.args([name, "--exact", "--nocapture"]).env(INSIDE, "1").output().expect("run this program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}
