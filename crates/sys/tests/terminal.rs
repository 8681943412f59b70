//! Output that never blocks.

mod support;

use evercrew_sys::terminal::{self, Output, Stderr};
use evercrew_sys::{descriptor, pipe};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

fn is_nonblocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).expect("flags").contains(OFlags::NONBLOCK)
}

/// Reads what is there now.
fn drain(fd: &OwnedFd) -> String {
    let copy = descriptor::duplicate(fd).expect("duplicate");
    descriptor::set_nonblocking(&copy, true).expect("nonblocking");
    let mut text = Vec::new();
    match File::from(copy).read_to_end(&mut text) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        result => panic!("the writer is alive: {result:?}"),
    }
    String::from_utf8(text).expect("text")
}

#[test]
fn a_full_pipe_drops_lines_counts_them_and_says_so_later() {
    let (reader, writer) = pipe::pair().expect("pipe");
    let stderr = Stderr::over(&writer).expect("open");
    let line = "x".repeat(999);
    for _ in 0..200 {
        stderr.line(&line);
    }
    let dropped = stderr.dropped();
    assert!((100..200).contains(&dropped), "64 KiB hold some of 200: {dropped} dropped");
    let text = drain(&reader);
    stderr.line("after");
    let text = text + &drain(&reader);
    let lines: Vec<&str> = text.lines().collect();
    let (whole, rest) = lines.split_at(200 - usize::try_from(dropped).expect("few"));
    assert!(whole.iter().all(|text| *text == line), "no line is cut or interleaved");
    assert_eq!(rest, [format!("… {dropped} lines dropped").as_str(), "after"]);
    assert!(!is_nonblocking(&writer), "the shared open file is untouched");
    stderr.line("again");
    assert_eq!(drain(&reader), "again\n");
}

#[test]
fn a_pipe_without_a_reader_drops_and_goes_on() {
    let (reader, writer) = pipe::pair().expect("pipe");
    let stderr = Stderr::over(&writer).expect("open");
    drop(reader);
    stderr.line("nobody");
    stderr.line("nobody");
    assert_eq!(stderr.dropped(), 2);
}

#[test]
fn a_full_socket_drops_too() {
    let (mut reader, writer) = UnixStream::pair().expect("pair");
    let stderr = Stderr::over(&writer).expect("open");
    let line = "x".repeat(4000);
    for _ in 0..1000 {
        stderr.line(&line);
    }
    assert!(stderr.dropped() > 0);
    assert!(!is_nonblocking(&writer));
    reader.set_nonblocking(true).expect("nonblocking");
    let mut text = Vec::new();
    assert_eq!(reader.read_to_end(&mut text).expect_err("it is open").kind(), ErrorKind::WouldBlock);
    assert!(!text.is_empty());
}

#[test]
fn a_file_keeps_the_offset_it_shares() {
    let mut file = tempfile::tempfile().expect("file");
    let stderr = Stderr::over(&file).expect("open");
    file.write_all(b"one\n").expect("write");
    stderr.line("two");
    file.write_all(b"three\n").expect("write");
    let mut text = String::new();
    file.rewind().expect("rewind");
    file.read_to_string(&mut text).expect("read");
    assert_eq!(text, "one\ntwo\nthree\n");
}

#[test]
fn a_terminal_that_nobody_reads_does_not_block() {
    let Ok((master, slave)) = terminal::pseudo() else {
        println!("SKIP no pseudo terminals");
        return;
    };
    let output = Output::open(&slave).expect("open");
    assert!(output.is_terminal());
    let stderr = Stderr::over(&slave).expect("open");
    for _ in 0..10_000 {
        stderr.line("a line that nobody reads");
    }
    assert!(stderr.dropped() > 0);
    assert!(!is_nonblocking(&slave), "the shell's terminal is untouched");
    let mut bytes = [0; 12];
    File::from(master).read_exact(&mut bytes).expect("read");
    assert_eq!(&bytes, b"a line that ");
}

#[test]
fn the_master_of_a_terminal_is_not_opened_again() {
    let Ok((master, slave)) = terminal::pseudo() else {
        println!("SKIP no pseudo terminals");
        return;
    };
    let output = Output::open(&master).expect("open");
    assert_eq!(output.write(b"typed\n").expect("write"), 6);
    let mut bytes = [0; 6];
    File::from(slave).read_exact(&mut bytes).expect("read");
    assert_eq!(&bytes, b"typed\n");
}

#[test]
fn a_line_is_bounded() {
    let mut file = tempfile::tempfile().expect("file");
    let stderr = Stderr::over(&file).expect("open");
    stderr.line(&"é".repeat(1 << 20));
    assert_eq!(file.seek(std::io::SeekFrom::End(0)).expect("seek"), 64 * 1024 + 1);
}

#[test]
fn a_file_of_its_own_is_bounded_and_no_other_one_is() {
    let own = tempfile::NamedTempFile::new().expect("file");
    let other = tempfile::NamedTempFile::new().expect("file");
    let appending = File::options().append(true).open(own.path()).expect("open");
    for (named, bounded) in [(own.path(), true), (other.path(), false)] {
        let stderr = Stderr::over(&appending).expect("open").bounded(named, 1000);
        for _ in 0..100 {
            stderr.line(&"x".repeat(99));
        }
        let size = std::fs::metadata(own.path()).expect("stat").len();
        assert_eq!(size <= 1100, bounded, "{size}");
        assert_eq!(stderr.dropped(), 0);
    }
}
