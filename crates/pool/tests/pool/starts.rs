//! How pools begin, and what is said of those that cannot.

use std::time::Duration;

use evercrew_pool::{Config, Error, Outcome, Pool};

use crate::rig::{Rig, children, until};

fn refused(config: Config) -> String {
    Pool::spawn(config).map(|_| ()).expect_err("no pool").to_string()
}

#[test]
fn all_children_are_warm_before_the_first_job() {
    let mut config = children(&["ready"]);
    config.size = 3;
    let rig = Rig::new(config);
    let children = rig.pool.statistics().expect("it runs").children;
    assert_eq!(children.iter().filter(|child| child.ready.is_some()).count(), 3, "{children:?}");
}

#[test]
fn what_cannot_be_is_refused_with_words() {
    assert!(refused(Config::new([""; 0])).contains("the command is empty"));
    assert!(refused(Config { size: 0, ..children(&[]) }).contains("one child at least"));
    let missing = refused(Config::new(["/no/such/program"]));
    assert_eq!(missing, "`/no/such/program` could not be started: no program `/no/such/program` found");
    let plain = refused(Config::new(["/etc/passwd"]));
    assert_eq!(plain, "`/etc/passwd` could not be started: `/etc/passwd` is not an executable file");
}

#[test]
fn a_child_that_dies_at_boot_is_told_with_its_last_words() {
    let error = Pool::spawn(children(&["crash"])).map(|_| ()).expect_err("no pool");
    let Error::NotReady { child, reason, output } = error else { panic!("{error:?}") };
    assert_eq!((child.as_str(), reason.as_str()), ("mailer.1", "exit code 1"));
    assert_eq!(output, ["cannot load the application"]);
}

#[test]
fn a_child_of_another_version_of_the_protocol_is_told() {
    let (tell, log) = std::sync::mpsc::channel();
    let mut config = children(&["foreign"]);
    config.log = Box::new(move |record| drop(tell.send(record)));
    Pool::spawn(config).map(|_| ()).expect_err("no pool");
    assert!(log.iter().any(|record| record.line.contains("another version of the protocol")));
}

#[test]
fn one_that_does_not_get_ready_in_time_is_told() {
    let mut config = children(&["deaf"]);
    (config.plain_after, config.ready_timeout) = (None, Duration::from_secs(1));
    assert!(refused(config).contains("it was not ready in time"));
}

#[test]
fn a_deploy_that_is_broken_takes_no_job() {
    let pool = Pool::open(children(&["crash"])).expect("a pool");
    let (tell, outcomes) = std::sync::mpsc::channel();
    for number in 0..100 {
        let tell = tell.clone();
        pool.submit(evercrew_pool::Job::new(format!("j{number}"), "{}"), move |outcome| drop(tell.send(outcome)));
    }
    let statistics = || pool.statistics().expect("it runs");
    until("several children died", || statistics().children.iter().any(|child| child.generation > 3));
    assert_eq!((statistics().waiting, statistics().room), (100, 0));
    pool.stop(false);
    assert!(outcomes.iter().take(100).all(|outcome| outcome == Outcome::Returned { begun: false }));
}

#[test]
fn a_rollout_replaces_every_child_and_ends_at_one_that_is_broken() {
    let directory = tempfile::tempdir().expect("directory");
    let broken = directory.path().join("code");
    let mut config = children(&["ready"]);
    config.size = 2;
    config.env = vec![("BREAK".into(), Some(broken.clone().into()))];
    let rig = Rig::new(config);
    assert_eq!(rig.pool.restart(None), Ok(()));
    let generations =
        || rig.pool.statistics().expect("it runs").children.iter().map(|c| c.generation).collect::<Vec<_>>();
    until("the old ones have left", || generations() == [2, 2]);
    std::fs::write(&broken, "").expect("write");
    let stopped = rig.pool.restart(None).expect_err("it is broken");
    assert!(stopped.contains("a new child died; the children that were there go on"), "{stopped}");
    rig.done("j1", "{}");
    assert_eq!(generations(), [2, 2]);
}
