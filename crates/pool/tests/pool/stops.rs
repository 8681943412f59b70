//! How children and pools end.

use std::time::Duration;

use evercrew_pool::{Outcome, Pool};

use crate::rig::{PATIENCE, Rig, children, lives, until};

#[test]
fn a_pool_that_stops_lets_jobs_in_hand_end_and_gives_back_what_waits() {
    let rig = Rig::new(children(&[]));
    let in_hand = rig.begin("j1", r#"{"after":2}"#);
    let waits = rig.begin("j2", "{}");
    rig.pool.stop(false);
    assert!(matches!(in_hand.try_recv(), Ok(Outcome::Done(_))), "it had its 2 s");
    assert_eq!(waits.try_recv(), Ok(Outcome::Returned { begun: false }));
    assert_eq!(rig.run("j3", "{}"), Outcome::Returned { begun: false });
    assert!(rig.pool.statistics().is_none());
}

#[test]
fn fewer_children_lets_jobs_in_hand_end_too() {
    let mut config = children(&["ready"]);
    config.size = 2;
    let rig = Rig::new(config);
    // Both have one in hand.
    let jobs = [rig.begin("j1", r#"{"after":2}"#), rig.begin("j2", r#"{"after":2}"#)];
    until("both are in hand", || {
        rig.pool.statistics().expect("runs").children.iter().all(|child| child.jobs_in_hand.len() == 1)
    });
    rig.pool.scale(1);
    for job in jobs {
        assert!(matches!(job.recv_timeout(PATIENCE), Ok(Outcome::Done(_))));
    }
    until("one is left", || rig.pool.statistics().expect("runs").children.len() == 1);
}

#[test]
fn a_job_that_takes_too_long_ends_its_child_with_all_that_it_started() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("pid");
    let mut config = children(&[]);
    config.timeout = Duration::from_secs(2);
    let rig = Rig::new(config);
    let failed = rig.failed("j1", &format!(r#"{{"do":"hang","file":{file:?}}}"#));
    assert_eq!((failed.class.as_str(), failed.reason.as_str()), ("Timeout", "it was not done within 2 s"));
    until("the grandchild is gone", || !lives(&file));
    rig.done("j2", "{}");
}

#[test]
fn a_child_is_replaced_after_its_jobs_and_no_job_notices() {
    let mut config = children(&["ready"]);
    (config.recycle_jobs, config.recycle_jitter) = (Some(5), 0.0);
    let rig = Rig::new(config);
    for round in 0..40 {
        rig.done(&format!("j{round}"), "{}");
    }
    until("another generation", || rig.pool.statistics().expect("runs").children.iter().any(|c| c.generation > 1));
    until("its jobs begin anew", || {
        rig.done("again", "{}");
        rig.pool.statistics().expect("runs").children.iter().any(|c| c.generation > 1 && c.jobs > 0)
    });
    assert_eq!(rig.pool.statistics().expect("runs").counts.failed, 0);
}

#[test]
fn a_child_with_more_memory_than_it_may_have_is_replaced() {
    let mut config = children(&["ready"]);
    config.recycle_memory = Some(100 << 20);
    let rig = Rig::new(config);
    rig.done("small", r#"{"do":"grow","mib":1}"#);
    rig.done("large", r#"{"do":"grow","mib":200}"#);
    until("it is replaced", || {
        rig.pool.statistics().expect("runs").children.iter().all(|child| child.generation == 2 && child.ready.is_some())
    });
    assert_eq!(rig.pool.statistics().expect("runs").counts.failed, 0);
}

#[test]
fn a_child_that_is_idle_for_long_is_replaced_once() {
    let mut config = children(&["ready"]);
    (config.recycle_idle, config.recycle_jitter) = (Some(Duration::from_secs(1)), 0.0);
    let rig = Rig::new(config);
    rig.done("j1", "{}");
    let generations = || rig.pool.statistics().expect("runs").children.iter().map(|c| c.generation).collect::<Vec<_>>();
    until("it is replaced", || generations() == [2]);
    rig.done("j2", "{}");
}

#[test]
fn a_pool_that_is_dropped_leaves_nobody() {
    let pool = Pool::spawn(children(&["ready"])).expect("a pool");
    let pid = pool.statistics().expect("runs").children[0].pid;
    drop(pool);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_callback_that_panics_leaves_nobody_waiting() {
    let rig = Rig::new(children(&["ready"]));
    let waits = rig.begin("waits", r#"{"after":600}"#);
    rig.pool.submit(evercrew_pool::Job::new("bad", "{}"), |_| panic!("as it is meant to"));
    assert!(waits.recv_timeout(PATIENCE).is_err(), "its sender is gone with the dispatcher");
    assert_eq!(rig.run("j1", "{}"), Outcome::Returned { begun: false });
}
