//! Random faults for a while, under rollouts: each job has exactly one end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_pool::{Cancel, Job, Outcome};

use crate::rig::{PATIENCE, Rig, children, until};

/// Two minutes, or a tenth of it.
fn lasts() -> Duration {
    Duration::from_secs(if std::env::var_os("EVERCREW_LONG").is_some() { 120 } else { 12 })
}

const DEEDS: [&str; 12] = [
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    r#"{"do":"error"}"#,
    r#"{"do":"throttled","secs":1}"#,
    r#"{"do":"extra"}"#,
    r#"{"do":"stranger"}"#,
    r#"{"do":"print"}"#,
    r#"{"do":"die"}"#,
    r#"{"after":0.2}"#,
];

#[test]
fn whatever_children_do_each_job_has_one_end() {
    let mut config = children(&["ready", "started"]);
    (config.size, config.timeout, config.poison) = (3, Duration::from_secs(20), 1_000_000);
    // It is about what becomes of jobs, not about how long slots wait.
    (config.backoff.min, config.backoff.max, config.start_limit) =
        (Duration::from_millis(1), Duration::from_millis(50), None);
    let rig = Rig::new(config);
    let (submitted, ended) = (AtomicU32::new(0), AtomicU32::new(0));
    let until_then = Instant::now() + lasts();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (rig, submitted, ended) = (&rig, &submitted, &ended);
            scope.spawn(move || {
                let mut number = 0;
                while Instant::now() < until_then {
                    number += 1;
                    // Each thread in another order.
                    let deed = DEEDS[(number * (2 * thread + 5) + thread) % DEEDS.len()];
                    submitted.fetch_add(1, Ordering::Relaxed);
                    let outcome = rig.pool.run(Job::new(format!("{thread}-{number}"), deed), &Cancel::new());
                    let fits = match outcome {
                        Outcome::Done(_) => !deed.contains("error") && !deed.contains("throttled"),
                        Outcome::Throttled(_) => deed.contains("throttled"),
                        // A death may be another job's fault.
                        Outcome::Failed(_) => true,
                        _ => false,
                    };
                    assert!(fits, "{deed}: {outcome:?}");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while Instant::now() < until_then {
            // One that works is killed, and its death waited for.
            let Some(statistics) = rig.pool.statistics() else { break };
            if let Some(pid) = statistics.children.iter().find(|child| child.jobs > 20).map(|child| child.pid)
                && let Ok(child) = evercrew_sys::process::open(pid)
            {
                let _ = evercrew_sys::process::signal(std::os::fd::AsFd::as_fd(&child), Signal::Kill);
                let _ = evercrew_sys::process::wait_exit(std::os::fd::AsFd::as_fd(&child), PATIENCE);
            }
        }
    });
    assert_eq!(submitted.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
    let statistics = rig.pool.statistics().expect("it runs");
    let counts = statistics.counts;
    assert_eq!(counts.taken, counts.done + counts.failed + counts.throttled, "{counts:?}");
    assert!(counts.done > 100, "{counts:?}");
    until("nobody has a job in hand", || {
        rig.pool.statistics().expect("runs").children.iter().all(|child| child.jobs_in_hand.is_empty())
    });
}

#[test]
fn rollouts_under_load_fail_no_job() {
    let rounds = if std::env::var_os("EVERCREW_LONG").is_some() { 200 } else { 3 };
    let mut config = children(&["ready", "started"]);
    config.size = 3;
    let rig = Rig::new(config);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut loads = Vec::new();
        for thread in 0..2 {
            let (rig, over) = (&rig, &over);
            loads.push(scope.spawn(move || {
                let mut number = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    rig.done(&format!("{thread}-{number}"), "{}");
                    number += 1;
                }
                number
            }));
        }
        for _ in 0..rounds {
            assert_eq!(rig.pool.restart(None), Ok(()));
            let ready =
                rig.pool.statistics().expect("runs").children.iter().filter(|child| child.ready.is_some()).count();
            assert!(ready >= 2, "{ready} of 3 can work");
        }
        over.store(true, Ordering::Relaxed);
        let done: u32 = loads.into_iter().map(|load| load.join().expect("no job failed")).sum();
        assert!(done > 20, "{done} jobs");
    });
    assert_eq!(rig.pool.statistics().expect("runs").counts.failed, 0);
}
