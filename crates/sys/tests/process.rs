//! Exits, signals, groups and what is found of other processes.

mod support;

use evercrew_core::Signal;
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Child, Group};
use evercrew_sys::{cgroup, descriptor, pipe};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use support::{c, expect_text, finish, kill, output, program, shell, start};

const KILLED: Status = Status::Signal { number: 9, core_dumped: false };

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).expect("state")
}

#[test]
fn a_process_that_runs_is_not_reaped_and_nothing_blocks() {
    let child = start(&program(&["/bin/sleep", "1000"]));
    let error = process::reap(child.pid).expect_err("it runs");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(!process::exited(child.pidfd.as_fd()).expect("exited"));
    assert!(!process::wait_exit(child.pidfd.as_fd(), Duration::from_millis(5)).expect("wait"));
    assert_eq!(kill(&child), KILLED);
    assert_eq!(process::reap(child.pid).expect_err("reaped").raw_os_error(), Some(libc::ECHILD));
    assert!(process::reap(0).is_err());
}

#[test]
fn usage_is_told() {
    let child = start(&shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
    assert!(process::wait_exit(child.pidfd.as_fd(), support::PATIENCE).expect("wait"));
    let (status, usage) = process::reap(child.pid).expect("reap");
    assert_eq!(status, Status::Code(0));
    assert!(usage.max_rss_kib > 100 && usage.user + usage.system > Duration::ZERO, "{usage:?}");
}

#[test]
fn a_seen_exit_stays_until_it_is_reaped() {
    const NAME: &str = "a_seen_exit_stays_until_it_is_reaped";
    if support::role().is_none() {
        // The children of other tests would be seen too.
        let (status, text) = output(support::myself(NAME, "alone"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    assert_eq!(process::peek_exited().expect("no children"), None);
    let living = start(&program(&["/bin/sleep", "1000"]));
    assert_eq!(process::peek_exited().expect("none ended"), None);
    let mut plan = shell("exit 5");
    plan.group = Group::Own;
    let child = start(&plan);
    assert!(process::wait_exit(child.pidfd.as_fd(), support::PATIENCE).expect("wait"));
    for _ in 0..3 {
        assert_eq!(process::peek_exited().expect("peek"), Some(child.pid));
        assert_eq!(state(child.pid), 'Z', "the number stays pinned");
    }
    process::signal_group(child.pid, Signal::Kill).expect("a zombie's group is there");
    let mut children = process::children_of_self();
    children.sort_unstable();
    let mut expected = [living.pid, child.pid];
    expected.sort_unstable();
    assert_eq!(children, expected);
    assert_eq!(process::reap(child.pid).expect("reap").0, Status::Code(5));
    assert_eq!(process::peek_exited().expect("none left"), None);
    let error = process::signal_group(child.pid, Signal::Kill).expect_err("gone");
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    kill(&living);
    assert_eq!(process::children_of_self(), []);
}

/// A shell in a group of its own with two children that ignore TERM and say so, and the pipe that all of them hold.
fn family() -> (Child, OwnedFd) {
    let script = "trap '' TERM; (echo ready; sleep 1000) & (echo ready; sleep 1000) & wait";
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = shell(script);
    plan.group = Group::Own;
    plan.descriptors.push((writer, 1));
    let child = start(&plan);
    drop(plan);
    expect_text(&reader, "ready\nready\n");
    (child, reader)
}

/// End of file comes when the last of the family is gone.
fn expect_nobody_left(reader: OwnedFd) {
    support::wait_readable(&reader);
    let mut rest = Vec::new();
    File::from(reader).read_to_end(&mut rest).expect("read");
    assert_eq!(rest, b"");
}

#[test]
fn a_group_kill_reaches_grandchildren() {
    let (child, reader) = family();
    process::signal_group(child.pid, Signal::Kill).expect("kill");
    assert_eq!(finish(&child), KILLED);
    expect_nobody_left(reader);
}

#[test]
fn a_group_is_killed_by_pidfd() {
    let (child, reader) = family();
    process::signal_group_by_pidfd(child.pidfd.as_fd(), child.pid, Signal::Kill).expect("kill");
    assert_eq!(finish(&child), KILLED);
    expect_nobody_left(reader);
}

#[test]
fn before_linux_6_9_the_groups_number_is_used() {
    const NAME: &str = "before_linux_6_9_the_groups_number_is_used";
    if support::role().is_none() {
        let (status, text) = output(support::myself(NAME, "older"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    support::refuse(libc::SYS_pidfd_send_signal, Some((3, 1 << 2)), libc::EINVAL);
    let (child, reader) = family();
    process::signal_group_by_pidfd(child.pidfd.as_fd(), child.pid, Signal::Kill).expect("kill");
    assert_eq!(finish(&child), KILLED);
    expect_nobody_left(reader);
    let error = process::signal_group_by_pidfd(child.pidfd.as_fd(), child.pid, Signal::Kill).expect_err("reaped");
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "its number may be another's");
    let alone = start(&program(&["/bin/sleep", "1000"]));
    process::signal_group_by_pidfd(alone.pidfd.as_fd(), alone.pid, Signal::Kill).expect("kill");
    assert_eq!(finish(&alone), KILLED);
}

#[test]
fn a_dead_leaders_group_is_killed_while_its_zombie_pins_the_number() {
    let (child, reader) = family();
    process::signal(child.pidfd.as_fd(), Signal::Kill).expect("kill the leader alone");
    assert!(process::wait_exit(child.pidfd.as_fd(), support::PATIENCE).expect("wait"));
    process::signal_group(child.pid, Signal::Kill).expect("kill the rest");
    assert_eq!(finish(&child), KILLED);
    expect_nobody_left(reader);
}

#[test]
fn a_process_without_a_group_of_its_own_gets_the_signal_alone() {
    let child = start(&program(&["/bin/sleep", "1000"]));
    process::signal_group_by_pidfd(child.pidfd.as_fd(), child.pid, Signal::Term).expect("signal");
    assert_eq!(finish(&child), Status::Signal { number: 15, core_dumped: false });
}

#[test]
fn numbers_that_mean_everybody_are_refused() {
    for pgid in [0, 1, u32::MAX] {
        let error = process::signal_group(pgid, Signal::Cont).expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert!(process::open(0).is_err());
}

#[test]
fn a_pidfd_never_reaches_the_next_owner_of_the_number() {
    let child = start(&shell("exit 0"));
    finish(&child);
    let error = process::signal(child.pidfd.as_fd(), Signal::Kill).expect_err("gone");
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    assert!(process::exited(child.pidfd.as_fd()).expect("exited"));
}

#[test]
fn processes_are_found_by_their_environment() {
    let entry = format!("EVERCREW_INSTANCE=test-{}-{:?}", std::process::id(), evercrew_sys::clock::mono().as_nanos());
    let mut plan = program(&["/bin/sleep", "1000"]);
    plan.environment.push(c(&entry));
    let children = [start(&plan), start(&plan)];
    // A longer value is another one.
    plan.environment[1] = c(&format!("{entry}x"));
    let other = start(&plan);
    let mut found: Vec<u32> = process::processes_with_environment(&entry).iter().map(|(pid, _)| *pid).collect();
    found.sort_unstable();
    let mut expected: Vec<u32> = children.iter().map(|child| child.pid).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let (_, value) = entry.split_once('=').expect("entry");
    assert_eq!(process::environment_entry(children[0].pid, "EVERCREW_INSTANCE").as_deref(), Some(value));
    assert_eq!(process::environment_entry(children[0].pid, "EVERCREW_INST"), None);
    for (_, pidfd) in process::processes_with_environment(&entry) {
        process::signal(pidfd.as_fd(), Signal::Kill).expect("kill");
    }
    for child in &children {
        assert!(process::wait_exit(child.pidfd.as_fd(), support::PATIENCE).expect("wait"));
    }
    assert!(process::processes_with_environment(&entry).is_empty(), "zombies are not living");
    for child in &children {
        assert_eq!(finish(child), KILLED);
    }
    kill(&other);
}

#[test]
fn start_times_tell_two_processes_apart() {
    let child = start(&program(&["/bin/sleep", "1000"]));
    let time = process::start_time(child.pid).expect("time");
    assert_eq!(process::start_time(child.pid), Some(time));
    assert!(time >= process::start_time(std::process::id()).expect("own time"));
    assert!(process::memory(child.pid).is_some_and(|bytes| bytes > 0));
    assert!(process::exists(child.pid));
    kill(&child);
    assert_eq!(process::start_time(child.pid), None);
    assert!(!process::exists(child.pid));
}

#[test]
fn a_subreaper_gets_the_orphans() {
    const NAME: &str = "a_subreaper_gets_the_orphans";
    if support::role().is_none() {
        let (status, text) = output(support::myself(NAME, "alone"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    process::become_subreaper().expect("subreaper");
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = shell("sleep 1000 & echo $!");
    plan.descriptors.push((writer, 1));
    let child = start(&plan);
    drop(plan);
    assert_eq!(finish(&child), Status::Code(0));
    let [orphan] = process::children_of_self()[..] else { panic!("expected one orphan") };
    let pidfd = process::open(orphan).expect("pidfd");
    process::signal(pidfd.as_fd(), Signal::Kill).expect("kill");
    assert!(process::wait_exit(pidfd.as_fd(), support::PATIENCE).expect("wait"));
    assert_eq!(process::reap(orphan).expect("reap").0, KILLED);
    assert_eq!(support::read_all(reader), format!("{orphan}\n"));
}

#[test]
fn a_parent_that_is_gone_is_noticed() {
    const NAME: &str = "a_parent_that_is_gone_is_noticed";
    if support::role().is_none() {
        let (status, text) = output(support::myself(NAME, "alone"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    let parent = std::os::unix::process::parent_id();
    process::die_with_parent(Signal::Kill, parent).expect("the parent lives");
    let error = process::die_with_parent(Signal::Kill, parent + 1).expect_err("another one");
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[test]
fn a_cgroup_holds_what_leaves_its_group() {
    let Some(root) = writable_cgroup() else {
        println!("SKIP no writable cgroup2");
        return;
    };
    let path = root.join(format!("sys-test-{}", std::process::id()));
    std::fs::create_dir(&path).expect("directory");
    let directory = cgroup::open(&path).expect("open");
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = shell("(setsid sleep 1000 &) ; echo ready; sleep 1000");
    plan.group = Group::Own;
    plan.cgroup = Some(descriptor::duplicate(&directory).expect("duplicate"));
    plan.descriptors.push((writer, 1));
    let child = spawn::spawn(&plan).expect("spawn");
    drop(plan);
    expect_text(&reader, "ready\n");
    assert!(cgroup::populated(&directory).expect("populated"));
    assert!(cgroup::members(&directory).expect("members").contains(&child.pid));
    cgroup::kill(&directory).expect("kill");
    assert_eq!(finish(&child), KILLED);
    expect_nobody_left(reader);
    while cgroup::populated(&directory).expect("populated") {
        std::thread::yield_now();
    }
    std::fs::remove_dir(&path).expect("remove");
}

fn writable_cgroup() -> Option<std::path::PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    let path = std::path::PathBuf::from(mount.split(' ').nth(1)?);
    let probe = path.join(format!("sys-probe-{}", std::process::id()));
    std::fs::create_dir(&probe).ok()?;
    std::fs::remove_dir(&probe).ok()?;
    Some(path)
}

#[test]
fn a_directory_that_is_no_cgroup_is_refused() {
    let error = cgroup::open("/tmp".as_ref()).expect_err("no cgroup");
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
}
