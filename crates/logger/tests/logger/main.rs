//! The logger as a process of its own, over a real link, pipes, files and terminals.

mod harness;

use std::fs::{self, File};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::process::{self, Status};
use evercrew_sys::{clock, pipe, record, terminal};
use evercrew_wire::Text;
use evercrew_wire::logger::{FromLogger, Stream, Style, ToLogger};

use harness::*;

#[test]
fn lines_go_to_the_terminal_and_to_a_file_each() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let mut error = logger.attach(1, "web.1", Stream::Error);
    let mut two = logger.attach(2, "web.2", Stream::Output);
    one.write_all(b"hello\n").expect("write");
    expect(&mut terminal, "web.1 | hello\n");
    error.write_all(b"oh no\n").expect("write");
    expect(&mut terminal, "web.1 | oh no\n");
    two.write_all(b"a\nb\n").expect("write");
    expect(&mut terminal, "web.2 | a\nweb.2 | b\n");
    drop((one, error, two));
    let directory = logger.stop();
    assert_eq!(texts(&directory.path().join("logs"), "web.1"), ["hello", "oh no"]);
    assert_eq!(texts(&directory.path().join("logs"), "web.2"), ["a", "b"]);
}

#[test]
fn a_line_is_whole_and_completed_at_the_writers_end() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let mut two = logger.attach(2, "web.2", Stream::Output);
    one.write_all(b"be").expect("write");
    two.write_all(b"between\n").expect("write");
    expect(&mut terminal, "web.2 | between\n");
    one.write_all(b"gun\nno end").expect("write");
    expect(&mut terminal, "web.1 | begun\n");
    drop(one);
    expect(&mut terminal, "web.1 | no end\n");
    assert_eq!(logger.lines("web.1"), ["begun", "no end"]);
    logger.stop();
}

#[test]
fn control_characters_are_shown_on_the_terminal_and_kept_in_the_file() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"\x1b[31mred\x1b[0m \xff\r\n").expect("write");
    expect(&mut terminal, "web.1 | \\u{1b}[31mred\\u{1b}[0m \\xff\n");
    drop(one);
    let directory = logger.stop();
    let bytes = fs::read(directory.path().join("logs/web.1.log")).expect("read");
    assert_eq!(&bytes[35..], b"\x1b[31mred\x1b[0m \xff\r\n");
}

#[test]
fn a_line_over_one_mebibyte_is_split_with_a_mark() {
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let text = "x".repeat(2 << 20) + "tail\nnext\n";
    one.write_all(text.as_bytes()).expect("write");
    drop(one);
    let directory = logger.stop();
    let lines = texts(&directory.path().join("logs"), "web.1");
    let lengths: Vec<usize> = lines.iter().map(|line| line.replace('…', "").len()).collect();
    assert_eq!(lengths, [1 << 20, 1 << 20, 4, 4]);
    let marks: Vec<(bool, bool)> = lines.iter().map(|line| (line.starts_with('…'), line.ends_with('…'))).collect();
    assert_eq!(marks, [(false, true), (true, true), (true, false), (false, false)]);
}

#[test]
fn a_pipe_that_is_attached_again_is_read_once() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let (reader, writer) = pipe::pair().expect("pipe");
    for _ in 0..3 {
        // As every new manager does.
        logger.configure(true);
        logger.attach_pipe(1, "web.1", Stream::Output, &reader);
    }
    let mut writer = File::from(writer);
    writer.write_all(b"once\n").expect("write");
    expect(&mut terminal, "web.1 | once\n");
    drop(writer);
    let mut late = logger.attach(2, "web.2", Stream::Output);
    late.write_all(b"end\n").expect("write");
    expect(&mut terminal, "web.2 | end\n");
    logger.stop();
}

#[test]
fn what_is_in_the_pipes_is_read_before_the_end() {
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let count = 500;
    for worker in 0..count {
        let mut writer = logger.attach(worker, &format!("web.{worker}"), Stream::Output);
        writer.write_all(b"first\nlast words").expect("write");
    }
    let directory = logger.stop();
    for worker in 0..count {
        let lines = texts(&directory.path().join("logs"), &format!("web.{worker}"));
        assert_eq!(lines, ["first", "last words"], "web.{worker}");
    }
}

#[test]
fn a_writer_that_stays_does_not_keep_it() {
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let mut writer = logger.attach(1, "web.1", Stream::Output);
    writer.write_all(b"line\nbegun").expect("write");
    let begin = clock::mono();
    let directory = logger.stop();
    let took = clock::mono().since(begin);
    assert!(took >= Duration::from_millis(900), "it waited for more: {took:?}");
    assert_eq!(texts(&directory.path().join("logs"), "web.1"), ["line", "begun"]);
    drop(writer);
}

#[test]
fn the_end_of_the_link_is_the_end() {
    let Logger { child, link, directory } = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let (reader, writer) = pipe::pair().expect("pipe");
    let attach = ToLogger::Attach {
        worker: 1,
        name: "web.1".to_owned(),
        service: "web".to_owned(),
        generation: 1,
        stream: Stream::Output,
        ready: None,
        style: Style::default(),
        discarded: 0,
    };
    record::send(&link, &attach.encode().expect("encode"), &[reader.as_fd()]).expect("send");
    drop(reader);
    File::from(writer).write_all(b"late\n").expect("write");
    drop(link);
    assert!(process::wait_exit(child.pidfd.as_fd(), PATIENCE).expect("wait"));
    assert_eq!(process::reap(child.pid).expect("reap").0, Status::Code(0));
    assert_eq!(texts(&directory.path().join("logs"), "web.1"), ["late"]);
}

#[test]
fn a_stuck_terminal_stops_nobody_and_what_was_dropped_is_told() {
    let (terminal, stdout) = pipe::pair().expect("pipe");
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let line = "x".repeat(99) + "\n";
    let count = 50_000;
    // Nobody reads the terminal: all of it is taken nevertheless.
    for _ in 0..count {
        one.write_all(line.as_bytes()).expect("write");
    }
    until("all lines are in the file", || logger.lines("web.1").len() == count);
    let mut shown = Vec::new();
    let mut terminal = File::from(terminal);
    let mut bytes = vec![0; 1 << 16];
    // Once it is read again, a new line tells of those that are missing.
    one.write_all(b"after\n").expect("write");
    until("the line after", || {
        let length = terminal.read(&mut bytes).expect("read");
        shown.extend_from_slice(&bytes[..length]);
        if !shown.ends_with(b"web.1 | after\n") {
            one.write_all(b"after\n").expect("write");
        }
        shown.ends_with(b"web.1 | after\n")
    });
    drop(one);
    logger.stop();
    let shown = String::from_utf8(shown).expect("text");
    let whole = format!("web.1 | {line}");
    let first_report = shown.find('…').expect("a report");
    assert!(shown[..first_report].split_inclusive('\n').all(|text| text == whole), "no line is cut");
    let dropped: usize =
        shown.lines().filter_map(|line| line.strip_prefix("… ")?.split(' ').next()?.parse::<usize>().ok()).sum();
    let seen = shown.matches(whole.as_str()).count();
    assert!(dropped >= count - seen && seen < count, "{dropped} dropped, {seen} seen of {count}");
}

#[test]
fn a_terminal_without_a_reader_stops_nobody() {
    let (terminal, stdout) = pipe::pair().expect("pipe");
    drop(terminal);
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"a\nb\n").expect("write");
    until("the file has the lines", || logger.lines("web.1") == ["a", "b"]);
    drop(one);
    logger.stop();
}

#[test]
fn a_terminal_gets_colours_unless_they_are_not_wanted() {
    for (environment, colored) in [(&[][..], true), (&["NO_COLOR=1"][..], false), (&["NO_COLOR="][..], true)] {
        let Ok((master, slave)) = terminal::pseudo() else {
            println!("SKIP no pseudo terminals");
            return;
        };
        let logger = Logger::start(slave, environment);
        let mut one = logger.attach(1, "web.1", Stream::Output);
        one.write_all(b"hello\n").expect("write");
        let mut shown = Vec::new();
        let mut master = File::from(master);
        let mut byte = [0];
        while !shown.ends_with(b"\n") {
            master.read_exact(&mut byte).expect("read");
            shown.push(byte[0]);
        }
        let shown = String::from_utf8(shown).expect("text");
        assert_eq!(shown.contains("\x1b["), colored, "{shown:?}");
        assert!(shown.ends_with(if colored { "web.1 |\x1b[0m hello\r\n" } else { "web.1 | hello\r\n" }), "{shown:?}");
        drop(one);
        logger.stop();
    }
}

#[test]
fn without_the_terminal_lines_go_to_files_alone() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    logger.configure(false);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"quiet\n").expect("write");
    drop(one);
    logger.stop();
    let mut shown = String::new();
    terminal.read_to_string(&mut shown).expect("read");
    assert_eq!(shown, "");
}

#[test]
fn a_changed_directory_takes_the_lines_that_follow() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"old\n").expect("write");
    expect(&mut terminal, "web.1 | old\n");
    let other = logger.directory.path().join("deep/er");
    logger.send(
        &ToLogger::Configure { directory: Text::from(&other), terminal: true, engine: Style::default(), held: None },
        &[],
    );
    one.write_all(b"new\n").expect("write");
    expect(&mut terminal, "web.1 | new\n");
    drop(one);
    let directory = logger.stop();
    assert_eq!(texts(&directory.path().join("logs"), "web.1"), ["old"]);
    assert_eq!(texts(&directory.path().join("deep/er"), "web.1"), ["new"]);
}

#[test]
fn a_renamed_file_is_left_on_request() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"old\n").expect("write");
    expect(&mut terminal, "web.1 | old\n");
    until("it is in the file", || logger.lines("web.1") == ["old"]);
    fs::rename(logger.logs().join("web.1.log"), logger.logs().join("web.1.log.1")).expect("rename");
    logger.signal(Signal::Usr1);
    until("the new file", || {
        one.write_all(b"new\n").expect("write");
        expect(&mut terminal, "web.1 | new\n");
        logger.logs().join("web.1.log").exists()
    });
    drop(one);
    let directory = logger.stop();
    let logs = directory.path().join("logs");
    let renamed = fs::read_to_string(logs.join("web.1.log.1")).expect("read");
    assert!(renamed.lines().next().is_some_and(|line| line.ends_with(" old")));
    let followed = texts(&logs, "web.1");
    assert!(!followed.is_empty() && followed.iter().all(|line| line == "new"), "{followed:?}");
}

#[test]
fn a_full_disk_stops_nobody_and_what_was_dropped_is_told() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let pid = Pid::from_raw(i32::try_from(logger.child.pid).expect("pid"));
    let limit = |bytes| Rlimit { current: bytes, maximum: None };
    // A limit of the file's size stands for a disk: it fills, in the middle of a line, and is made larger.
    let old = prlimit(pid, Resource::Fsize, limit(Some(10_000))).expect("limit");
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let line = "x".repeat(99) + "\n";
    let count = 20_000;
    for _ in 0..count {
        one.write_all(line.as_bytes()).expect("write");
    }
    let size = || fs::metadata(logger.logs().join("web.1.log")).map_or(0, |metadata| metadata.len());
    until("the disk is full", || size() == 10_000);
    prlimit(pid, Resource::Fsize, Rlimit { current: old.maximum, maximum: old.maximum }).expect("limit");
    until("the line after", || {
        one.write_all(b"after\n").expect("write");
        logger_has(&logger, "after")
    });
    drop(one);
    let directory = logger.stop();
    let lines = texts(&directory.path().join("logs"), "web.1");
    let whole = lines.iter().filter(|text| **text == line.trim_end()).count();
    let report = |line: &String| line.strip_suffix(" lines dropped")?.parse::<usize>().ok();
    let dropped: usize = lines.iter().filter_map(report).sum();
    assert!(whole > 100 && dropped > 0 && dropped + whole >= count, "{whole} whole, {dropped} dropped");
    let known = |text: &String| *text == line.trim_end() || text == "after" || text.ends_with(" lines dropped");
    assert!(lines.iter().all(known), "no line is cut or joined");
}

#[test]
fn a_disk_that_hangs_stops_nobody_for_long_and_what_was_thrown_away_is_told() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    fs::create_dir(logger.logs()).expect("directory");
    // A pipe in the file's place takes 64 KiB and then hangs.
    let path = logger.logs().join("web.1.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("make a pipe");
    let mut one = logger.attach(1, "web.1", Stream::Output);
    let mut two = logger.attach(2, "web.2", Stream::Output);
    two.write_all(b"begun").expect("write");
    let line = "x".repeat(99) + "\n";
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        terminal.read_to_end(&mut all).expect("read");
    });
    for _ in 0..20_000 {
        one.write_all(line.as_bytes()).expect("write");
        two.write_all(line.as_bytes()).expect("write");
    }
    let mut disk = std::io::BufReader::new(File::open(&path).expect("open")).lines();
    let told = disk.find_map(|line| {
        let line = line.expect("text");
        let text = line.split_once(" web.1 log ")?.1.to_owned();
        Some(text)
    });
    assert!(told.expect("a mark").ends_with(" bytes thrown away: a write to a log file took longer than a second"));
    drop((one, two));
    let drain = std::thread::spawn(move || disk.count());
    logger.stop();
    drain.join().expect("drained");
    reading.join().expect("read");
}

fn logger_has(logger: &Logger, text: &str) -> bool {
    fs::read_to_string(logger.logs().join("web.1.log")).is_ok_and(|all| all.ends_with(&format!(" {text}\n")))
}

#[test]
fn a_directory_that_cannot_be_written_stops_nobody() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    fs::write(logger.logs(), "a file in the way").expect("write");
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"shown\n").expect("write");
    expect(&mut terminal, "web.1 | shown\n");
    fs::remove_file(logger.logs()).expect("remove");
    until("it is tried again", || logger.lines("web.1") == ["shown"]);
    drop(one);
    logger.stop();
}

#[test]
fn nonsense_on_the_link_is_skipped() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    record::send(&logger.link, b"{\"type\":\"newer\"}", &[]).expect("send");
    record::send(&logger.link, b"\xff", &[]).expect("send");
    logger.link.send(b"?", &[]).expect("send");
    let attach = ToLogger::Attach {
        worker: 9,
        name: "x.1".into(),
        service: "x".into(),
        generation: 1,
        stream: Stream::Output,
        ready: None,
        style: Style::default(),
        discarded: 0,
    };
    logger.send(&attach, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"fine\n").expect("write");
    expect(&mut terminal, "web.1 | fine\n");
    drop(one);
    logger.stop();
}

#[test]
fn it_is_idle_when_nothing_comes() {
    let (mut terminal, stdout) = piped();
    let logger = Logger::start(stdout, &[]);
    let mut one = logger.attach(1, "web.1", Stream::Output);
    one.write_all(b"x\n").expect("write");
    expect(&mut terminal, "web.1 | x\n");
    // Signals of a terminal reach it too, and mean nothing to it.
    logger.signal(Signal::Int);
    logger.signal(Signal::Hup);
    let used = || process::cpu_time(logger.child.pid).expect("time");
    let before = used();
    let epoll = Epoll::new().expect("epoll");
    epoll.add(&logger.child.pidfd, 0, Interest::READABLE).expect("add");
    let end: Mono = clock::mono().after(Duration::from_millis(300));
    let mut ready = Vec::new();
    while clock::mono() < end {
        epoll.wait(&mut ready, Some(end.since(clock::mono()))).expect("wait");
        assert!(ready.is_empty(), "it ended");
    }
    assert!(used().saturating_sub(before) < Duration::from_millis(100));
    drop(one);
    logger.stop();
}

#[test]
fn many_lines_of_many_writers_arrive_whole() {
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let (writers, each) = (20, 5_000);
    let pipes: Vec<File> =
        (0..writers).map(|worker| logger.attach(worker, &format!("web.{worker}"), Stream::Output)).collect();
    std::thread::scope(|scope| {
        for (worker, mut pipe) in pipes.into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..each {
                    match pipe.write_all(format!("{worker}:{number}:{}\n", "y".repeat(number % 200)).as_bytes()) {
                        Ok(()) => {}
                        Err(error) => assert_ne!(error.kind(), ErrorKind::BrokenPipe),
                    }
                }
            });
        }
    });
    let directory = logger.stop();
    for worker in 0..writers {
        let lines = texts(&directory.path().join("logs"), &format!("web.{worker}"));
        assert_eq!(lines.len(), each);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line, &format!("{worker}:{number}:{}", "y".repeat(number % 200)));
        }
    }
}

#[test]
fn the_first_line_that_matches_is_told_once() {
    let logger = Logger::start(File::create("/dev/null").expect("open").into(), &[]);
    let (reader, mut writer) = pipe::pair().map(|(reader, writer)| (reader, File::from(writer))).expect("pipe");
    let attach = ToLogger::Attach {
        worker: 7,
        name: "web.1".to_owned(),
        service: "web".to_owned(),
        generation: 1,
        stream: Stream::Output,
        ready: Some("^listening on [0-9]+".to_owned()),
        style: Style::default(),
        discarded: 0,
    };
    logger.send(&attach, &[reader.as_fd()]);
    writer.write_all(b"starting\nlistening on 80\nlistening on 81\n").expect("write");
    drop(writer);
    let mut said = Vec::new();
    until("the match is told", || {
        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        if record::receive(&logger.link, 1 << 16, &mut bytes, &mut descriptors).is_ok() {
            said.push(FromLogger::decode(&bytes).expect("a record"));
        }
        !said.is_empty() && logger.lines("web.1").len() == 3
    });
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    assert!(record::receive(&logger.link, 1 << 16, &mut bytes, &mut descriptors).is_err(), "told twice");
    assert_eq!(said, [FromLogger::Matched { worker: 7 }]);
}
