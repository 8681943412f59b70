//! Limits by cgroup, and workers that are replaced for their memory.

use std::time::{Duration, Instant};

use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::program;
use evercrew_e2e::{Engine, kernel};
use evercrew_sys::cgroup::Controller;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

fn can_hold(controller: Controller) -> bool {
    let can = kernel::can_hold(controller);
    if !can {
        println!("SKIP no {} controller that can be used", controller.name());
    }
    can
}

#[test]
fn a_worker_that_the_kernel_kills_for_its_memory_ends_with_oom() {
    if !can_hold(Controller::Memory) {
        return;
    }
    // It reads zeros into one line that never ends.
    let mut engine = Engine::new(
        EVERCREW,
        "[service.hog]\ncommand = [\"tail\", \"/dev/zero\"]\nlimits = { memory = \"48MiB\" }\nbackoff = { min = \"10s\" }\n\
         [service.fine]\ncommand = [\"sleep\", \"1000\"]\nlimits = { memory = \"48MiB\" }\n",
    );
    engine.start();
    let mut events = engine.events(1);
    let exit = events.worker("worker.exit", "hog.1", SOON);
    assert_eq!((exit["reason"].as_str(), exit["signal"].as_str()), (Some("oom"), Some("SIGKILL")), "{exit}");
    // The first restart is at once; the second waits.
    events.worker("worker.exit", "hog.1", SOON);
    let workers = engine.workers("hog");
    let last = &workers[0].json["last_exit"];
    assert_eq!((last["reason"].as_str(), last["signal"].as_str()), (Some("oom"), Some("SIGKILL")), "{last}");
    let log = engine.log();
    assert!(log.contains("hog.1 ended: killed by the kernel for want of memory (oom)"), "{log}");
    assert!(!log.contains("not enforced"), "{log}");
    assert!(engine.workers("fine").iter().all(|worker| worker.state == "ready" && worker.restarts == 0));
    assert_eq!(engine.down(), 0);
    let instance = std::fs::read_to_string(engine.home().join(".evercrew/instance")).expect("the instance");
    assert_eq!(kernel::cgroups_of(instance.trim()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_worker_whose_child_was_killed_for_memory_ended_by_itself() {
    if !can_hold(Controller::Memory) {
        return;
    }
    let mut engine = Engine::new(
        EVERCREW,
        "[service.parent]\ncommand = [\"sh\", \"-c\", \"tail /dev/zero; exit 7\"]\nlimits = { memory = \"48MiB\" }\n\
         backoff = { min = \"10s\" }\n",
    );
    engine.start();
    let exit = engine.events(1).worker("worker.exit", "parent.1", SOON);
    assert_eq!((exit["reason"].as_str(), exit["code"].as_u64()), (Some("unasked"), Some(7)), "{exit}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn forks_over_the_limit_of_processes_fail() {
    if !can_hold(Controller::Pids) {
        return;
    }
    // The shell, four children, and what is forked in the engine's own steps: none.
    let service = |name: &str, pids: u32| {
        let forks = "for i in 1 2 3 4; do sleep 1000 & done; echo up; wait";
        format!(
            "[service.{name}]\ncommand = [\"sh\", \"-c\", \"{forks}\"]\nready = {{ output = \"up\" }}\n\
             limits = {{ pids = {pids} }}\nbackoff = {{ min = \"10s\" }}\n"
        )
    };
    let mut engine = Engine::new(EVERCREW, &(service("few", 3) + &service("enough", 5)));
    engine.start();
    let mut events = engine.events(1);
    events.worker("worker.ready", "enough.1", SOON);
    let exit = events.worker("worker.exit", "few.1", SOON);
    assert_eq!((exit["reason"].as_str(), exit["code"].as_u64()), (Some("unasked"), Some(2)), "{exit}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn processor_time_is_bounded_for_a_worker_and_its_children_together() {
    if !can_hold(Controller::Cpu) {
        return;
    }
    let spin = "while :; do :; done & while :; do :; done";
    let configuration = format!("[service.spin]\ncommand = [\"sh\", \"-c\", \"{spin}\"]\nlimits = {{ cpus = 0.1 }}\n");
    let mut engine = Engine::up(EVERCREW, &configuration);
    let worker = Process::open(engine.pids("spin")[0]);
    let used = || worker.children().into_iter().map(|pid| Process::open(pid).cpu()).sum::<Duration>() + worker.cpu();
    let (began, before) = (Instant::now(), used());
    engine.events(1).drain_until(began + Duration::from_secs(2));
    let share = (used() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!((0.01..0.2).contains(&share), "{share} of a processor");
    assert_eq!(engine.down(), 0);
}

#[test]
fn where_no_limit_can_be_held_one_line_says_so_and_the_workers_run() {
    let Some(view) = kernel::without_cgroups() else { return println!("SKIP cgroups cannot be hidden here") };
    let limited = |name: &str| {
        format!(
            "[service.{name}]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n\
             limits = {{ memory = \"64MiB\", pids = 9, cpus = 1.5 }}\n"
        )
    };
    let mut engine = Engine::new(EVERCREW, &(limited("one") + &limited("two"))).through(&view);
    engine.start();
    engine.ready();
    let log = engine.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("not enforced")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for key in ["WARN", "limits.memory", "limits.pids", "limits.cpus", "no cgroup of our own"] {
        assert!(lines[0].contains(key), "{key}: {}", lines[0]);
    }
    assert_eq!(engine.down(), 0);
}

/// A parent with memory, and processes forked from it that share its pages; then one that says so when all are there.
const COPIES: &str = "import os, signal
keep = bytearray(48 << 20)
for i in range(0, len(keep), 4096): keep[i] = 1
for i in range(3):
    if os.fork() == 0: signal.pause()
print('up', flush=True)
signal.pause()
";
/// A small parent with a large child.
const GROWN: &str = "import os, signal
if os.fork() == 0:
    keep = bytearray(80 << 20)
    for i in range(0, len(keep), 4096): keep[i] = 1
    print('up', flush=True)
signal.pause()
";

#[test]
fn memory_counts_descendants_and_shared_pages_once() {
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let service = |name: &str, text: &str, memory: &str| {
        let script = engine.script(name, text);
        format!(
            "[service.{name}]\ncommand = [{python:?}, {script:?}]\nready = {{ output = \"^up\" }}\n\
             recycle = {{ memory = \"{memory}\", jitter = 0 }}\nrollout = {{ settle = \"100ms\" }}\n"
        )
    };
    // Counted in full the copies would have 192 MiB.
    let configuration = service("copies", COPIES, "128MiB") + &service("grown", GROWN, "64MiB");
    engine.configure(&configuration);
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    let draining = events.worker("worker.draining", "grown.1", SOON);
    assert_eq!(draining["reason"], "recycle");
    assert_eq!(engine.workers("copies")[0].generation, 1, "both are looked at in one moment");
    assert_eq!(engine.workers("copies").len(), 1);
    assert_eq!(engine.down(), 0);
}
