//! Nothing outlives the engine: what forks, leaves its group and session, loses its parent and ignores TERM ends with it.
//!
//! Survivors are found by a mark in their arguments, not by anything the engine believes.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, kernel, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);

/// Every descendant is a `sleep` that ignores TERM, with the mark as a fraction of a second more.
const WORKER: &str = "#!/bin/sh
trap '' TERM HUP INT
p=\"3000 0.0$1\"
sleep $p &
setsid sleep $p &
(setsid sleep $p &)
((sleep $p &) &)
(setsid sh -c \"(setsid sleep $p &); sleep $p & exec sleep $p\" &)
[ $2 = scrub ] && (env -i \"$(command -v setsid)\" \"$(command -v sleep)\" $p &)
echo up
exec sleep $p
";
/// Processes of one worker, those that left its group, and the one that has an empty environment.
const PROCESSES: usize = 8;
const LEFT: usize = 5;

struct Crew {
    engine: Engine,
    mark: String,
}

impl Crew {
    /// An engine that is not up yet; `scrub` adds a process whose environment says nothing.
    fn new(view: kernel::View, name: &str, scrub: bool) -> Self {
        let mark = format!("{:010}{:05}", std::process::id(), u32::from_str_radix(name, 36).expect("a word") % 100_000);
        let engine = Engine::new(EVERCREW, "").through(&view);
        let script = engine.script("worker.sh", WORKER);
        let scrub = if scrub { "scrub" } else { "no" };
        engine.configure(&format!(
            "[service.tree]\ncommand = [{script:?}, \"{mark}\", \"{scrub}\"]\nworkers = 3\n\
             ready = {{ output = \"up\" }}\nstop = {{ grace = \"200ms\" }}\n"
        ));
        Self { engine, mark }
    }

    fn start(&mut self) {
        self.engine.start();
        self.engine.ready();
    }

    /// Living processes with the mark in their arguments.
    fn marked(&self) -> Vec<Process> {
        let mark = format!("0.0{}", self.mark);
        let is_marked = |process: &Process| {
            let words = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
        };
        let pids = std::fs::read_dir("/proc").expect("read /proc").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(Process::try_open).filter(is_marked).filter(Process::lives).collect()
    }

    /// Every one of this many, once they are there.
    fn all(&self, expected: usize) -> Vec<Process> {
        let until = Instant::now() + SOON;
        loop {
            let found = self.marked();
            if found.len() >= expected {
                return found;
            }
            assert!(Instant::now() < until, "only {} of {expected}\n{}", found.len(), self.engine.log());
        }
    }

    fn assert_gone(&self, round: usize) {
        let left: Vec<String> = self.marked().iter().map(Process::title).collect();
        assert!(left.is_empty(), "round {round}: {left:?}\n{}", self.engine.log());
    }
}

fn stops(mut crew: Crew, rounds: usize, processes: usize) -> Crew {
    for round in 0..rounds {
        crew.start();
        crew.all(processes * 3);
        assert_eq!(crew.engine.down(), 0);
        crew.assert_gone(round);
    }
    crew
}

/// How the supervisor's death went.
fn deaths(mut crew: Crew, rounds: usize, processes: usize) -> Crew {
    for round in 0..rounds {
        crew.start();
        crew.all(processes * 3);
        let (manager, supervisor) = (crew.engine.manager(), crew.engine.supervisor());
        let killed = Instant::now();
        supervisor.signal(Signal::Kill);
        assert!(manager.gone_within(SOON), "round {round}: the manager stays\n{}", crew.engine.log());
        assert!(killed.elapsed() < Duration::from_secs(2), "round {round}: {:?}", killed.elapsed());
        crew.assert_gone(round);
        crew.engine.wait(SOON);
    }
    crew
}

#[test]
fn a_stop_leaves_nothing() {
    let Some(view) = kernel::with_cgroup2() else { return println!("SKIP no cgroup2 that can be written to") };
    stops(Crew::new(view, "stop2", true), volume(100), PROCESSES);
}

#[test]
fn a_stop_leaves_nothing_without_cgroups_either_and_names_what_had_left() {
    let Some(view) = kernel::without_cgroups() else { return println!("SKIP cgroups cannot be hidden here") };
    let crew = stops(Crew::new(view, "stop0", true), volume(100), PROCESSES);
    let log = crew.engine.log();
    assert!(log.contains("WARN  no cgroup2 of our own"), "{log}");
    let named = log.lines().rfind(|line| line.contains("ended what had left its worker's group: "));
    assert!(named.is_some_and(|line| line.matches("sleep (").count() >= 3 * LEFT), "{log}");
}

#[test]
fn the_supervisors_death_leaves_nothing_and_no_directory() {
    let Some(view) = kernel::with_cgroup2() else { return println!("SKIP no cgroup2 that can be written to") };
    let crew = deaths(Crew::new(view, "dead2", true), volume(100), PROCESSES);
    let instance = std::fs::read_to_string(crew.engine.home().join(".evercrew/instance")).expect("the instance");
    assert_eq!(kernel::cgroups_of(instance.trim()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_supervisors_death_without_cgroups_ends_what_has_our_environment_and_names_what_had_left() {
    let Some(view) = kernel::without_cgroups() else { return println!("SKIP cgroups cannot be hidden here") };
    let crew = deaths(Crew::new(view, "dead0", false), volume(100), PROCESSES - 1);
    let log = crew.engine.log();
    let named = log.lines().rfind(|line| line.contains("ended what had left its worker's group: "));
    assert!(named.is_some_and(|line| line.matches("sleep (").count() >= 3 * (LEFT - 1)), "{log}");
}

#[test]
fn the_directories_among_the_cgroups_go_with_an_engine_whose_own_directory_was_deleted() {
    let Some(view) = kernel::with_cgroup2().filter(Vec::is_empty) else {
        return println!("SKIP no cgroup2 that can be written to");
    };
    for fatal in [false, true] {
        let mut crew = Crew::new(view.clone(), "gone2", true);
        crew.start();
        let instance = std::fs::read_to_string(crew.engine.home().join(".evercrew/instance")).expect("the instance");
        assert_eq!(kernel::cgroups_of(instance.trim()).len(), 1);
        let (manager, supervisor) = (crew.engine.manager(), crew.engine.supervisor());
        std::fs::remove_dir_all(crew.engine.home().join(".evercrew")).expect("delete the directory");
        supervisor.signal(if fatal { Signal::Kill } else { Signal::Term });
        assert!(supervisor.gone_within(SOON) && manager.gone_within(SOON));
        assert_eq!(kernel::cgroups_of(instance.trim()), Vec::<std::path::PathBuf>::new(), "fatal: {fatal}");
        crew.assert_gone(0);
        crew.engine.wait(SOON);
    }
}
