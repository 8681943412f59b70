//! A service manager above the engine, as systemd is one: it starts the engine as a unit of `Type=notify`, takes
//! notifications of the main process alone (`NotifyAccess=main`, by the kernel's word), passes sockets, and keeps those that
//! it is asked to keep (`FileDescriptorStoreMax`).

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_sys::descriptor;
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::notify::NotifySocket;
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Child, Group, Plan, Program};

/// One line of a notification.
#[derive(Clone, Debug)]
pub struct Line {
    /// `READY=1`.
    pub text: String,
    /// When it was read.
    pub at: Instant,
}

/// A unit.
#[derive(Debug)]
pub struct Unit {
    binary: PathBuf,
    home: PathBuf,
    variables: Vec<(String, String)>,
    socket: NotifySocket,
    epoll: Epoll,
    main: Option<Child>,
    /// Sockets that it opened itself, by name.
    sockets: Vec<(String, OwnedFd)>,
    /// Sockets that it was asked to keep, by name.
    store: Vec<(String, OwnedFd)>,
    lines: VecDeque<Line>,
    seen: Vec<Line>,
    /// Lines of processes that may not send any.
    refused: Vec<String>,
}

impl Unit {
    /// A unit for the configuration file in `home`; `binary` is `env!("CARGO_BIN_EXE_evercrew")`.
    ///
    /// # Panics
    /// When its socket cannot be made.
    pub fn new(binary: &str, home: &Path) -> Self {
        let socket = NotifySocket::bind(&home.join("above.sock"), None).expect("a notify socket");
        let epoll = Epoll::new().expect("epoll");
        epoll.add(socket.as_fd(), 0, Interest::READABLE).expect("watch the socket");
        Self {
            binary: binary.into(),
            home: home.to_owned(),
            variables: Vec::new(),
            socket,
            epoll,
            main: None,
            sockets: Vec::new(),
            store: Vec::new(),
            lines: VecDeque::new(),
            seen: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// With a variable in the engine's environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Passes this socket under this name (`FileDescriptorName=`).
    pub fn pass(&mut self, name: &str, socket: impl Into<OwnedFd>) {
        self.sockets.push((name.to_owned(), socket.into()));
    }

    /// The names of what it keeps.
    pub fn kept(&self) -> Vec<&str> {
        self.store.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// What processes that are not the main one have sent.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Every line so far.
    pub fn seen(&self) -> &[Line] {
        &self.seen
    }

    /// The main process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn main(&self) -> u32 {
        self.main.as_ref().expect("it runs").pid
    }

    /// Starts the engine with everything that was passed and kept.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&mut self) {
        self.read();
        self.lines.clear();
        let text = |text: &str| CString::new(text).expect("no zero byte");
        let log = File::options().create(true).append(true).open(self.home.join("up.log")).expect("open the log");
        let null = File::open("/dev/null").expect("open /dev/null");
        let log = OwnedFd::from(log);
        let copy = |fd: &OwnedFd| descriptor::duplicate(fd).expect("duplicate");
        let mut descriptors = vec![(OwnedFd::from(null), 0), (copy(&log), 1), (log, 2)];
        let mut environment: Vec<CString> = std::env::vars()
            .filter(|(name, _)| !["NOTIFY_SOCKET", "EVERCREW_DIRECTORY", "WEB_CONCURRENCY"].contains(&name.as_str()))
            .chain(self.variables.iter().cloned())
            .map(|(name, value)| text(&format!("{name}={value}")))
            .collect();
        environment.push(text(&format!("NOTIFY_SOCKET={}", self.home.join("above.sock").display())));
        let passed: Vec<(&str, &OwnedFd)> =
            self.sockets.iter().chain(&self.store).map(|(name, fd)| (name.as_str(), fd)).collect();
        let mut pid_variables = vec!["WATCHDOG_PID".to_owned()];
        if !passed.is_empty() {
            let names: Vec<&str> = passed.iter().map(|(name, _)| *name).collect();
            environment.push(text(&format!("LISTEN_FDS={}", passed.len())));
            environment.push(text(&format!("LISTEN_FDNAMES={}", names.join(":"))));
            pid_variables.push("LISTEN_PID".to_owned());
            descriptors.extend((3..).zip(&passed).map(|(number, (_, fd))| (copy(fd), number)));
        }
        let configuration = self.home.join("evercrew.toml");
        let arguments = ["evercrew", "-c", configuration.to_str().expect("a path"), "up"].map(text).to_vec();
        let program = Program::Path(text(self.binary.to_str().expect("a path")));
        let plan =
            Plan { environment, pid_variables, descriptors, group: Group::Session, ..Plan::new(program, arguments) };
        self.main = Some(spawn::spawn(&plan).expect("start the engine"));
    }

    /// Reads what has come.
    pub fn read(&mut self) {
        while let Some(raw) = self.socket.receive_raw().expect("receive") {
            if self.main.as_ref().is_none_or(|main| main.pid != raw.sender_pid) {
                self.refused.push(raw.text);
                continue;
            }
            let lines: Vec<&str> = raw.text.lines().collect();
            let name = lines.iter().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored").to_owned();
            if lines.contains(&"FDSTORE=1") {
                self.store.extend(raw.descriptors.into_iter().map(|fd| (name.clone(), fd)));
            } else if lines.contains(&"FDSTOREREMOVE=1") {
                self.store.retain(|(kept, _)| *kept != name);
            }
            let at = Instant::now();
            let lines = lines.into_iter().map(|text| Line { text: text.to_owned(), at });
            for line in lines {
                self.seen.push(line.clone());
                self.lines.push_back(line);
            }
        }
    }

    /// The next line that begins so, within `patience`; those before it are dropped.
    pub fn within(&mut self, begins: &str, patience: Duration) -> Option<Line> {
        let until = Instant::now() + patience;
        loop {
            self.read();
            while let Some(line) = self.lines.pop_front() {
                if line.text.starts_with(begins) {
                    return Some(line);
                }
            }
            let left = until.checked_duration_since(Instant::now())?;
            self.epoll.wait(&mut Vec::new(), Some(left)).expect("wait");
        }
    }

    /// As [`Unit::within`].
    ///
    /// # Panics
    /// When none comes.
    pub fn wait(&mut self, begins: &str) -> Line {
        let patience = Duration::from_secs(30);
        self.within(begins, patience).unwrap_or_else(|| {
            let log = std::fs::read_to_string(self.home.join("up.log")).unwrap_or_default();
            panic!("no {begins} within {patience:?}; seen: {:#?}\n{log}", self.seen)
        })
    }

    /// Signals the main process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.main.as_ref().expect("it runs").pidfd.as_fd(), signal).expect("signal it");
    }

    /// Waits for the end of the main process; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self) -> i32 {
        let main = self.main.take().expect("it runs");
        let gone = process::wait_exit(main.pidfd.as_fd(), Duration::from_secs(60)).expect("wait");
        assert!(gone, "the engine does not end");
        self.main = Some(main);
        self.read();
        let main = self.main.take().expect("it ran");
        match process::reap(main.pid).expect("reap").0 {
            Status::Code(code) => i32::from(code),
            Status::Signal { number, .. } => 128 + number,
        }
    }

    /// TERM, and the exit code. What is kept stays kept, as over a restart.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::Term);
        self.end()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(main) = self.main.take() {
            let _ = process::signal(main.pidfd.as_fd(), Signal::Quit);
            if !process::wait_exit(main.pidfd.as_fd(), Duration::from_secs(10)).unwrap_or(true) {
                let _ = process::signal(main.pidfd.as_fd(), Signal::Kill);
            }
            let _ = process::reap(main.pid);
        }
    }
}
