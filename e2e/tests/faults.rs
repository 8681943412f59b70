//! Known faults of systems of this kind, each shown to be none here; those that other tests show already are not repeated.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_stop_while_the_next_manager_is_waited_for_starts_nothing_and_ends_everything() {
    let mut engine = Engine::up(
        EVERCREW,
        "[engine]\nmanager_restart_wait = \"60s\"\n[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n",
    );
    let workers: Vec<Process> = engine.pids("s").into_iter().map(Process::open).collect();
    let (manager, up) = (engine.manager(), engine.supervisor());
    manager.signal(Signal::Kill);
    assert!(manager.gone_within(SOON));
    let began = Instant::now();
    up.signal(Signal::Term);
    assert!(up.gone_within(Duration::from_secs(4)), "the stop waits for the manager\n{}", engine.log());
    println!("ended after {:?}", began.elapsed());
    assert_eq!(engine.wait(SOON), 0);
    assert!(workers.iter().all(|worker| !worker.lives()));
    assert!(engine.nothing_left_within(Duration::ZERO));
    assert_eq!(engine.log().matches("s.1 ready").count(), 1, "nothing was started\n{}", engine.log());
}

#[test]
fn each_ttou_takes_another_worker_down_to_none() {
    let slow = "command = [\"sh\", \"-c\", \"trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done\"]\n";
    let mut engine = Engine::up(EVERCREW, &format!("[service.s]\n{slow}workers = 3\n"));
    let mut events = engine.events(1);
    let up = engine.supervisor();
    // Two of the same signal that are both pending are one, so each is awaited; the workers still drain.
    for worker in ["s.3", "s.2", "s.1"] {
        up.signal(Signal::Ttou);
        let draining = events.worker("worker.draining", worker, SOON);
        assert_eq!(draining["reason"], "scale");
    }
    let again = |kind: &str| events.seen().filter(|event| event["kind"] == kind).count();
    assert_eq!((again("worker.draining"), again("worker.ready")), (3, 3), "each once");
    events.wait("stopped", SOON, |event| event["kind"] == "service.stopped");
    assert_eq!(engine.pids("s"), Vec::<u32>::new());
    up.signal(Signal::Ttin);
    events.worker("worker.ready", "s.1", SOON);
    assert_eq!(engine.down(), 0);
}

#[test]
fn idle_workers_on_one_listener_wait_without_waking_up() {
    let port = free_port();
    let engine = Engine::up(
        EVERCREW,
        &format!(
            "[listen.l]\naddress = \"127.0.0.1:{port}\"\n[service.s]\nbuiltin = \"hello\"\nlisten = [\"l\"]\nworkers = 4\n\
             heartbeat = {{ interval = \"1s\", timeout = \"10s\" }}\n"
        ),
    );
    let workers: Vec<Process> = engine.pids("s").into_iter().map(Process::open).collect();
    let threads = |worker: &Process| {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", worker.pid)).expect("its threads").flatten();
        let of = |path: std::path::PathBuf| std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let number = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        };
        tasks.filter_map(|task| number(of(task.path()))).sum::<u64>()
    };
    let woken = || workers.iter().map(threads).sum::<u64>();
    assert!(!workers[0].gone_within(Duration::from_secs(1)));
    let before = woken();
    assert!(!workers[0].gone_within(Duration::from_secs(5)));
    let woken = woken() - before;
    // Twenty beats. Forty wakeups a second each would be eight hundred.
    println!("{woken} wakeups of four workers in five seconds");
    assert!(woken <= 4 * 5 * 4, "{woken} wakeups of four idle workers in five seconds");
}
