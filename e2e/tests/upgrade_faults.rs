//! Upgrades that fail, at any step and in any way, and managers that die all the time.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::volume;
use serde_json::Value;

use crate::EVERCREW;
use crate::upgrade::{Crew, SOON, wait};

/// Whether it is one of the built-in service.
fn is_worker(pid: u32) -> bool {
    Process::try_open(pid).is_some_and(|process| process.title().contains("web."))
}

#[test]
fn managers_that_die_twice_a_second_during_everything_leave_what_was_asked_for() {
    let mut crew = Crew::up("rollout = { settle = \"100ms\" }\n");
    let load = crew.load();
    let mut events = crew.engine.events(1);
    let until = Instant::now() + Duration::from_secs(volume(60) as u64);
    let (mut kills, mut round) = (0, 0);
    let mut running: Vec<Child> = Vec::new();
    while Instant::now() < until {
        let next = Instant::now() + Duration::from_millis(500);
        // Whether a command is answered is no matter: its manager may be dead by then.
        let count = format!("web={}", 2 + round % 3);
        for arguments in [&["restart", "web"][..], &["scale", &count], &["reload", "--no-wait"]] {
            let mut command = Command::new(EVERCREW);
            command.current_dir(crew.engine.home()).args(arguments).args(["--timeout", "5s"]);
            running.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run the binary"));
        }
        events.drain_until(next);
        // None answers between two of them.
        if let Some(manager) = crew.managers().first().and_then(|pid| Process::try_open(*pid)) {
            manager.signal(Signal::Kill);
            kills += 1;
        }
        round += 1;
    }
    for mut command in running {
        command.wait().expect("its end");
    }
    assert!(kills >= 5, "{kills} kills");
    crew.engine.ok(&["scale", "web=3", "--timeout", "60s"]);
    crew.engine.ready();
    // The last ones that were replaced may still drain.
    wait("three workers", || (crew.engine.pids("web").len() == 3).then_some(()));
    let workers = || crew.engine.supervisor().children().into_iter().filter(|pid| is_worker(*pid)).count();
    wait("end of the last replaced worker", || (workers() == 3).then_some(()));
    events.drain_until(Instant::now() + Duration::from_millis(200));
    let mut started = BTreeSet::new();
    for event in events.seen().filter(|event| event["kind"] == "worker.ready") {
        let key = (event["worker"].to_string(), event["generation"].to_string(), event["pid"].to_string());
        let of_another =
            started.iter().any(|(worker, generation, pid)| (worker, generation) == (&key.0, &key.1) && *pid != key.2);
        assert!(!of_another, "started twice: {event}");
        started.insert(key);
    }
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    println!("{kills} managers killed, {} workers started; {report}", started.len());
    assert_eq!(crew.engine.down(), 0);
}

/// Who fails at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Old,
    New,
    Both,
}

/// One process or both fail at a step; gives whether the new binary has the duty afterwards.
fn fail_at(crew: &mut Crew, step: u32, victim: Victim, fault: Signal) -> bool {
    let point = format!("handover.{step}");
    let (from, to) = (crew.binary(), crew.other().to_owned());
    let old = crew.engine.manager();
    crew.arm(&point);
    let upgrade = crew.upgrade(&to, &["--timeout", "2s"]);
    crew.reached(&point);
    let new = wait("successor", || crew.managers().into_iter().find(|pid| *pid != old.pid));
    let new = Process::open(new);
    if victim != Victim::New {
        old.signal(fault);
    }
    if victim != Victim::Old {
        new.signal(fault);
    }
    crew.release(&point);
    let output = upgrade.wait_with_output().expect("its output");
    let context = format!("step {step}, {victim:?}, {fault}: {output:?}");
    // One manager is left, and it answers.
    let manager = wait(&format!("single manager after {context}"), || {
        let answer = crew.engine.run(&["status", "--json", "--timeout", "5s"]);
        let pid: u64 = serde_json::from_str::<Value>(&answer.stdout).ok()?["manager"]["pid"].as_u64()?;
        (crew.managers() == [u32::try_from(pid).ok()?]).then_some(pid)
    });
    let commits = std::fs::read_link(format!("/proc/{manager}/exe")).expect("its binary") == to;
    if output.status.success() {
        assert!(commits, "it says that it is upgraded: {context}");
    }
    if !commits {
        assert_eq!(crew.binary(), from, "{context}");
    }
    commits
}

#[test]
fn at_each_step_whoever_fails_one_manager_goes_on_and_nobody_notices() {
    let mut crew = Crew::up("");
    let load = crew.load();
    let workers = crew.engine.pids("web");
    let victims = [Victim::Old, Victim::New, Victim::Both];
    let cells = (1..=10).flat_map(|step| {
        victims.into_iter().flat_map(move |victim| [Signal::Kill, Signal::Stop].map(|fault| (step, victim, fault)))
    });
    let cells: Vec<_> = cells.collect();
    // Each cell five times in the long run, or as often as EVERCREW_ROUNDS says; a seventh of them in the short one.
    let asked = std::env::var("EVERCREW_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let (stride, rounds) = match asked {
        Some(rounds) => (1, rounds),
        None if volume(10) == 10 => (1, 5),
        None => (7, 1),
    };
    for round in 0..rounds {
        for (step, victim, fault) in cells.iter().copied().skip(round % stride).step_by(stride) {
            let commits = fail_at(&mut crew, step, victim, fault);
            // The one before is frozen from step 8 on: what becomes of it is no matter.
            let expected = match (step, victim, fault) {
                (1..=7, _, _) | (8, Victim::New | Victim::Both, _) => Some(false),
                (9 | 10, Victim::Old, _) => Some(true),
                // A kill is no judgement; one that hangs is replaced by the one before it.
                (9 | 10, _, Signal::Kill) => Some(true),
                (9 | 10, _, _) => Some(false),
                // It ends before the commit, or after it.
                _ => None,
            };
            if let Some(expected) = expected {
                assert_eq!(commits, expected, "step {step}, {victim:?}, {fault}\n{}", crew.engine.log());
            }
            assert_eq!(crew.engine.pids("web"), workers, "a worker was touched: step {step}, {victim:?}, {fault}");
            let next = crew.upgrade(crew.other(), &[]).wait_with_output().expect("its output");
            assert!(next.status.success(), "the next one: {next:?}\n{}", crew.engine.log());
        }
    }
    let report = load.stop();
    assert!(report.is_clean() && report.idle_closes + report.idle_resets == 0, "{report}");
    assert_eq!(crew.engine.down(), 0);
}

#[test]
fn a_bad_binary_changes_nothing_and_its_reason_is_told() {
    let mut crew = Crew::up("");
    let load = crew.load();
    let (manager, workers) = (crew.engine.manager(), crew.engine.pids("web"));
    let home = crew.points.parent().expect("a directory").to_owned();
    let whole = std::fs::read(EVERCREW).expect("the binary");
    let half = home.join("half");
    // Well within its code: what stands behind that a program can do without.
    std::fs::write(&half, &whole[..1 << 20]).expect("write the beginning of it");
    std::os::unix::fs::PermissionsExt::set_mode(&mut half.metadata().expect("it is there").permissions(), 0o755);
    std::fs::set_permissions(&half, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("make it executable");
    let plain = home.join("plain");
    std::fs::write(&plain, &whole[..1000]).expect("write a file");
    for (binary, told) in [
        (Path::new("/bin/false"), "it ended before it was ready (exit code 1)"),
        (Path::new("/usr/bin/yes"), "it did not get ready in time"),
        (&half, "it"),
        (&plain, "it is not executable"),
        (&home, "it is no file"),
        (&home.join("none"), "No such file"),
    ] {
        let output = crew.upgrade(binary, &["--timeout", "2s"]).wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(told), "{binary:?}: {output:?}");
    }
    // One that crashes once it is ready, and what it had to say.
    for point in ["handover.4", "handover.8"] {
        crew.arm(point);
        let upgrade = crew.upgrade(&crew.binaries[1], &[]);
        assert_ne!(crew.reached(point), manager.pid);
        crew.abort(point);
        let output = upgrade.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("SIGABRT"), "{point}: {output:?}");
    }
    assert!(manager.lives() && crew.engine.manager().pid == manager.pid, "the manager is the one before");
    // One that takes over and dies at once: the one before comes back, and whoever asked hears of it.
    crew.arm("handover.10");
    let upgrade = crew.upgrade(&crew.binaries[1], &[]);
    assert_ne!(crew.reached("handover.10"), manager.pid);
    crew.abort("handover.10");
    let output = upgrade.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("SIGABRT"), "{output:?}\n{}", crew.engine.log());
    assert_eq!(crew.binary(), crew.binaries[0]);
    assert_eq!(crew.engine.pids("web"), workers);
    let report = load.stop();
    assert!(report.is_clean() && report.idle_closes + report.idle_resets == 0, "{report}");
    assert_eq!(crew.engine.down(), 0);
}

#[test]
fn supervision_goes_on_while_a_new_manager_hangs() {
    let mut crew = Crew::up("");
    let mut events = crew.engine.events(1);
    for point in ["handover.4", "handover.8"] {
        crew.arm(point);
        let upgrade = crew.upgrade(&crew.binaries[1], &["--timeout", "5s"]);
        let new = Process::open(crew.reached(point));
        new.signal(Signal::Stop);
        crew.release(point);
        // The one that hangs in the taking over answers nobody.
        let killed =
            Process::open(crew.engine.supervisor().children().into_iter().find(|pid| is_worker(*pid)).expect("one"));
        let began = Instant::now();
        killed.signal(Signal::Kill);
        let ended = events.wait("its end", SOON, |event| event["kind"] == "worker.exit" && event["pid"] == killed.pid);
        events.worker("worker.ready", ended["worker"].as_str().expect("its name"), SOON);
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?} at {point}", began.elapsed());
        let second = crew.engine.run(&["upgrade", "--timeout", "5s"]);
        let is_late = point == "handover.8";
        assert!(is_late || second.code == 75, "one at a time: {second:?}");
        let output = upgrade.wait_with_output().expect("its output");
        assert!(is_late || !output.status.success(), "{output:?}");
        assert!(new.gone_within(SOON), "one that hangs is ended");
        crew.engine.ready();
    }
    assert_eq!(crew.engine.down(), 0);
}
