//! Becoming another program, and what passes through.

mod support;

use evercrew_sys::lock::{Lock, LockError};
use evercrew_sys::process::Status;
use evercrew_sys::{channel, clock, descriptor, exec, memfd, pipe, title};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use support::{c, output};

#[test]
fn a_process_is_replaced_and_keeps_what_it_was_told_to() {
    const NAME: &str = "a_process_is_replaced_and_keeps_what_it_was_told_to";
    if support::role().is_some() {
        let kept = memfd::sealed("kept", b"kept").expect("memfd");
        let closed = memfd::sealed("closed", b"closed").expect("memfd");
        exec::keep_on_exec(&kept).expect("keep");
        exec::keep_on_exec(&closed).expect("keep");
        exec::close_on_exec(&closed).expect("close");
        let shell = File::open("/bin/sh").expect("open");
        let script = format!(
            "echo pid $$ $A; cat /proc/self/fd/{}; test -e /proc/self/fd/{} || echo ' gone'",
            kept.as_raw_fd(),
            closed.as_raw_fd()
        );
        let error =
            exec::replace_self(shell.as_fd(), &[c("sh"), c("-c"), c(&script)], &[c("A=b"), c("PATH=/bin:/usr/bin")]);
        panic!("exec: {error}");
    }
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = support::myself(NAME, "exec");
    plan.descriptors.push((writer, 1));
    let child = support::start(&plan);
    drop(plan);
    let text = support::read_all(reader);
    assert_eq!(support::finish(&child), Status::Code(0), "{text}");
    assert!(text.ends_with(&format!("pid {} b\nkept gone\n", child.pid)), "{text}");
}

#[test]
fn an_exec_that_fails_returns() {
    let file = tempfile::tempfile().expect("file");
    let error = exec::replace_self(file.as_fd(), &[c("x")], &[]);
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn an_inherited_descriptor_is_taken_once() {
    const NAME: &str = "an_inherited_descriptor_is_taken_once";
    if support::role().is_none() {
        let mut plan = support::myself(NAME, "child");
        plan.descriptors.push((memfd::sealed("x", b"inherited").expect("memfd"), 9));
        let (status, text) = output(plan);
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    let own = File::open("/dev/null").expect("open");
    assert!(exec::take_descriptor(own.as_raw_fd()).is_none(), "what this process opened is not inherited");
    for number in [-1, 0, 1, 2, 777] {
        assert!(exec::take_descriptor(number).is_none(), "{number}");
    }
    let taken = exec::take_descriptor(9).expect("inherited");
    assert_eq!(memfd::read(&taken, 100).expect("read"), b"inherited");
    assert!(exec::take_descriptor(9).is_none(), "a second time");
    exec::keep_on_exec(&taken).expect("keep");
    assert!(exec::take_descriptor(9).is_none(), "not even when it is kept for the next exec");
}

#[test]
fn a_lock_survives_an_exec_and_ends_with_the_process() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("lock");
    let lock = Lock::acquire(&path).expect("lock");
    let mut plan = support::program(&["/bin/sleep", "1000"]);
    plan.descriptors.push((lock.into(), 3));
    let child = support::start(&plan);
    drop(plan);
    assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
    support::kill(&child);
    // A child that another test is just starting has a copy of every descriptor until its exec.
    let deadline = clock::mono().after(support::PATIENCE);
    while let Err(error) = Lock::acquire(&path) {
        assert!(clock::mono() < deadline, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn a_title_is_what_others_see() {
    const NAME: &str = "a_title_is_what_others_see";
    if support::role().is_some() {
        title::set("evercrew: manager of everything");
        let room = std::fs::read("/proc/self/cmdline").expect("cmdline").len();
        assert_eq!(std::fs::read_to_string("/proc/thread-self/comm").expect("comm"), "evercrew: manag\n");
        let shown = || String::from_utf8(std::fs::read("/proc/self/cmdline").expect("cmdline")).expect("text");
        assert_eq!(shown().trim_end_matches('\0'), "evercrew: manager of everything");
        let role = std::env::var("SYS_TEST_ROLE");
        title::set(&"long ".repeat(10_000));
        assert!(shown().starts_with("long long") && shown().len() == room);
        title::set("short\0cut");
        assert_eq!(shown().trim_end_matches('\0'), "short");
        assert_eq!(std::env::var("SYS_TEST_ROLE"), role, "the environment behind it is untouched");
        return;
    }
    let (status, text) = output(support::myself(NAME, "titled"));
    assert_eq!(status, Status::Code(0), "{text}");
}

#[test]
fn variables_are_set_and_removed() {
    const NAME: &str = "variables_are_set_and_removed";
    if support::role().is_some() {
        exec::set_variable("SYS_TEST_NEW", "1");
        assert_eq!(std::env::var("SYS_TEST_NEW").as_deref(), Ok("1"));
        exec::remove_variable("SYS_TEST_NEW");
        assert!(std::env::var_os("SYS_TEST_NEW").is_none());
        return;
    }
    let (status, text) = output(support::myself(NAME, "variables"));
    assert_eq!(status, Status::Code(0), "{text}");
}

#[test]
fn a_channel_is_adopted_by_its_number() {
    const NAME: &str = "a_channel_is_adopted_by_its_number";
    if support::role().is_some() {
        let channel = channel::Channel::from(exec::take_descriptor(5).expect("inherited"));
        channel.send(b"from the child", &[]).expect("send");
        return;
    }
    let (own, far) = channel::pair().expect("pair");
    let mut plan = support::myself(NAME, "child");
    plan.descriptors.push((OwnedFd::from(far), 5));
    let (status, text) = output(plan);
    assert_eq!(status, Status::Code(0), "{text}");
    let mut record = Vec::new();
    own.receive(&mut record, &mut Vec::new()).expect("receive");
    assert_eq!(record, b"from the child");
}

#[test]
fn pipes_are_enlarged_where_permitted_and_duplicates_are_above_two() {
    let (reader, writer) = pipe::pair().expect("pipe");
    if let Some(size) = pipe::enlarge(&writer, 256 * 1024) {
        assert!(size >= 256 * 1024);
    }
    assert_eq!(pipe::enlarge(&writer, 1 << 40), None);
    let copy = descriptor::duplicate(&reader).expect("duplicate");
    assert!(copy.as_raw_fd() > 2);
    assert!(rustix::io::fcntl_getfd(&copy).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
}
