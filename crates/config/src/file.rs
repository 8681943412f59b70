//! The whole file: its tables, and what must hold between them.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::control;
use crate::convert::Wrong;
use crate::diagnostic::{Diagnostic, Report};
use crate::engine;
use crate::keys;
use crate::listen;
use crate::log;
use crate::order;
use crate::places::Places;
use crate::ports;
use crate::queue;
use crate::raw::{Kind, Table, Value};
use crate::reader::Reader;
use crate::service::{self, Draft};
use crate::settings::{Listener, LogStyle, Program, Settings};
use crate::text::Span;

/// Most listeners of one file.
const MOST_LISTENERS: usize = 64;

/// Most services of one file.
const MOST_SERVICES: usize = 256;

/// Longest name of a service or a listener.
const LONGEST_NAME: usize = 64;

/// Where the engine's directory is when the file does not say, or whatever the file says.
pub(crate) struct Directory<'a> {
    /// `--directory`.
    pub(crate) command_line: Option<&'a Path>,
    /// EVERCREW_DIRECTORY.
    pub(crate) environment: Option<PathBuf>,
}

/// Reads the merged table. What is wrong goes to the report; the settings are then only good for further checks.
pub(crate) fn settings(report: &Report, root: &Table, context: &Context<'_>, directory: &Directory<'_>) -> Settings {
    let file = Reader::open(report, &keys::FILE, root, Span::new(0, 0..0), "the file");
    let engine = engine::engine(&file, context, directory);
    let mut listeners = listeners(&file, context);
    let log = log::log(&file, context, &engine.directory);
    let mut drafts = services(&file, context, log.style);
    let queue = file.table("queue", &keys::QUEUE).map(|table| {
        let queue = queue::queue(&table, context, &engine.directory);
        refuse_the_name(&file, table.at(""));
        listeners.push(PlacedListener {
            listener: queue::listener(&queue),
            name_at: table.at(""),
            address_at: table.at("listen"),
            mode_at: table.at(""),
            is_open: false,
        });
        drafts.push(queue::draft(&table, context, log.style));
        queue
    });
    order::resolve(report, &mut drafts);
    listeners.iter_mut().filter(|placed| placed.is_open).for_each(|placed| placed.suit(&drafts));
    check_listeners(&file, &listeners, &drafts);
    ports::check(report, &drafts, listeners.iter().map(|listener| (&listener.listener, listener.address_at)));
    if drafts.is_empty() && report.is_clean() {
        report.add(
            Diagnostic::warning(Span::new(0, 0..0), "there is no service, so nothing will run")
                .help("add a table [service.NAME] with `command = [\"program\", \"argument\"]`"),
        );
    }
    let places = Places {
        texts: std::sync::Arc::clone(report.texts()),
        services: drafts.iter().map(|draft| draft.places).collect(),
    };
    Settings {
        engine,
        log,
        control: control::control(&file),
        metrics: control::metrics(&file, context),
        listeners: listeners.into_iter().map(|listener| listener.listener).collect(),
        services: drafts.into_iter().map(|draft| draft.service).collect(),
        queue,
        warnings: Vec::new(),
        places,
    }
}

/// A listener and its places.
struct PlacedListener {
    listener: Listener,
    name_at: Span,
    address_at: Span,
    mode_at: Span,
    /// It does not say whether it is non-blocking.
    is_open: bool,
}

impl PlacedListener {
    /// Builtin workers share a non-blocking one at less cost; a program may wait in accept(), which then finds nothing.
    fn suit(&mut self, drafts: &[Draft]) {
        let uses = |draft: &&Draft| draft.listen.iter().any(|(name, _)| *name == self.listener.name);
        let mut users = drafts.iter().filter(uses).peekable();
        self.listener.nonblocking =
            users.peek().is_some() && users.all(|draft| matches!(draft.service.program, Program::Builtin(_)));
    }
}

fn listeners(file: &Reader<'_>, context: &Context<'_>) -> Vec<PlacedListener> {
    let mut listeners = Vec::new();
    for (name, name_at, reader) in named(file, "listen", &keys::LISTEN, MOST_LISTENERS) {
        if let Some(listener) = listen::listener(&reader, name, context) {
            listeners.push(PlacedListener {
                listener,
                name_at,
                address_at: reader.at("address"),
                mode_at: reader.at("mode"),
                is_open: reader.given("nonblocking").is_none(),
            });
        }
    }
    listeners
}

fn services(file: &Reader<'_>, context: &Context<'_>, log: LogStyle) -> Vec<Draft> {
    let tables = named(file, "service", &keys::SERVICE, MOST_SERVICES);
    tables.iter().map(|(name, at, reader)| service::service(reader, name, *at, context, log)).collect()
}

/// The named tables under `key`, each with a name that can be used, in the order of the file.
fn named<'a>(
    file: &Reader<'a>,
    key: &'static str,
    section: &'static crate::key::Section,
    most: usize,
) -> Vec<(&'a str, Span, Reader<'a>)> {
    let report = file.report();
    let mut tables = Vec::new();
    for entry in file.entries(key) {
        if let Some(why) = unusable(&entry.key) {
            let shown = crate::diagnostic::shorten(&entry.key);
            report.add(
                Diagnostic::error(entry.key_at, format!("\"{shown}\" cannot be the name of a {key}"))
                    .label(why)
                    .help("names have 1 to 64 of a-z, 0-9, `_` and `-`, and do not begin with `-`"),
            );
        }
        if tables.len() == most {
            report.add(
                Diagnostic::error(entry.key_at, format!("there are more than {most} tables of `{key}`"))
                    .label("one too many"),
            );
            break;
        }
        match &entry.value {
            Value { kind: Kind::Table(table), .. } => {
                let name = format!("[{key}.{}]", crate::diagnostic::shorten(&entry.key));
                let reader = Reader::open(report, section, table, entry.key_at, name);
                tables.push((entry.key.as_str(), entry.key_at, reader));
            }
            value => file.wrong(key, Wrong::found(report, value)),
        }
    }
    tables
}

/// The queue server is a service and a listener of that name.
fn refuse_the_name(file: &Reader<'_>, queue_at: Span) {
    for key in ["listen", "service"] {
        for entry in file.table_entries(key).iter().filter(|entry| entry.key == queue::NAME) {
            file.report().add(
                Diagnostic::error(entry.key_at, format!("[{key}.queue] has the name of the queue server's own"))
                    .label("taken")
                    .also(queue_at, "by this table")
                    .help("call it something else"),
            );
        }
    }
}

fn unusable(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() {
        Some("an empty name")
    } else if name.len() > LONGEST_NAME {
        Some("too long")
    } else if name.contains('.') {
        Some("a dot separates service and slot, as in web.1")
    } else if name.starts_with('-') {
        Some("looks like an option on the command line")
    } else if !name.chars().all(allowed) {
        Some("a character that is not allowed")
    } else {
        None
    }
}

fn check_listeners(file: &Reader<'_>, listeners: &[PlacedListener], drafts: &[Draft]) {
    let report = file.report();
    let placed: Vec<(Listener, Span)> = listeners.iter().map(|l| (l.listener.clone(), l.address_at)).collect();
    listen::refuse_conflicts(report, &placed);
    // Those with an error of their own too: it need not be told twice.
    let known = |name: &str| file.table_entries("listen").iter().any(|entry| entry.key == name);
    let is_queue = |name: &str| name == queue::NAME && listeners.iter().any(|l| l.listener.name == name);
    let names = || file.table_entries("listen").iter().map(|entry| entry.key.as_str());
    for (name, at) in drafts.iter().flat_map(|draft| &draft.listen) {
        if !known(name) && !is_queue(name) {
            report.add(order::unknown("listener", name, *at, names()));
        }
    }
    for listener in listeners {
        let name = &listener.listener.name;
        let users = drafts.iter().filter_map(|draft| {
            let (_, at) = draft.listen.iter().find(|(used, _)| used == name)?;
            Some((&draft.service, *at))
        });
        listen::refuse_reuseport(report, &listener.listener, listener.mode_at, users);
    }
    let certain = report.is_clean();
    for listener in listeners {
        let name = &listener.listener.name;
        if certain && !drafts.iter().any(|draft| draft.listen.iter().any(|(used, _)| used == name)) {
            report.add(
                Diagnostic::warning(listener.name_at, format!("no service uses the listener \"{name}\""))
                    .label("connections to it would wait for ever")
                    .help(format!("write `listen = [\"{name}\"]` in a service, or take it out")),
            );
        }
    }
}
