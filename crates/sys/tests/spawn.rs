//! Starting processes: each step, each failure, and what a child does not inherit.

mod support;

use evercrew_core::Signal;
use evercrew_sys::limits::{Limit, Resource};
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Credentials, Group, Outcome, Plan, Program, Step};
use evercrew_sys::{memfd, pipe, signal};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use support::{c, failure, finish, is_root, kill, output, program, shell, start};

fn run(script: &str) -> (Status, String) {
    output(shell(script))
}

#[test]
fn a_program_runs_and_its_status_is_told() {
    assert_eq!(run("echo out; exit 7"), (Status::Code(7), "out\n".to_owned()));
    assert_eq!(run("kill -TERM $$").0, Status::Signal { number: 15, core_dumped: false });
}

#[test]
fn a_missing_program_is_an_exec_failure() {
    let error = failure(&program(&["/no/such/program"]));
    assert_eq!((error.step, error.errno), (Step::Exec, 2));
    assert_eq!(error.to_string(), "exec: No such file or directory (os error 2)");
    assert!(!error.is_transient());
}

#[test]
fn a_file_without_the_right_is_an_exec_failure() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("plain");
    fs::write(&path, "text").expect("write");
    let error = failure(&program(&[path.to_str().expect("text")]));
    assert_eq!((error.step, error.errno), (Step::Exec, 13));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    let error = failure(&program(&[path.to_str().expect("text")]));
    assert_eq!((error.step, error.errno), (Step::Exec, 8), "no format of an executable");
}

#[test]
fn a_missing_directory_is_a_chdir_failure() {
    let mut plan = shell("true");
    plan.directory = Some(c("/no/such/directory"));
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::Directory, 2));
}

#[test]
fn a_relative_program_is_found_in_the_directory() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("tool");
    fs::write(&path, "#!/bin/sh\npwd\n").expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut plan = program(&["./tool"]);
    plan.directory = Some(c(directory.path().to_str().expect("text")));
    let (status, text) = output(plan);
    assert_eq!(
        (status, text.trim()),
        (Status::Code(0), directory.path().canonicalize().expect("path").to_str().expect("text"))
    );
}

#[test]
fn a_hard_limit_above_ours_is_a_limits_failure() {
    let mut plan = shell("true");
    plan.limits.push(Limit { resource: Resource::OpenFiles, soft: u64::MAX - 1, hard: u64::MAX - 1 });
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::Limits, 1));
}

#[test]
fn a_soft_limit_above_the_hard_one_is_a_limits_failure() {
    let mut plan = shell("true");
    plan.limits.push(Limit { resource: Resource::Core, soft: 2, hard: 1 });
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::Limits, 22));
}

#[test]
fn a_target_that_cannot_be_is_refused() {
    for targets in [vec![-1], vec![5, 5], vec![RawFd::MAX]] {
        let mut plan = shell("true");
        for target in targets {
            plan.descriptors.push((memfd::sealed("x", b"x").expect("memfd"), target));
        }
        assert_eq!(failure(&plan).step, Step::Descriptors);
    }
    let mut plan = shell("true");
    plan.descriptors.push((memfd::sealed("x", b"x").expect("memfd"), 1 << 30));
    assert_eq!(failure(&plan).step, Step::Descriptors, "above every limit");
}

#[test]
fn an_impossible_oom_score_is_a_failure() {
    let mut plan = shell("true");
    plan.oom_score_adj = Some(5000);
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::OomScore, 22));
}

#[test]
fn a_directory_that_is_no_cgroup_is_a_cgroup_failure() {
    let mut plan = shell("true");
    plan.cgroup = Some(File::open("/tmp").expect("open").into());
    assert_eq!(failure(&plan).step, Step::Cgroup);
}

#[test]
fn another_user_needs_the_right() {
    if !is_root() {
        let mut plan = shell("true");
        plan.credentials = Some(Credentials { uid: 0, gid: 0, groups: vec![] });
        let error = failure(&plan);
        assert_eq!((error.step, error.errno), (Step::Groups, 1));
        return;
    }
    let mut plan = shell("id -u; id -g; id -G");
    plan.credentials = Some(Credentials { uid: 4321, gid: 5432, groups: vec![6000, 6001] });
    assert_eq!(output(plan), (Status::Code(0), "4321\n5432\n5432 6000 6001\n".to_owned()));
}

#[test]
fn a_user_that_cannot_be_is_a_failure_of_its_step() {
    if !is_root() {
        println!("SKIP needs root");
        return;
    }
    let mut plan = shell("true");
    plan.credentials = Some(Credentials { uid: u32::MAX, gid: 0, groups: vec![u32::MAX] });
    assert_eq!((failure(&plan).step, failure(&plan).errno), (Step::Groups, 22), "-1 is no group");
    plan.credentials = Some(Credentials { uid: 1, gid: 1, groups: (0..70_000).collect() });
    assert_eq!((failure(&plan).step, failure(&plan).errno), (Step::Groups, 22), "more groups than the kernel takes");
}

#[test]
fn the_umask_the_nice_value_and_the_oom_score_are_set() {
    let mut plan = shell("umask; nice; cat /proc/self/oom_score_adj");
    plan.umask = Some(0o137);
    plan.nice = Some(7);
    plan.oom_score_adj = Some(432);
    assert_eq!(output(plan).1, "0137\n7\n432\n");
}

#[test]
fn limits_are_set_for_the_child_alone() {
    let mut plan = shell("ulimit -Sn; ulimit -Hn; ulimit -c");
    plan.limits = vec![
        Limit { resource: Resource::OpenFiles, soft: 20, hard: 40 },
        Limit { resource: Resource::Core, soft: 0, hard: 0 },
    ];
    // Above the new limit, and given all the same.
    plan.descriptors.push((memfd::sealed("x", b"x").expect("memfd"), 50));
    assert_eq!(output(plan).1, "20\n40\n0\n");
    assert!(evercrew_sys::limits::nofile().0 > 40);
}

/// The numbers that are open in `pid`.
fn numbers(pid: u32) -> BTreeSet<RawFd> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("fd");
    entries.map(|entry| entry.expect("entry").file_name().to_str().expect("text").parse().expect("number")).collect()
}

#[test]
fn a_child_has_the_declared_descriptors_and_no_other() {
    // Without close-on-exec, at a low and at a high number: as a careless library leaves them.
    let careless: Vec<OwnedFd> = (0..3).map(|_| File::open("/dev/null").expect("open").into()).collect();
    for fd in &careless {
        evercrew_sys::exec::keep_on_exec(fd).expect("keep");
    }
    let declared = |extra: Vec<(OwnedFd, RawFd)>| {
        let (reader, writer) = pipe::pair().expect("pipe");
        let (echo, child_end) = pipe::pair().expect("pipe");
        let mut plan = program(&["/bin/cat"]);
        plan.descriptors = vec![(reader, 0), (child_end, 1)];
        plan.descriptors.extend(extra);
        let child = start(&plan);
        drop(plan);
        // Once it answers, its loader has closed the libraries.
        let mut writer = File::from(writer);
        writer.write_all(b"x").expect("write");
        support::expect_text(&echo, "x");
        let open = numbers(child.pid);
        drop(writer);
        assert_eq!(finish(&child), Status::Code(0), "it saw the end: it holds no copy of the write end");
        open
    };
    let memory = || memfd::sealed("x", b"x").expect("memfd");
    assert_eq!(declared(vec![]), BTreeSet::from([0, 1, 2]));
    let extra = vec![(memory(), 3), (memory(), 7), (memory(), 200)];
    assert_eq!(declared(extra), BTreeSet::from([0, 1, 2, 3, 7, 200]));
}

#[test]
fn sources_and_targets_may_overlap_in_any_way() {
    let held: Vec<OwnedFd> = (0..6).map(|n| memfd::sealed("x", format!("<{n}>").as_bytes()).expect("memfd")).collect();
    let numbers: Vec<RawFd> = held.iter().map(AsRawFd::as_raw_fd).collect();
    // Each goes to the number of the next: a ring, so that any order of moves overwrites a source.
    let mut plan = shell("true");
    let mut script = String::new();
    for (index, fd) in held.into_iter().enumerate() {
        let target = numbers[(index + 1) % numbers.len()];
        script.push_str(&format!("cat /proc/self/fd/{target};"));
        plan.descriptors.push((fd, target));
    }
    plan.arguments[2] = c(&script);
    assert_eq!(output(plan), (Status::Code(0), "<0><1><2><3><4><5>".to_owned()));
}

#[test]
fn a_target_may_be_the_number_of_the_report_pipe() {
    // Whatever number the pipe has, one of these is it.
    let mut plan = program(&["/no/such/program"]);
    for target in 3..200 {
        plan.descriptors.push((memfd::sealed("x", b"x").expect("memfd"), target));
    }
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::Exec, 2));
}

#[test]
fn standard_output_can_go_to_standard_error_too() {
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = shell("echo out; echo err >&2");
    plan.descriptors = vec![(writer.try_clone().expect("clone"), 2), (writer, 1)];
    let child = start(&plan);
    drop(plan);
    assert_eq!(support::read_all(reader), "out\nerr\n");
    finish(&child);
}

#[test]
fn pid_variables_hold_the_childs_pid() {
    let mut plan = shell("echo $$ $LISTEN_PID $WATCHDOG_PID $OTHER; env | grep -c LISTEN_PID=");
    plan.environment.extend([c("LISTEN_PID=1"), c("LISTEN_PIDS=kept"), c("OTHER=x")]);
    plan.pid_variables = vec!["LISTEN_PID".to_owned(), "WATCHDOG_PID".to_owned()];
    let (reader, writer) = pipe::pair().expect("pipe");
    plan.descriptors.push((writer, 1));
    let child = start(&plan);
    drop(plan);
    let pid = child.pid;
    assert_eq!(support::read_all(reader), format!("{pid} {pid} {pid} x\n1\n"));
    finish(&child);
}

#[test]
fn a_pid_variable_without_a_name_is_refused() {
    for name in ["", "A=B", "A\0"] {
        let mut plan = shell("true");
        plan.pid_variables = vec![name.to_owned()];
        assert_eq!(failure(&plan).step, Step::Exec);
    }
}

#[test]
fn the_environment_is_exactly_the_declared_one() {
    let mut plan = program(&["/usr/bin/env"]);
    plan.environment = vec![c("A=1"), c("B=two words")];
    assert_eq!(output(plan).1, "A=1\nB=two words\n");
}

/// The value of a field of `/proc/PID/status`.
fn status_field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("field").trim().to_owned()
}

#[test]
fn mask_and_dispositions_are_the_default_ones() {
    const NAME: &str = "mask_and_dispositions_are_the_default_ones";
    if support::role().is_none() {
        // In a process of its own: it blocks and ignores what the other tests need.
        let (status, text) = output(support::myself(NAME, "blocked"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    let _signals = signal::SignalFd::block_all().expect("block");
    evercrew_sys::accept::interrupt_handler_install().expect("handler");
    let own = fs::read_to_string("/proc/thread-self/status").expect("status");
    assert_ne!(status_field(&own, "SigBlk"), "0000000000000000");
    assert_ne!(status_field(&own, "SigIgn"), "0000000000000000");
    let (status, text) = output(program(&["/bin/cat", "/proc/self/status"]));
    assert_eq!(status, Status::Code(0));
    for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd"] {
        assert_eq!(status_field(&text, field), "0000000000000000", "{field}");
    }
    let own = fs::read_to_string("/proc/thread-self/status").expect("status");
    assert_ne!(status_field(&own, "SigBlk"), "0000000000000000", "the parent's mask is back after a spawn");
}

#[test]
fn groups_and_sessions_are_as_asked() {
    let ids = |group| {
        let mut plan = program(&["/bin/sleep", "1000"]);
        plan.group = group;
        let child = start(&plan);
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid)).expect("stat");
        let (_, rest) = stat.rsplit_once(')').expect("name");
        let fields: Vec<u32> = rest.split_ascii_whitespace().skip(2).take(2).map(|n| n.parse().expect("n")).collect();
        kill(&child);
        (child.pid, fields[0], fields[1])
    };
    let (pid, group, session) = ids(Group::Session);
    assert_eq!((group, session), (pid, pid));
    let (pid, group, own_session) = ids(Group::Own);
    assert_eq!(group, pid);
    assert_ne!(own_session, pid);
    let (pid, group, session) = ids(Group::Inherit);
    assert_ne!(group, pid);
    assert_eq!(session, own_session);
}

#[test]
fn a_binary_is_executed_by_its_descriptor() {
    let binary = || OwnedFd::from(File::open("/bin/cat").expect("open"));
    let mut plan = Plan::new(Program::Descriptor(binary()), vec![c("cat"), c("/proc/self/cmdline")]);
    // A target at the program's own number does not hide it.
    let Program::Descriptor(fd) = &plan.program else { panic!("just made") };
    plan.descriptors.push((memfd::sealed("x", b"x").expect("memfd"), fd.as_raw_fd()));
    assert_eq!(output(plan), (Status::Code(0), "cat\0/proc/self/cmdline\0".to_owned()));
}

#[test]
fn the_outcome_is_pending_until_the_pipe_ends() {
    let (reader, writer) = pipe::pair().expect("pipe");
    evercrew_sys::descriptor::set_nonblocking(&reader, true).expect("nonblocking");
    let outcome = spawn::ExecOutcome::from(reader);
    assert_eq!(outcome.poll(), Outcome::Pending);
    drop(writer);
    assert_eq!(outcome.poll(), Outcome::Executed);
}

#[test]
fn where_new_calls_are_hidden_old_ones_do() {
    const NAME: &str = "where_new_calls_are_hidden_old_ones_do";
    if support::role().is_none() {
        let (status, text) = output(support::myself(NAME, "hidden"));
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    support::refuse(libc::SYS_clone3, None, libc::ENOSYS);
    support::refuse(libc::SYS_epoll_pwait2, None, libc::ENOSYS);
    assert_eq!(run("echo out; exit 7"), (Status::Code(7), "out\n".to_owned()));
    let mut plan = shell("true");
    plan.cgroup = Some(File::open("/tmp").expect("open").into());
    let error = failure(&plan);
    assert_eq!((error.step, error.errno), (Step::Cgroup, 2), "the child itself looked for cgroup.procs");
}

#[test]
fn it_is_safe_beside_threads_that_allocate_and_lock() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let text: Vec<String> = (0..50).map(|n| format!("{n}")).collect();
                    assert_eq!(text.len(), 50);
                    assert!(std::env::var_os("SYS_TEST_NOTHING").is_none());
                }
            });
        }
        let children: Vec<_> = (0..100)
            .map(|_| {
                let mut plan = program(&["/bin/true"]);
                plan.pid_variables.push("LISTEN_PID".to_owned());
                spawn::spawn(&plan).expect("spawn")
            })
            .collect();
        for child in &children {
            assert_eq!(finish(child), Status::Code(0));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_child_dies_with_the_thread_that_started_it() {
    let child = std::thread::spawn(|| {
        let mut plan = program(&["/bin/sleep", "1000"]);
        plan.parent_death = Some(Signal::Term);
        start(&plan)
    })
    .join()
    .expect("thread");
    assert_eq!(finish(&child), Status::Signal { number: 15, core_dumped: false });
}

#[test]
fn a_child_dies_with_its_parent() {
    const NAME: &str = "a_child_dies_with_its_parent";
    if support::role().is_some() {
        let mut plan = program(&["/bin/sleep", "1000"]);
        plan.parent_death = Some(Signal::Kill);
        let child = start(&plan);
        println!("child {} born", child.pid);
        finish(&child);
        return;
    }
    let (reader, writer) = pipe::pair().expect("pipe");
    let mut plan = support::myself(NAME, "parent");
    plan.descriptors.push((writer, 1));
    let parent = start(&plan);
    drop(plan);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(File::from(reader)));
    let line = lines.by_ref().map(|line| line.expect("read")).find(|line| line.contains("born")).expect("line");
    let (_, rest) = line.split_once("child ").expect("pid");
    let pid = rest.split(' ').next().expect("pid").parse().expect("pid");
    let grandchild = process::open(pid).expect("pidfd");
    kill(&parent);
    assert!(process::wait_exit(grandchild.as_fd(), support::PATIENCE).expect("wait"));
}
