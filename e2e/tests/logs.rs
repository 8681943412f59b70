//! Lines on their way from workers to files, and back to whoever asks for them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs, volume};
use evercrew_sys::inotify::Inotify;
use serde_json::Value;

use crate::EVERCREW;

const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again whenever a file in `directory` changes.
fn until(what: &str, directory: &Path, mut so: impl FnMut() -> bool) {
    let watch = Inotify::of_writes(directory).expect("watch");
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        watch.wait(Duration::from_millis(500)).expect("wait");
    }
}

fn python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join("python3")).find(|path| path.exists());
    if found.is_none() {
        println!("SKIP no python3 on PATH");
    }
    found
}

fn logs(engine: &Engine) -> PathBuf {
    engine.home().join(".evercrew/logs")
}

/// Names of the files of `base`.
fn files(engine: &Engine, base: &str) -> Vec<String> {
    let names =
        fs::read_dir(logs(engine)).expect("logs").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(&format!("{base}.log"))).collect();
    names.sort();
    names
}

fn logger(engine: &Engine) -> Option<Process> {
    let children = engine.supervisor().children();
    children.into_iter().filter_map(Process::try_open).find(|process| process.title().contains("evercrew: logger"))
}

fn count(directory: &Path, what: &str) -> usize {
    let names = fs::read_dir(directory).expect("read").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(what)).count()
}

/// What each writer wrote: numbers from 0 in order, each line whole; and what it says it wrote.
fn check_lines(text: &str) -> usize {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ended = 0;
    for line in text.lines() {
        let (_, line) = line.split_once(" | ").unwrap_or_else(|| panic!("{line:.200}"));
        let mut parts = line.splitn(3, ':');
        let (pid, number, rest) = (parts.next(), parts.next(), parts.next());
        let (Some(pid), Some(number), Some(rest)) = (pid, number, rest) else { panic!("no line of ours: {line:.200}") };
        let seen = next.entry(pid).or_default();
        if number == "end" {
            assert_eq!(rest, format!("{seen};"), "{pid} wrote another number of lines");
            ended += 1;
            continue;
        }
        assert_eq!(number, seen.to_string(), "{pid}: lost or doubled");
        let length = match *seen {
            number if number % 5000 != 77 && number % 20000 == 99 => {
                (1 << 20) - pid.len() - number.to_string().len() - 3
            }
            number => number % 120,
        };
        assert!(rest.len() == length + 1 && rest.ends_with(';'), "{pid}:{number} is not whole: {}", rest.len());
        *seen += 1;
    }
    assert_eq!(ended, next.len(), "every writer has its last line");
    next.values().sum()
}

#[test]
fn every_line_is_there_once_and_whole_through_rotation_reopening_rollout_and_deaths_of_managers() {
    let Some(python) = python() else { return };
    let each = volume(1_000_000) / 8;
    let mut engine = Engine::new(EVERCREW, "");
    let marks = engine.home().join("marks");
    fs::create_dir(&marks).expect("make a directory");
    let script = programs::apps().join("lines.py");
    engine.configure(&format!(
        "[log]\nmax_age = \"100ms\"\nkeep = 100000\nterminal = false\n\
         [service.w]\ncommand = [{python:?}, {script:?}, \"{each}\", {marks:?}]\nworkers = 8\n\
         rollout = {{ settle = \"0s\" }}\n\
         [service.few]\ncommand = [\"sh\", \"-c\", \"while echo $$ 0123456789; do :; done\"]\n\
         log = {{ max_age = \"forever\", max_size = \"64KiB\", keep = 3 }}\n"
    ));
    engine.start();
    engine.ready();
    until("a first half is written", &marks, || count(&marks, "half") >= 4);
    let supervisor = engine.supervisor();
    for _ in 0..3 {
        supervisor.signal(Signal::Usr1);
        let manager = engine.manager();
        manager.signal(Signal::Kill);
        assert!(manager.gone_within(PATIENCE));
        supervisor.signal(Signal::Usr1);
    }
    engine.ok(&["restart", "w"]);
    until("the second ones are done", &marks, || count(&marks, "done") >= 16);
    assert_eq!(engine.down(), 0);
    let few = files(&engine, "few.1");
    assert_eq!(few.len(), 1 + 3, "{few:?}");
    assert!(few.iter().all(|name| fs::metadata(logs(&engine).join(name)).expect("a file").len() <= 64 * 1024));
    let written = check_lines(&engine.ok(&["logs", "w", "-n", "all"]).stdout);
    assert!(written >= 8 * each, "{written} lines");
    assert!(files(&engine, "w.1").len() > 3, "it was rotated");
}

#[test]
fn a_logger_that_is_killed_leaves_a_mark_and_loses_no_line_that_was_begun() {
    let script = "printf be; echo begun > begun; while ! [ -e go ]; do sleep 0.01; done; echo gun; sleep 1000";
    let mut engine = Engine::new(EVERCREW, "");
    engine.configure(&format!("[service.w]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"));
    engine.start();
    engine.ready();
    let home = engine.home().to_owned();
    until("a line is begun", &home, || home.join("begun").exists());
    let held = home.join(".evercrew/held");
    until("it is held", &home.join(".evercrew"), || {
        fs::read(&held).is_ok_and(|held| held.windows(6).any(|bytes| bytes == b"\x02\0\0\0be"))
    });
    let mut events = engine.events(1);
    for _ in 0..2 {
        let old = logger(&engine).expect("a logger");
        old.signal(Signal::Kill);
        assert!(old.gone_within(PATIENCE));
        until("the next one has it", &home.join(".evercrew"), || {
            fs::read(&held).is_ok_and(|held| held.windows(6).any(|bytes| bytes == b"\x02\0\0\0be"))
                && logger(&engine).is_some_and(|new| new.pid != old.pid)
        });
    }
    fs::write(home.join("go"), "").expect("write");
    let file = logs(&engine).join("w.1.log");
    until("the line is whole", &logs(&engine), || {
        fs::read_to_string(&file).is_ok_and(|text| text.lines().any(|line| line.ends_with(" w.1 out begun")))
    });
    let text = fs::read_to_string(&file).expect("read");
    let marks = text.lines().filter(|line| line.contains(" w.1 log the logger ended unexpectedly")).count();
    assert!((1..=2).contains(&marks) && text.lines().count() == marks + 1, "{text}");
    assert_eq!(engine.down(), 0);
    assert!(!held.exists(), "a clean end holds nothing");
    events.drain_until(Instant::now());
}

/// A small file system of its own, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_no_worker_and_what_was_dropped_is_counted() {
    let mut engine = Engine::new(EVERCREW, "");
    let home = engine.home().to_owned();
    let Some(_disk) = Disk::mount(&home.join("small"), "size=512k") else {
        println!("SKIP no tmpfs can be mounted");
        return;
    };
    let long = "x".repeat(200);
    let script = format!("i=0; while :; do i=$((i+1)); echo line $i {long}; echo $i > count; done");
    engine.configure(&format!(
        "[log]\ndirectory = \"small/logs\"\nterminal = false\n[service.w]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"
    ));
    fs::write(home.join("small/filler"), vec![0; 400 * 1024]).expect("fill");
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    events.wait("full", PATIENCE, |event| event["kind"] == "log.failed");
    let reached = || fs::read_to_string(home.join("count")).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let before = reached().unwrap_or_default();
    // More than any buffer on the way holds: the worker is not waiting for the disk.
    until("the worker goes on", &home, || reached().is_some_and(|now| now > before + volume(100_000) as u64));
    fs::remove_file(home.join("small/filler")).expect("make room");
    let resumed = events.wait("resumed", PATIENCE, |event| event["kind"] == "log.resumed");
    let dropped = resumed["dropped"].as_u64().expect("a number");
    assert!(dropped > 0);
    assert_eq!(engine.down(), 0);
    let text = engine.ok(&["logs", "w", "-n", "all"]).stdout;
    let (mut next, mut told) = (1, 0);
    for line in text.lines().map(|line| line.split_once(" | ").expect("a line").1) {
        if let Some(number) = line.strip_prefix("line ") {
            assert_eq!(number, format!("{next} {long}"), "lost and not counted, or not whole");
            next += 1;
        } else {
            let count = line.strip_prefix("[log] ").and_then(|mark| mark.strip_suffix(" lines dropped"));
            let count: u64 = count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line}"));
            next += count;
            told += count;
        }
    }
    assert!(told >= dropped, "{told} {dropped}");
}

#[test]
fn logs_are_found_by_name_number_stream_time_and_text_with_or_without_an_engine() {
    let script = "echo one; echo two >&2; echo tree; sleep 1000";
    let mut engine = Engine::up(
        EVERCREW,
        &format!(
            "[log]\nlevel = \"warn\"\n[service.a]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nworkers = 2\n\
             [service.b]\ncommand = [\"sh\", \"-c\", \"echo all; sleep 1000\"]\nlog = {{ files = \"service\", format = \"json\" }}\n\
             [service.none]\ncommand = [\"sh\", \"-c\", \"echo lost; sleep 1000\"]\nlog = {{ files = \"none\" }}\n"
        ),
    );
    let directory = logs(&engine);
    until("all of it is written", &directory, || engine.ok(&["logs"]).stdout.lines().count() == 7);
    for running in [true, false] {
        if !running {
            engine.manager().signal(Signal::Kill);
            Process::open(engine.pids("none")[0]).signal(Signal::Kill);
            until("the engine tells", &directory, || !engine.ok(&["logs", "engine"]).stdout.is_empty());
            engine.ok(&["down"]);
            engine.wait(PATIENCE);
        }
        let texts = |arguments: &[&str]| {
            let output = engine.ok(&[&["logs"], arguments].concat()).stdout;
            let text = |line: &str| line.split_once(" | ").expect("a line").1.to_owned();
            output.lines().map(text).collect::<Vec<_>>()
        };
        // Two pipes: their lines may have been read in another order.
        let mut all = texts(&["a.1"]);
        all.sort();
        assert_eq!(all, ["one", "tree", "two"]);
        assert_eq!(texts(&["a.1", "b", "-n", "1"]).len(), 1);
        assert_eq!(texts(&["a", "--err"]), ["two", "two"]);
        assert_eq!(texts(&["a", "--grep", "^t.{3}$"]), ["tree", "tree"]);
        assert_eq!(texts(&["b.1"]), ["all"]);
        assert_eq!(texts(&["a", "--since", "1h"]).len(), 6);
        assert_eq!(texts(&["a", "--since", "2999-01-01T00:00:00Z"]), [""; 0]);
        let json = engine.ok(&["logs", "b", "--json"]).stdout;
        let line: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&line["worker"], &line["stream"], &line["text"]), (&"b.1".into(), &"out".into(), &"all".into()));
        let none = engine.run(&["logs", "none"]);
        assert!(none.code == 1 && none.stderr.contains("has no log files (`files = \"none\"`)"), "{}", none.stderr);
        let unknown = engine.run(&["logs", "nobody"]);
        assert!(unknown.code == 4 && unknown.stderr.contains("no service or worker `nobody`"), "{}", unknown.stderr);
        let never = engine.run(&["logs", "a.99"]);
        assert!(never.code == 4 && never.stderr.contains("no service or worker `a.99`"), "{}", never.stderr);
    }
    // Of the killed worker, and nothing that is merely told; who asked for a change is written whatever the level.
    let told = engine.ok(&["logs", "engine"]).stdout;
    let is_owed = |line: &str| ["[warn]", "[error]", "[info] audit: "].iter().any(|word| line.contains(word));
    assert!(told.contains("[warn]") && told.lines().all(is_owed), "{told}");
}

#[test]
fn a_follower_sees_every_line_once_while_files_are_rotated_compressed_moved_and_new() {
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; sleep 1000";
    let mut engine = Engine::up(
        EVERCREW,
        &format!(
            "[log]\nmax_size = \"4KiB\"\nkeep = 10000\nterminal = false\n\
             [service.w]\ncommand = [\"sh\", \"-c\", \"while ! [ -e go ]; do sleep 0.01; done; {script}\"]\n"
        ),
    );
    let mut follower = Command::new(EVERCREW);
    follower
        .arg("-c")
        .arg(engine.home().join("evercrew.toml"))
        .args(["logs", "w", "-n", "all", "-f"])
        .args(["--timeout", "60s"]);
    let mut follower = follower.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("run the binary");
    let lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    fs::write(engine.home().join("go"), "").expect("write");
    let mut next = 1;
    for line in lines.map(|line| line.expect("text")) {
        assert_eq!(line.split_once(" w.1 | ").map(|(_, text)| text), Some(next.to_string().as_str()), "{line}");
        if next == 20_000 {
            break;
        }
        next += 1;
    }
    assert_eq!(next, 20_000);
    assert!(files(&engine, "w.1").len() > 100);
    let _ = follower.kill();
    let _ = follower.wait();
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_file_that_was_moved_or_deleted_is_begun_anew_without_a_signal() {
    let script = "while ! [ -e stop ]; do echo x; sleep 0.02; done; sleep 1000";
    let mut engine = Engine::up(EVERCREW, &format!("[service.w]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"));
    let directory = logs(&engine);
    let file = directory.join("w.1.log");
    let written = || fs::metadata(&file).is_ok_and(|file| file.len() > 0);
    until("the first lines", &directory, written);
    fs::rename(&file, directory.join("moved")).expect("rename");
    until("a new file", &directory, written);
    fs::remove_file(&file).expect("remove");
    until("another new file", &directory, written);
    let last = fs::read_to_string(directory.join("moved")).expect("read");
    assert!(last.ends_with('\n') && last.lines().all(|line| line.ends_with(" w.1 out x")));
    File::create(engine.home().join("stop")).and_then(|mut file| file.write_all(b"")).expect("stop");
    assert_eq!(engine.down(), 0);
}
