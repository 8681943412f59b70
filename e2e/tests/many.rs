//! Many workers, and none with anything to do.

use std::time::{Duration, Instant};

use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, volume};

use crate::EVERCREW;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_thousand_workers_run_idle_and_stop() {
    let mut engine = Engine::up(EVERCREW, "[service.sleep]\ncommand = [\"sleep\", \"10000\"]\nworkers = 1000\n");
    let pids = engine.pids("sleep");
    assert_eq!(pids.len(), 1000);
    let manager = engine.manager();
    let (cpu, began) = (manager.cpu(), Instant::now());
    assert!(manager.lives() && !manager.gone_within(Duration::from_secs(3)));
    let used = manager.cpu() - cpu;
    assert!(used.as_secs_f64() < 0.01 * began.elapsed().as_secs_f64(), "idle manager used {used:?}");
    assert_eq!(engine.down(), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn an_idle_engine_never_wakes_up() {
    let mut engine = Engine::up(EVERCREW, "[service.sleep]\ncommand = [\"sleep\", \"10000\"]\nworkers = 4\n");
    let parts = [engine.manager(), engine.supervisor()];
    let switches = || parts.iter().map(Process::voluntary_switches).collect::<Vec<_>>();
    // Both are asleep again once the last command is answered: their counts stand still from then on.
    let before = settled(&switches);
    assert!(!parts[0].gone_within(Duration::from_secs(volume(30).max(5) as u64)));
    assert_eq!(switches(), before, "manager or supervisor woke up though nothing happened");
    assert_eq!(engine.down(), 0);
}

fn settled(count: &impl Fn() -> Vec<u64>) -> Vec<u64> {
    let until = Instant::now() + PATIENCE;
    let mut last = (count(), Instant::now());
    while Instant::now() < until {
        let now = count();
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > Duration::from_millis(500) {
            return last.0;
        }
        std::thread::yield_now();
    }
    panic!("the engine never came to rest");
}
