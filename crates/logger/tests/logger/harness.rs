//! A logger in a process of its own, and what its tests look at.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_sys::channel::{self, Channel};
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Child, Plan, Program};
use evercrew_sys::{clock, pipe, record};
use evercrew_wire::Text;
use evercrew_wire::logger::{Stream, Style, ToLogger};
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).expect("no zero byte")
}

/// A running logger.
pub(crate) struct Logger {
    pub(crate) child: Child,
    pub(crate) link: Channel,
    pub(crate) directory: TempDir,
}

impl Logger {
    /// With `stdout` as its terminal; `environment` beside an empty one.
    pub(crate) fn start(stdout: OwnedFd, environment: &[&str]) -> Self {
        let (link, far) = channel::pair().expect("channel");
        let program = env!("CARGO_BIN_EXE_evercrew-logger-probe");
        let mut plan = Plan::new(Program::Path(c(program)), vec![c("logger")]);
        plan.environment = environment.iter().map(|entry| c(entry)).collect();
        plan.descriptors = vec![(stdout, 1), (far.into(), 3)];
        let child = spawn::spawn(&plan).expect("spawn");
        let logger = Self { child, link, directory: tempfile::tempdir().expect("directory") };
        // Before it has taken over its signals, one would end it.
        let boot = logger.directory.path().join("boot");
        logger.send(
            &ToLogger::Configure {
                directory: Text::from(&boot),
                terminal: false,
                engine: Style::default(),
                held: None,
            },
            &[],
        );
        logger.attach(u64::MAX, "boot", Stream::Output).write_all(b"up\n").expect("write");
        until("it is up", || texts(&boot, "boot") == ["up"]);
        logger.configure(true);
        logger
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.directory.path().join("logs")
    }

    pub(crate) fn send(&self, message: &ToLogger, descriptors: &[BorrowedFd<'_>]) {
        let bytes = message.encode().expect("encode");
        loop {
            match record::send(&self.link, &bytes, descriptors) {
                Ok(()) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let epoll = Epoll::new().expect("epoll");
            epoll.add(&self.link, 0, Interest::WRITABLE).expect("add");
            epoll.wait(&mut Vec::new(), Some(PATIENCE)).expect("wait");
        }
    }

    pub(crate) fn configure(&self, terminal: bool) {
        self.send(
            &ToLogger::Configure {
                directory: Text::from(&self.logs()),
                terminal,
                engine: Style::default(),
                held: None,
            },
            &[],
        );
    }

    pub(crate) fn attach(&self, worker: u64, name: &str, stream: Stream) -> File {
        let (reader, writer) = pipe::pair().expect("pipe");
        self.attach_pipe(worker, name, stream, &reader);
        File::from(writer)
    }

    pub(crate) fn attach_pipe(&self, worker: u64, name: &str, stream: Stream, reader: &OwnedFd) {
        let service = name.split('.').next().unwrap_or(name).to_owned();
        let message = ToLogger::Attach {
            worker,
            name: name.to_owned(),
            service,
            generation: 1,
            stream,
            ready: None,
            style: Style::default(),
            discarded: 0,
        };
        self.send(&message, &[reader.as_fd()]);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.child.pidfd.as_fd(), signal).expect("signal");
    }

    /// Waits for its end, which must be a clean one. Returns its directory.
    pub(crate) fn ended(self) -> TempDir {
        assert!(process::wait_exit(self.child.pidfd.as_fd(), PATIENCE).expect("wait"), "it does not end");
        assert_eq!(process::reap(self.child.pid).expect("reap").0, Status::Code(0));
        self.directory
    }

    pub(crate) fn stop(self) -> TempDir {
        self.signal(Signal::Term);
        self.ended()
    }

    /// The lines of a worker's file, without their stamps.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        texts(&self.logs(), name)
    }
}

/// The lines of a worker's file, each checked to begin with a moment.
pub(crate) fn texts(logs: &Path, name: &str) -> Vec<String> {
    let Ok(bytes) = fs::read(logs.join(format!("{name}.log"))) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let line = |line: &str| {
        let (stamp, text) = line.split_at(24);
        assert!(stamp.ends_with('Z') && stamp.contains('T') && &stamp[19..20] == ".", "{line:.60}");
        text.splitn(4, ' ').nth(3).expect("name, stream and text").to_owned()
    };
    text.lines().map(line).collect()
}

/// Asks again until it is so: for what shows in a file only.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = clock::mono().after(PATIENCE);
    while !so() {
        assert!(clock::mono() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Reads exactly `wanted`, which must be what comes next.
pub(crate) fn expect(file: &mut File, wanted: &str) {
    let mut bytes = vec![0; wanted.len()];
    file.read_exact(&mut bytes).expect("read");
    assert_eq!(String::from_utf8_lossy(&bytes), wanted);
}

pub(crate) fn piped() -> (File, OwnedFd) {
    let (reader, writer) = pipe::pair().expect("pipe");
    (File::from(reader), writer)
}
