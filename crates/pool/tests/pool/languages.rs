//! The workers of `examples/workers`, and the SDK for Python.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use evercrew_pool::{Config, Job, Outcome};

use crate::rig::{PATIENCE, Rig, until};

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Whether a program is here.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn works(program: &str, worker: &str) {
    if program != "sh" && !has(program) {
        return println!("SKIP {program} is not here");
    }
    let script = root("examples/workers").join(worker);
    let lines = std::fs::read_to_string(&script).expect("the example").lines().count();
    assert!(lines <= 6, "{worker} has {lines} lines");
    let mut config = Config::new([program.into(), script.into_os_string()]);
    (config.size, config.timeout) = (2, PATIENCE);
    let rig = Rig::new(config);
    for number in 0..20 {
        rig.done(&format!("job-{number}"), r#"{"jobtype":"Any","args":[1,"two"]}"#);
    }
    rig.record(|record| record.line.contains("working on job-"));
    assert_eq!(rig.pool.statistics().expect("it runs").counts.done, 20);
}

#[test]
fn a_few_lines_of_python_work() {
    works("python3", "worker.py");
}

#[test]
fn a_few_lines_of_sh_work() {
    works("sh", "worker.sh");
}

#[test]
fn a_few_lines_of_node_work() {
    works("node", "worker.js");
}

#[test]
fn a_few_lines_of_ruby_work() {
    works("ruby", "worker.rb");
}

#[test]
fn the_tests_of_the_python_sdk_pass() {
    let sdk = root("sdk/python");
    let lines = std::fs::read_to_string(sdk.join("evercrew.py")).expect("the SDK").lines().count();
    assert!(lines <= 400, "{lines} lines");
    let run =
        Command::new("python3").args(["-W", "ignore", "-m", "unittest", "test_evercrew"]).current_dir(&sdk).output();
    let run = run.expect("python3");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// A pool of children that use the SDK.
fn python(body: &str) -> Rig {
    let mut config = Config::new(["python3", "-c", body]);
    config.env = vec![("PYTHONPATH".into(), Some(root("sdk/python").into_os_string()))];
    (config.plain_after, config.timeout) = (None, PATIENCE);
    Rig::new(config)
}

#[test]
fn jobs_that_were_handed_out_ahead_go_to_another_child_when_theirs_dies() {
    let rig = python(
        "import os\nfrom evercrew import Worker\nw = Worker()\n@w.job('die')\ndef die(job): os._exit(3)\n@w.job('*')\ndef any(job): return os.getpid()\nw.run(prefetch=8)",
    );
    let (tell, outcomes) = std::sync::mpsc::channel();
    let submit = |kind: &str, number: u32| {
        let tell = tell.clone();
        let job = Job::new(format!("j{number}"), "{}").kind(kind);
        rig.pool.submit(job, move |outcome| drop(tell.send((number, outcome))));
    };
    submit("die", 0);
    (1..8).for_each(|number| submit("any", number));
    let outcomes: Vec<(u32, Outcome)> =
        (0..8).map(|_| outcomes.recv_timeout(PATIENCE).expect("each job has one end")).collect();
    for (number, outcome) in outcomes {
        match (number, outcome) {
            (0, Outcome::Failed(failed)) => assert_eq!(failed.reason, "its child died: exit code 3"),
            (1.., Outcome::Done(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    until("it is replaced", || rig.pool.statistics().expect("runs").children.iter().any(|child| child.generation == 2));
}

#[test]
fn a_kind_that_nobody_handles_is_told_and_not_begun() {
    let rig = python("from evercrew import Worker\nWorker().run()");
    let outcome = rig.pool.run(Job::new("j1", "{}").kind("Strange"), &evercrew_pool::Cancel::new());
    assert_eq!(outcome, Outcome::Unknown("there is no handler for jobs of kind 'Strange'".to_owned()));
}
