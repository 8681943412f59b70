//! `up --daemon`: the engine in a session of its own, and a parent that returns when it is ready or has failed.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evercrew_config::Ready;
use evercrew_core::fleet::EndWhen;
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::{self, Child, Group, Plan, Program};
use evercrew_sys::{exec, pipe};
use evercrew_wire::logger::DAEMON_LOG;
use serde_json::Map;

use crate::arguments::Global;
use crate::client::{Engine, Lost, Question};
use crate::failure::{Failure, code};
use crate::output::{say, say_raw};
use crate::up;

/// Added to our own arguments for the process that becomes the engine.
pub(crate) const DETACHED: &str = "--detached";
/// Between two looks at an engine that does not answer yet.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program must have run of which nothing else is known.
const MOMENT: Duration = Duration::from_millis(500);
/// How long an engine that ends by itself may take to begin, once one of its services has failed.
const ENDING: Duration = Duration::from_secs(1);
/// Of a file that says why: as much as anybody reads.
const MOST_WORDS: u64 = 64 * 1024;

/// Starts the engine and waits for it.
///
/// # Errors
/// Why it did not become ready, with the code that `up` ends with.
pub(crate) fn start(global: &Global) -> Result<u8, Failure> {
    if std::process::id() == 1 {
        let text = "process 1 cannot leave the engine behind: everything ends with it";
        return Err(Failure::new(code::USAGE, text).hint("run `evercrew up` without --daemon in a container"));
    }
    let engine = Engine::of(global);
    let (child, relay) = spawn_detached()
        .map_err(|error| Failure::unavailable(format!("cannot start a process for the engine: {error}")))?;
    Parent { global, engine, child, relay: Some(relay), until: global.timeout.map(|timeout| Instant::now() + timeout) }
        .wait()
}

/// The same command once more, without terminal and without any descriptor of ours. What it says before it is the
/// supervisor comes to our standard error.
fn spawn_detached() -> io::Result<(Child, JoinHandle<()>)> {
    let (read, write) = pipe::pair()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let program = Program::Descriptor(OwnedFd::from(File::open("/proc/self/exe")?));
    let arguments = std::env::args_os().chain([DETACHED.into()]);
    let text = |text: std::ffi::OsString| CString::new(text.into_vec()).map_err(io::Error::other);
    let variables = std::env::vars_os().map(|(name, value)| {
        let mut entry = name;
        entry.push("=");
        entry.push(value);
        text(entry)
    });
    let plan = Plan {
        environment: variables.collect::<io::Result<_>>()?,
        descriptors: vec![(OwnedFd::from(null), 0), (write.try_clone()?, 1), (write, 2)],
        group: Group::Session,
        ..Plan::new(program, arguments.map(text).collect::<io::Result<_>>()?)
    };
    let child = spawn::spawn(&plan).map_err(|error| io::Error::other(error.to_string()))?;
    drop(plan);
    let relay = std::thread::spawn(move || {
        // Whoever reads us may be gone; the engine is started all the same.
        let _ = io::copy(&mut File::from(read), &mut io::stderr());
    });
    Ok((child, relay))
}

/// Gives the supervisor-to-be what a daemon has: no terminal, no directory that it keeps from being unmounted, a file
/// for its last words.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn settle(directory: &Path) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).mode(0o600).open(directory.join(DAEMON_LOG))?;
    file.set_len(0)?;
    writeln!(file, "{}", first_line(std::process::id()))?;
    std::env::set_current_dir("/")?;
    exec::redirect_output(&file)
}

/// By it the parent knows its child's file.
fn first_line(pid: u32) -> String {
    format!("evercrew: process {pid} is in the background from here on")
}

/// Who waits for the engine.
struct Parent<'a> {
    global: &'a Global,
    engine: Engine,
    child: Child,
    relay: Option<JoinHandle<()>>,
    until: Option<Instant>,
}

impl Parent<'_> {
    fn wait(mut self) -> Result<u8, Failure> {
        loop {
            if self.ended_within(LOOK)? {
                return self.report_end();
            }
            // Another engine may run in that directory: it is no business of ours.
            let ours = self.engine.supervisor().is_some_and(|(pid, _)| pid == self.child.pid);
            if ours && self.engine.socket().exists() {
                return self.wait_for_readiness();
            }
            if self.left().is_some_and(|left| left.is_zero()) {
                return Err(self.late());
            }
        }
    }

    fn wait_for_readiness(mut self) -> Result<u8, Failure> {
        let question = Question { lost: Lost::AskAgain, ..Question::change("wait", Map::new(), self.left()) };
        let mut asked = self.engine.ask(&question, |_| {});
        // Where nothing but the exec is known of readiness, a program that ends at once has been ready for a moment.
        if asked.is_ok() && self.knows_little() && !self.ended_within(MOMENT)? {
            asked = self.engine.ask(&question, |_| {});
        }
        match asked {
            Ok(_) if self.ended_within(Duration::ZERO)? => self.report_end(),
            Ok(_) => {
                let (pid, directory) = (self.child.pid, self.engine.directory().display());
                say(format_args!("evercrew: ready, supervisor {pid} in {directory}"));
                Ok(0)
            }
            Err(_) if self.ended_within(self.patience())? => self.report_end(),
            Err(failure) if failure.code == code::TIMEOUT => Err(self.late()),
            Err(failure) => {
                let rest = "the engine goes on and tries again: `evercrew status` shows it, `evercrew down` stops it";
                let hint =
                    if failure.hint.is_empty() { rest.to_owned() } else { format!("{}\n  help: {rest}", failure.hint) };
                Err(failure.hint(hint))
            }
        }
    }

    /// Whether some service says nothing of its readiness.
    fn knows_little(&self) -> bool {
        up::read_settings(self.global)
            .is_ok_and(|settings| settings.services.iter().any(|service| service.ready == Ready::Exec))
    }

    /// One that ends with its first failed service says with which code.
    fn patience(&self) -> Duration {
        let ends = up::read_settings(self.global).is_ok_and(|settings| settings.engine.exit != EndWhen::Never);
        let unbounded = Duration::from_secs(u64::from(u32::MAX));
        if ends { self.left().unwrap_or(unbounded) } else { ENDING.min(self.left().unwrap_or(ENDING)) }
    }

    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn late(&self) -> Failure {
        let text = format!("the engine is not ready yet (process {})", self.child.pid);
        Failure::new(code::TIMEOUT, text).hint("it goes on: `evercrew status` shows it, `evercrew down` stops it")
    }

    fn ended_within(&self, patience: Duration) -> Result<bool, Failure> {
        process::wait_exit(self.child.pidfd.as_fd(), patience)
            .map_err(|error| Failure::new(code::FAILURE, format!("cannot wait for the engine: {error}")))
    }

    /// What it said last, and its code.
    fn report_end(&mut self) -> Result<u8, Failure> {
        let reaped = process::reap(self.child.pid);
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
        let status = reaped.map(|(status, _)| status);
        let mut words = Vec::new();
        if let Ok(file) = File::open(self.engine.directory().join(DAEMON_LOG)) {
            // What cannot be read leaves the code alone.
            let _ = file.take(MOST_WORDS).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        say_raw(words.strip_prefix(&first_line(self.child.pid)).map(str::trim_start).unwrap_or_default());
        match status {
            Ok(Status::Code(0)) => {
                say("evercrew: the engine has ended: everything it was there for is done");
                Ok(0)
            }
            Ok(Status::Code(code)) => Ok(code),
            Ok(Status::Signal { number, .. }) => {
                let code = u8::try_from(128 + number).unwrap_or(code::FAILURE);
                Err(Failure::new(code, format!("the engine was killed by signal {number} before it was ready")))
            }
            Err(error) => {
                Err(Failure::new(code::FAILURE, format!("the engine ended; there is no telling how: {error}")))
            }
        }
    }
}
