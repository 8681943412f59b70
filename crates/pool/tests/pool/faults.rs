//! The faults of a known pool, each shown mended.

use std::time::{Duration, Instant};

use evercrew_core::{Level, Signal};
use evercrew_pool::{Outcome, Source};

use crate::rig::{PATIENCE, Rig, children, lives, until};

/// What a job takes that waits for nobody, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn no_job_waits_behind_a_busy_child_while_another_is_idle() {
    let mut config = children(&[]);
    config.size = 2;
    let rig = Rig::new(config);
    let slow = rig.begin("slow", r#"{"after":600}"#);
    let begun = Instant::now();
    for number in 0..100 {
        rig.done(&format!("j{number}"), "{}");
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    rig.pool.stop(true);
    assert!(matches!(slow.recv_timeout(PATIENCE), Ok(Outcome::Returned { .. })));
}

#[test]
fn a_child_that_dies_idle_costs_no_job_an_attempt() {
    // One that tells what it begins: a dying process may still have read what no program ever saw.
    let rig = Rig::new(children(&["ready", "started"]));
    for round in 0..4 {
        let pid = rig.pool.statistics().expect("runs").children.first().map(|child| child.pid);
        if let Some(pid) = pid {
            let child = evercrew_sys::process::open(pid).expect("a pidfd");
            evercrew_sys::process::signal(std::os::fd::AsFd::as_fd(&child), Signal::Kill).expect("kill");
        }
        // With or without the death being known by then.
        rig.done(&format!("j{round}"), "{}");
    }
    assert_eq!(rig.pool.statistics().expect("runs").counts.failed, 0);
}

#[test]
fn a_job_that_its_child_never_read_is_done_by_the_next() {
    let rig = Rig::new(children(&[]));
    let pid = rig.pool.statistics().expect("runs").children[0].pid;
    let child = evercrew_sys::process::open(pid).expect("a pidfd");
    let signal = |signal| evercrew_sys::process::signal(std::os::fd::AsFd::as_fd(&child), signal).expect("a signal");
    signal(Signal::Stop);
    let job = rig.begin("j1", "{}");
    until("it is in hand", || !rig.pool.statistics().expect("runs").children[0].jobs_in_hand.is_empty());
    signal(Signal::Kill);
    assert!(matches!(job.recv_timeout(PATIENCE), Ok(Outcome::Done(_))));
    rig.record(|record| record.line.contains("waits again"));
}

#[test]
fn what_is_printed_at_boot_fails_no_job_and_is_warned_of_once() {
    let rig = Rig::new(children(&["banner"]));
    for number in 0..10 {
        rig.done(&format!("j{number}"), r#"{"do":"print"}"#);
    }
    rig.pool.stop(false);
    let records = rig.records();
    let warnings: Vec<_> = records.iter().filter(|record| record.level == Level::Warn).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].line.contains("`Booting the application`") && warnings[0].line.contains("standard error"));
    assert!(records.iter().any(|record| record.source == Source::Stdout && record.line == "hello from user code"));
}

#[test]
fn where_nothing_may_be_printed_it_ends_the_child() {
    let mut config = children(&[]);
    config.strict = true;
    let rig = Rig::new(config);
    assert_eq!(rig.failed("j1", r#"{"do":"print"}"#).class, "Garbage");
    rig.done("j2", "{}");
}

#[test]
fn a_line_too_many_ends_the_child_and_shifts_no_result() {
    for modes in [&["nameless"][..], &[]] {
        let rig = Rig::new(children(modes));
        for round in 0..3 {
            rig.done(&format!("extra{round}"), r#"{"do":"extra"}"#);
            // Were the second line taken for this one it would be done.
            let failed = rig.failed(&format!("j{round}"), r#"{"do":"error"}"#);
            assert_eq!(failed.reason, "no such user");
        }
        rig.record(|record| record.line.contains("out of step"));
    }
}

#[test]
fn an_answer_for_another_job_ends_the_child() {
    let rig = Rig::new(children(&[]));
    assert_eq!(rig.failed("j1", r#"{"do":"stranger"}"#).class, "OutOfStep");
    rig.done("j2", "{}");
}

#[test]
fn a_death_is_known_at_once_though_an_heir_holds_the_pipes() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("pid");
    let rig = Rig::new(children(&[]));
    let begun = Instant::now();
    let failed = rig.failed("j1", &format!(r#"{{"do":"die-with-heir","file":{file:?}}}"#));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!((failed.class.as_str(), failed.reason.as_str()), ("ChildDied", "its child died: SIGKILL"));
    assert_eq!(failed.output, ["about to die"]);
    until("the heir is gone", || !lives(&file));
    rig.done("j2", "{}");
}

#[test]
fn a_job_that_ends_three_children_is_poison() {
    let rig = Rig::new(children(&["ready"]));
    let poison: Vec<bool> = (0..3).map(|_| rig.failed("bad", r#"{"do":"die"}"#).poison).collect();
    assert_eq!(poison, [false, false, true]);
}

#[test]
fn an_endless_line_costs_its_bound_and_no_more() {
    let mib = if std::env::var_os("EVERCREW_LONG").is_some() { 1024 } else { 100 };
    let rig = Rig::new(children(&[]));
    rig.done("j1", "{}");
    let own = || evercrew_sys::process::memory(std::process::id()).expect("memory");
    let before = own();
    let failed = rig.failed("huge", &format!(r#"{{"do":"huge","mib":{mib}}}"#));
    assert_eq!(failed.class, "Garbage");
    let grown = own().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    rig.done("j2", "{}");
}

#[test]
fn a_child_that_does_not_read_blocks_nobody() {
    let mut config = children(&["deaf"]);
    (config.plain_after, config.timeout) = (Some(Duration::ZERO), Duration::from_secs(2));
    let rig = Rig::new(config);
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(10 << 20));
    let job = rig.begin("large", &large);
    assert!(rig.pool.statistics().is_some(), "the dispatcher answers");
    // It never read all of it, but some: it counts as begun.
    assert!(matches!(job.recv_timeout(PATIENCE), Ok(Outcome::Failed(failed)) if failed.class == "Timeout"));
}

#[test]
fn a_child_that_writes_much_before_it_reads_is_no_deadlock() {
    let rig = Rig::new(children(&["flood"]));
    let large = format!(r#"{{"do":"print","text":"{}"}}"#, "x".repeat(10 << 20));
    assert!(matches!(rig.run("j1", &large), Outcome::Done(_)));
}

#[test]
fn lines_that_nobody_takes_are_dropped_and_counted() {
    let (entered, go_on) = std::sync::mpsc::channel::<()>();
    let mut config = children(&["ready"]);
    config.log = Box::new(move |_| {
        // Until the sender is gone.
        let _ = go_on.recv();
    });
    let pool = evercrew_pool::Pool::spawn(config).expect("a pool");
    let job = evercrew_pool::Job::new("j1", r#"{"do":"chat","lines":50000,"width":200}"#);
    let done = pool.run(job, &evercrew_pool::Cancel::new());
    assert!(matches!(done, Outcome::Done(_)), "{done:?}");
    until("they are counted", || pool.statistics().expect("runs").dropped_lines > 40_000);
    drop(entered);
}
