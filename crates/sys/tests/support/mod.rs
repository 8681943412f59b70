//! What the tests with real processes share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Child, Outcome, Plan, Program};
use evercrew_sys::{clock, descriptor, pipe};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// No test waits longer for anything: the machine may be busy, but not dead.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn c(text: &str) -> CString {
    CString::new(text).expect("no zero byte")
}

/// `sh -c script`, with a PATH.
pub fn shell(script: &str) -> Plan {
    program(&["/bin/sh", "-c", script])
}

pub fn program(arguments: &[&str]) -> Plan {
    let mut plan = Plan::new(Program::Path(c(arguments[0])), arguments.iter().map(|argument| c(argument)).collect());
    plan.environment = vec![c("PATH=/usr/bin:/bin:/usr/sbin:/sbin")];
    plan
}

/// This test program again, for the one test `name`, with `role` in its environment.
pub fn myself(name: &str, role: &str) -> Plan {
    let own = std::env::current_exe().expect("own path");
    let mut plan = program(&[own.to_str().expect("text"), "--exact", name, "--nocapture", "--test-threads=1"]);
    plan.environment.push(c(&format!("SYS_TEST_ROLE={role}")));
    plan
}

/// The role this process was started in by [`myself`].
pub fn role() -> Option<String> {
    std::env::var("SYS_TEST_ROLE").ok()
}

pub fn wait_readable(fd: impl AsFd) {
    let epoll = Epoll::new().expect("epoll");
    epoll.add(fd, 0, Interest::READABLE).expect("add");
    let mut ready = Vec::new();
    let deadline = clock::mono().after(PATIENCE);
    // A signal to this process, such as a child's exit, may end a wait early.
    while ready.is_empty() && clock::mono() < deadline {
        epoll.wait(&mut ready, Some(deadline.since(clock::mono()))).expect("wait");
    }
    assert!(!ready.is_empty(), "nothing came within {PATIENCE:?}");
}

pub fn outcome(child: &Child) -> Outcome {
    wait_readable(&child.outcome);
    child.outcome.poll()
}

/// Starts it and waits until the program runs.
pub fn start(plan: &Plan) -> Child {
    let child = spawn::spawn(plan).expect("spawn");
    assert_eq!(outcome(&child), Outcome::Executed);
    child
}

pub fn finish(child: &Child) -> Status {
    assert!(process::wait_exit(child.pidfd.as_fd(), PATIENCE).expect("wait"), "it does not end");
    process::reap(child.pid).expect("reap").0
}

pub fn kill(child: &Child) -> Status {
    process::signal(child.pidfd.as_fd(), evercrew_core::Signal::Kill).expect("kill");
    finish(child)
}

/// The step and errno by which the start of `plan` fails.
pub fn failure(plan: &Plan) -> spawn::SpawnError {
    let child = match spawn::spawn(plan) {
        Ok(child) => child,
        Err(error) => return error,
    };
    let outcome = outcome(&child);
    assert_eq!(finish(&child), Status::Code(127));
    match outcome {
        Outcome::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// Runs it to its end. Returns its status and its standard output.
pub fn output(mut plan: Plan) -> (Status, String) {
    let (reader, writer) = pipe::pair().expect("pipe");
    plan.descriptors.push((writer, 1));
    let child = start(&plan);
    drop(plan);
    let text = read_all(reader);
    (finish(&child), text)
}

pub fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).expect("read");
    text
}

/// Reads from a pipe until `wanted` was read, which must be what comes next.
pub fn expect_text(fd: impl AsFd, wanted: &str) {
    let mut file = File::from(descriptor::duplicate(fd).expect("duplicate"));
    let mut bytes = vec![0; wanted.len()];
    file.read_exact(&mut bytes).expect("read");
    assert_eq!(String::from_utf8_lossy(&bytes), wanted);
}

pub fn is_root() -> bool {
    evercrew_sys::user::current().0 == 0
}
