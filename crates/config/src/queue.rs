//! `[queue]`: the built-in queue server, and the service that it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::fleet::Rollout;

use crate::choice::Choice;
use crate::context::Context;
use crate::convert::Wrong;
use crate::diagnostic::Diagnostic;
use crate::key::{Section, Shape};
use crate::keys::{self, key, open};
use crate::listen;
use crate::raw::{Entry, Kind, Table, Value};
use crate::reader::Reader;
use crate::service::{self, Draft};
use crate::settings::{Address, ListenMode, Listener, LogStyle, Program};

/// The name of the service that the queue server is, and of its listener.
pub(crate) const NAME: &str = "queue";

/// Where Faktory's clients find the password, or the path of a file with it.
pub(crate) const PASSWORD: &str = "FAKTORY_PASSWORD";

/// Longest password, in bytes.
const LONGEST_PASSWORD: usize = 1024;

/// `[queue]`.
pub(crate) static QUEUE: Section = Section {
    title: "[queue]",
    doc: "The built-in queue server, which every Faktory client speaks to. It runs as the service `queue`: one worker of \
          its own binary, replaced without a second one beside it, while connections wait.",
    keys: &[
        open("listen", Shape::Address, "\"127.0.0.1:7419\"", "IP address and port where clients connect"),
        open(
            "store",
            Shape::Store,
            "\"sqlite:\" and `jobs.db` in `engine.directory`",
            "where jobs are kept: `sqlite:` and the path of a database, or \"memory\", which ends with the process",
        ),
        key(
            "durability",
            Shape::Choice(Durability::NAMES),
            "\"sync\"",
            "when a push is answered: when the disk has the job, or (`relaxed`) when the kernel has it, so that a loss of \
             power takes the last seconds",
        ),
        open(
            "password",
            Shape::Text,
            "FAKTORY_PASSWORD, else none",
            "what clients must prove to know; one that begins with `/` is the path of a file with it",
        ),
        key("insecure", Shape::Boolean, "false", "serve other machines though there is no password"),
        key(
            "memory",
            Shape::Size,
            "\"256MiB\"",
            "bytes of waiting jobs that are kept in memory; those beyond are read from the store when they are fetched",
        ),
        key(
            "buffers",
            Shape::Size,
            "\"64MiB\"",
            "bytes of unfinished commands and unsent answers, of all clients together beyond 8 KiB of each; when it is \
             full they wait for one another, and who neither sends nor reads is sent away",
        ),
        key("connections", Shape::Integer { min: 1, max: 1_000_000 }, "10000", "clients at once"),
        key("keep_done", TIME, "\"1h\"", "how long a job that is done can be shown"),
        key("keep_dead", TIME, "\"180d\"", "how long a dead job is kept"),
    ],
};

const TIME: Shape = Shape::Duration { zero: false, forever: false };

/// What `[queue]` says.
#[derive(Clone, PartialEq, Eq)]
pub struct Queue {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where jobs are kept; `None` is in memory. Absolute.
    pub store: Option<PathBuf>,
    /// When a push is answered.
    pub durability: Durability,
    /// What clients must prove to know, or a path that begins with `/` of a file with it.
    pub password: Option<String>,
    /// Serve other machines without a password.
    pub insecure: bool,
    /// Bytes of waiting jobs in memory.
    pub memory: u64,
    /// Bytes of unfinished commands and unsent answers.
    pub buffers: u64,
    /// Clients at once.
    pub connections: u32,
    /// How long a job that is done can be shown.
    pub keep_done: Duration,
    /// How long a dead job is kept.
    pub keep_dead: Duration,
}

/// When a push is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it.
    Sync,
    /// When the kernel has it.
    Relaxed,
}

impl Choice for Durability {
    const NAMES: &'static [&'static str] = &["sync", "relaxed"];
    const VALUES: &'static [Self] = &[Self::Sync, Self::Relaxed];
}

impl std::fmt::Debug for Queue {
    /// Without the password, which belongs into no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listen, store, durability, password, .. } = self;
        let password = password.as_ref().map(|_| "…");
        write!(
            f,
            "Queue {{ listen: {listen}, store: {store:?}, durability: {durability:?}, password: {password:?}, … }}"
        )
    }
}

/// Reads `[queue]`; `directory` is the engine's.
pub(crate) fn queue(reader: &Reader<'_>, context: &Context<'_>, directory: &Path) -> Queue {
    let listen = tcp(reader, "listen", context).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7419)));
    let given = reader.text("password").filter(|text| !text.is_empty());
    let password = given.or_else(|| context.faktory_password.map(str::to_owned));
    if password.as_ref().is_some_and(|password| password.len() > LONGEST_PASSWORD) {
        reader.report().add(
            Diagnostic::error(reader.at("password"), format!("the password has more than {LONGEST_PASSWORD} bytes"))
                .label("too long"),
        );
    }
    let insecure = reader.boolean("insecure");
    if !listen.ip().is_loopback() && password.is_none() && !insecure && reader.is_sound() {
        reader.report().add(
            Diagnostic::error(reader.at("listen"), "the queue server would serve other machines without a password")
                .label(format!("{} can be reached from outside", listen.ip()))
                .help(format!("write `password`, set {PASSWORD}, or say that this is meant: `insecure = true`")),
        );
    }
    Queue {
        listen,
        store: store(reader, context, directory),
        durability: reader.choice("durability").unwrap_or(Durability::Sync),
        password,
        insecure,
        memory: reader.size("memory").unwrap_or(u64::MAX),
        buffers: reader.size("buffers").unwrap_or(64 << 20),
        connections: reader.integer("connections"),
        keep_done: reader.duration("keep_done"),
        keep_dead: reader.duration("keep_dead"),
    }
}

fn tcp(reader: &Reader<'_>, key: &'static str, context: &Context<'_>) -> Option<SocketAddr> {
    let value = reader.given(key)?;
    let wrong = match listen::address(reader.report(), value, context) {
        Ok(Address::Tcp(address)) if address.port() != 0 => return Some(address),
        Ok(Address::Tcp(_)) => Wrong::because(value, "clients have to know the port"),
        Ok(Address::Unix(_)) => Wrong::because(value, "clients of this protocol connect over TCP"),
        Err(wrong) => wrong,
    };
    reader.wrong(key, wrong);
    None
}

fn store(reader: &Reader<'_>, context: &Context<'_>, directory: &Path) -> Option<PathBuf> {
    let Some(value) = reader.given("store") else { return Some(directory.join("jobs.db")) };
    let text = reader.text("store")?;
    match text.split_once(':') {
        None if text == "memory" => None,
        Some(("sqlite", path)) if !path.is_empty() => Some(context.resolve(value.at, path)),
        Some(("postgres" | "postgresql", _)) => {
            reader.wrong("store", Wrong::because(value, "PostgreSQL is not supported by this version"));
            None
        }
        _ => {
            let wrong = Wrong::because(value, "found another store");
            let path = text.ends_with(".db") && !text.contains(':');
            reader.wrong("store", if path { wrong.write(format!("\"sqlite:{text}\"")) } else { wrong });
            None
        }
    }
}

/// The listener of the queue server.
pub(crate) fn listener(queue: &Queue) -> Listener {
    let address = Address::Tcp(queue.listen);
    Listener { name: NAME.to_owned(), address, backlog: 1024, mode: ListenMode::Shared, nonblocking: false }
}

/// The service that the queue server is: as one that says nothing of itself, but never two workers at once.
pub(crate) fn draft(reader: &Reader<'_>, context: &Context<'_>, log: LogStyle) -> Draft {
    let at = reader.at("");
    let text = |text: &str| Value { kind: Kind::Text(text.to_owned()), at };
    let entry = |key: &str, kind: Kind| Entry { key: key.to_owned(), key_at: at, value: Value { kind, at } };
    let table = Table {
        entries: vec![
            entry("builtin", Kind::Text("hello".to_owned())),
            entry("listen", Kind::Array(vec![text(NAME)])),
            entry("workers", Kind::Integer(1)),
            entry("command_pipe", Kind::Boolean(true)),
        ],
    };
    // It leaves nothing behind in the report: what is written here is right.
    let service = Reader::open(reader.report(), &keys::SERVICE, &table, at, "[queue]");
    let mut draft = service::service(&service, NAME, at, context, log);
    draft.service.program = Program::Queue;
    draft.service.env = BTreeMap::new();
    let rollout = draft.service.policy.rollout;
    draft.service.policy.rollout = Rollout { surge: 0, unavailable: 1, ..rollout };
    draft
}
