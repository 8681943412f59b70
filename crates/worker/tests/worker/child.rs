//! A worker process, started as the engine starts it.

use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_sys::limits::Limit;
use evercrew_sys::notify::{Message, NotifySocket};
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{Child, Group, Plan, Program, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a worker is to be started.
pub(crate) struct Start {
    pub(crate) listeners: Vec<OwnedFd>,
    /// More variables.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    pub(crate) limits: Vec<Limit>,
    /// Whether LISTEN_PID is set.
    pub(crate) told: bool,
    /// The example to run.
    pub(crate) example: &'static str,
    /// Where its standard output goes.
    pub(crate) output: Option<OwnedFd>,
}

impl Start {
    pub(crate) fn on(listeners: &[&dyn AsListener]) -> Self {
        let listeners = listeners.iter().map(|listener| listener.copy()).collect();
        Self { listeners, variables: Vec::new(), limits: Vec::new(), told: true, example: "hello_worker", output: None }
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// With answers of every size and kind.
    pub(crate) fn answers(mut self) -> Self {
        self.example = "answers_worker";
        self
    }

    /// Starts it, without waiting for anything.
    pub(crate) fn start(self) -> Worker {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("notify");
        let notify = NotifySocket::bind(&socket, None).expect("a notify socket");
        let (errors, stderr) = evercrew_sys::pipe::pair().expect("a pipe");
        let text = |text: String| CString::new(text).expect("no zero byte");
        let program = text(program(self.example).to_str().expect("UTF-8").to_owned());
        let mut plan = Plan::new(Program::Path(program.clone()), vec![program]);
        plan.environment = vec![
            text(format!("NOTIFY_SOCKET={}", socket.display())),
            text(format!("LISTEN_FDS={}", self.listeners.len())),
            text("EVERCREW_WORKER=web.1".to_owned()),
        ];
        plan.environment.extend(self.variables.iter().map(|(name, value)| text(format!("{name}={value}"))));
        plan.descriptors = self.listeners.into_iter().zip(3..).collect();
        plan.descriptors.push((stderr, 2));
        plan.descriptors.extend(self.output.map(|output| (output, 1)));
        plan.group = Group::Session;
        plan.limits = self.limits;
        if self.told {
            plan.pid_variables.push("LISTEN_PID".to_owned());
        }
        let child = spawn(&plan).expect("the worker is started");
        Worker { child, notify, errors: BufReader::new(File::from(errors)), ended: None, _folder: folder }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn ready(self) -> Worker {
        let worker = self.start();
        worker.message("READY", |message| message.ready);
        worker
    }
}

/// A listener that can be given to a worker.
pub(crate) trait AsListener {
    fn copy(&self) -> OwnedFd;
}

impl<T: AsFd> AsListener for T {
    fn copy(&self) -> OwnedFd {
        self.as_fd().try_clone_to_owned().expect("a descriptor")
    }
}

/// An example of this crate, which cargo builds beside the tests.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("tests are in target/*/deps");
    target.join("examples").join(example)
}

/// A listener as the engine opens it for such workers.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a flag");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A worker process; ended with this value.
pub(crate) struct Worker {
    child: Child,
    notify: NotifySocket,
    errors: BufReader<File>,
    ended: Option<Status>,
    _folder: tempfile::TempDir,
}

impl Worker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.child.pidfd.as_fd(), signal).expect("it is our child");
    }

    /// Waits for a message like that; others before it are passed over.
    pub(crate) fn message(&self, what: &str, mut wanted: impl FnMut(&Message) -> bool) -> Message {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(message) = self.notify.receive().expect("a notify socket") {
                if wanted(&message) {
                    assert_eq!(message.sender_pid, self.pid());
                    return message;
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in {PATIENCE:?}");
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            poll(&mut [PollFd::new(&self.notify, PollFlags::IN)], Some(&left)).expect("poll");
        }
    }

    /// Asks it to stop and waits until it says that it does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::Term);
        self.message("STOPPING", |message| message.stopping);
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Status {
        if let Some(status) = self.ended {
            return status;
        }
        assert!(process::wait_exit(self.child.pidfd.as_fd(), PATIENCE).expect("a wait"), "the worker goes on");
        let (status, _) = process::reap(self.pid()).expect("it is our child");
        self.ended = Some(status);
        status
    }

    /// The next line on its standard error; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).expect("a pipe");
        line
    }

    pub(crate) fn cpu_time(&self) -> Duration {
        process::cpu_time(self.pid()).expect("it lives")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = process::signal(self.child.pidfd.as_fd(), Signal::Kill);
            let _ = process::wait_exit(self.child.pidfd.as_fd(), PATIENCE);
            let _ = process::reap(self.child.pid);
        }
    }
}
