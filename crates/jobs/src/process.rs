//! A queue server as a process of the engine: settings from its environment, a socket that it inherited, signals,
//! readiness and heartbeat.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::Level;
use evercrew_core::{Mono, Signal};
use evercrew_store::Durability;
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::signal::SignalFd;
use evercrew_sys::{clock, exec, notify};
use evercrew_wire::queue::Settings;

use crate::config::{Config, Listen, Password, Storage};
use crate::error::Error;
use crate::guide::Guide;
use crate::notices::line;
use crate::pipe::{Heard, Pipe};
use crate::report::Report;
use crate::secret;
use crate::server::Server;

/// The inherited listener, by convention.
const LISTENER: i32 = 3;
/// What is watched.
const SIGNALS: u64 = 0;
const PIPE: u64 = 1;
/// Pause between two attempts to say READY.
const AGAIN: Duration = Duration::from_millis(20);

/// Runs the queue server that the engine started as this process, until a signal ends it; gives its exit code.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptor and blocks all signals.
pub fn run() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            line(Level::Error, format_args!("{error}"));
            error.exit_code()
        }
    }
}

fn serve() -> Result<(), Error> {
    let signals = SignalFd::block_all().map_err(|error| Error::System("reading signals by descriptor", error))?;
    let text = std::env::var(Settings::VARIABLE).unwrap_or_default();
    // It holds the password.
    exec::remove_variable(Settings::VARIABLE);
    let settings =
        Settings::decode(&text).map_err(|error| Error::System("reading the settings", io::Error::other(error)))?;
    let listener = exec::take_descriptor(LISTENER)
        .ok_or_else(|| Error::Listen("no listener was inherited as descriptor 3".to_owned()))?;
    let surroundings = |error| Error::System("watching what the engine says", error);
    let watch = Epoll::new().map_err(surroundings)?;
    watch.add(&signals, SIGNALS, Interest::READABLE).map_err(surroundings)?;
    let pipe = Pipe::inherited();
    if let Some(pipe) = &pipe {
        watch.add(pipe, PIPE, Interest::READABLE).map_err(surroundings)?;
    }
    let server = Server::open(config(settings, Listen::Socket(listener))?)?;
    let pid = std::process::id();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let for_us = number("WATCHDOG_PID").is_none_or(|told| told == u64::from(pid));
    let heartbeat = number("WATCHDOG_USEC").filter(|micros| for_us && *micros >= 2);
    let now = clock::mono();
    let mut process = Process {
        signals,
        pipe,
        watch,
        report: Report::default(),
        heartbeat: heartbeat.map(|micros| Duration::from_micros(micros / 2)),
        next_beat: now,
        is_told: false,
        address: server.address(),
    };
    let served = server.run(&mut process);
    let _ = notify::send("STOPPING=1");
    served
}

/// What the engine's settings come to.
fn config(settings: Settings, listen: Listen) -> Result<Config, Error> {
    let password = match settings.password {
        Some(path) if path.starts_with('/') => Some(secret::read(Path::new(&path))?),
        password => password.filter(|password| !password.is_empty()).map(Password::new),
    };
    let store = settings.store.map_or(Storage::Memory, |path| Storage::Sqlite(PathBuf::from(path.to_os_string())));
    Ok(Config {
        listen,
        durability: if settings.relaxed { Durability::Relaxed } else { Durability::Sync },
        password,
        insecure: settings.insecure,
        memory: settings.memory,
        buffers: settings.buffers,
        connections: settings.connections,
        keep_done: Duration::from_millis(settings.keep_done_ms),
        keep_dead: Duration::from_millis(settings.keep_dead_ms),
        ..Config::new(store)
    })
}

/// The process around the server.
struct Process {
    signals: SignalFd,
    /// The engine's words, and its ear.
    pipe: Option<Pipe>,
    /// Readable when one of both is.
    watch: Epoll,
    report: Report,
    heartbeat: Option<Duration>,
    next_beat: Mono,
    /// READY was heard.
    is_told: bool,
    address: SocketAddr,
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl Guide for Process {
    fn ready(&mut self) {
        line(Level::Info, format_args!("serves on {}", self.address));
        self.tick(clock::mono());
    }

    fn is_to_stop(&mut self) -> bool {
        let mut stop = false;
        while let Ok(Some(received)) = self.signals.read() {
            stop |= matches!(received.signal, Some(Signal::Term | Signal::Int | Signal::Quit));
        }
        match self.pipe.as_mut().map_or(Heard::Nothing, Pipe::hear) {
            Heard::Nothing => stop,
            Heard::Stop => true,
            Heard::End => {
                if let Some(pipe) = self.pipe.take() {
                    let _ = self.watch.remove(&pipe);
                }
                stop
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let beat = (self.heartbeat.is_some() || !self.is_told).then_some(self.next_beat);
        let report = self.pipe.as_ref().and_then(|_| self.report.due());
        beat.into_iter().chain(report).min()
    }

    /// Says READY=1 until it was heard, and then beats, from the loop itself: one that hangs does not beat.
    fn tick(&mut self, now: Mono) {
        if now < self.next_beat {
            return;
        }
        if !self.is_told {
            self.is_told = notify::send("READY=1").is_ok();
            self.next_beat = now.after(AGAIN);
        } else if let Some(period) = self.heartbeat {
            // A beat that finds the socket full is not missed: the ones that fill it prove the same.
            let _ = notify::send("WATCHDOG=1");
            self.next_beat = now.after(period);
        }
    }

    fn look(&mut self, server: &mut Server) {
        if let Some(pipe) = &self.pipe {
            self.report.look(server, pipe);
        }
    }
}
