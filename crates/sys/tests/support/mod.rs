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

/// Makes the system call `number` fail with `errno` in this thread and what it starts, as older kernels and the filters
/// of containers do. With `argument` (index, value) only calls that have this value there.
pub fn refuse(number: libc::c_long, argument: Option<(u32, u32)>, errno: i32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let skip_unless = |k, jf| libc::sock_filter { jf, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k) };
    let answer = |k| statement(libc::BPF_RET | libc::BPF_K, k);
    let mut filter = vec![load(0), skip_unless(number as u32, if argument.is_some() { 3 } else { 1 })];
    if let Some((index, value)) = argument {
        filter.extend([load(16 + 8 * index), skip_unless(value, 1)]);
    }
    filter.extend([answer(libc::SECCOMP_RET_ERRNO | errno as u32), answer(libc::SECCOMP_RET_ALLOW)]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its filter are locals that live through the calls.
    let results = unsafe {
        (
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        )
    };
    assert_eq!(results, (0, 0));
}
