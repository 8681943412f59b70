//! What a child says is what is told.

use std::time::Duration;

use evercrew_pool::{Cancel, Channel, Job, Outcome, Source};

use crate::rig::{PATIENCE, Rig, children, until};

#[test]
fn a_plain_child_works_unchanged() {
    let rig = Rig::new(children(&[]));
    let result = rig.done("j1", r#"{"n":12345678901234567890}"#);
    assert!(result.contains(r#""job": {"id": "j1", "payload": {"n": 12345678901234567890}}"#), "{result}");
    let failed = rig.failed("j2", r#"{"do":"error"}"#);
    assert_eq!((failed.reason.as_str(), failed.class.as_str()), ("no such user", "KeyError"));
    assert_eq!((failed.backtrace.as_deref(), failed.retryable), (Some(r#"["a.py:1"]"#), Some(false)));
    assert_eq!(rig.run("j3", r#"{"do":"discard"}"#), Outcome::Discarded("because".to_owned()));
    assert_eq!(rig.run("j4", r#"{"do":"unknown"}"#), Outcome::Unknown("because".to_owned()));
}

#[test]
fn for_how_long_a_child_wants_to_wait_is_told_and_no_other_job_waits() {
    let rig = Rig::new(children(&[]));
    let throttled = rig.run("j1", r#"{"do":"throttled","secs":2.5}"#);
    assert_eq!(throttled, Outcome::Throttled(Duration::from_millis(2500)));
    rig.done("j2", "{}");
}

#[test]
fn a_child_that_introduces_itself_has_several_jobs_in_hand_and_answers_in_any_order() {
    let rig = Rig::new(children(&["ready", "started"]));
    let slow = rig.begin("slow", r#"{"after":600}"#);
    for number in 0..20 {
        let result = rig.done(&format!("j{number}"), "{}");
        assert!(result.contains(r#""deadline_ms": 60000"#) && result.contains(r#""attempt": 1"#), "{result}");
    }
    let child = &rig.pool.statistics().expect("it runs").children[0];
    assert_eq!((child.takes, child.jobs, child.jobs_in_hand.len()), (4, 20, 1));
    assert_eq!(child.jobs_in_hand[0].id, "slow");
    rig.pool.stop(true);
    assert!(matches!(slow.recv_timeout(PATIENCE), Ok(Outcome::Returned { .. })));
}

#[test]
fn on_descriptors_3_and_4_nothing_that_is_printed_is_in_the_way() {
    let script =
        r#"exec 0<&3; echo noise; while read -r line; do echo printed; echo '{"id":"a","status":"ok"}' >&4; done"#;
    let mut config = children(&[]);
    config.command = ["sh", "-c", script].map(Into::into).to_vec();
    config.channel = Channel::Descriptors;
    let rig = Rig::new(config);
    rig.done("a", "{}");
    rig.done("a", "{}");
    let printed = rig.record(|record| record.line == "printed");
    assert_eq!((printed.source, &*printed.child), (Source::Stdout, "mailer.1"));
}

#[test]
fn standard_error_is_told_line_by_line_with_child_and_job() {
    let rig = Rig::new(children(&[]));
    rig.done("j1", r#"{"do":"chat","lines":3}"#);
    let record = rig.record(|record| record.source == Source::Stderr);
    assert_eq!((&*record.child, record.job.as_deref()), ("mailer.1", Some("j1")));
    assert!(record.line.starts_with("line 0 yyy"), "{record:?}");
}

#[test]
fn a_cancelled_job_ends_its_child_or_where_the_child_can_the_job_alone() {
    for (modes, pids) in [(&[][..], 2), (&["ready", "cancels"][..], 1)] {
        let rig = Rig::new(children(modes));
        let before = rig.done("j1", "{}");
        let cancel = Cancel::new();
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| rig.pool.run(Job::new("j2", r#"{"after":600}"#), &cancel));
            until("the job is in hand", || !rig.pool.statistics().expect("runs").children[0].jobs_in_hand.is_empty());
            cancel.cancel();
            running.join().expect("no panic")
        });
        assert_eq!(outcome, Outcome::Cancelled);
        let after = rig.done("j3", "{}");
        let pid =
            |result: &str| result.split("\"pid\": ").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
        let mut all = vec![pid(&before), pid(&after)];
        all.dedup();
        assert_eq!(all.len(), pids, "{modes:?}");
    }
}

#[test]
fn a_job_that_was_cancelled_before_is_not_begun() {
    let rig = Rig::new(children(&[]));
    let busy = rig.begin("busy", r#"{"after":600}"#);
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(rig.pool.run(Job::new("j", "{}"), &cancel), Outcome::Cancelled);
    rig.pool.stop(true);
    assert!(matches!(busy.recv_timeout(PATIENCE), Ok(Outcome::Returned { .. })));
}
