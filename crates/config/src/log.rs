//! `[log]`, and `log` of a service: where lines go and how long they are kept.

use std::path::Path;

use evercrew_core::Level;

use crate::choice::Choice;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::key::{Section, Shape};
use crate::keys::{key, open};
use crate::reader::Reader;
use crate::settings::{Log, LogFiles, LogFormat, LogStyle};

/// `[log]`.
pub(crate) static LOG: Section = Section {
    title: "[log]",
    doc: "What becomes of the engine's own lines, and of the workers' output where `log` of a service does not say \
          otherwise.",
    keys: &[
        open("directory", Shape::Path, "`logs` in `engine.directory`", "where the files are; made if it is missing")
            .live(),
        key(
            "level",
            Shape::Choice(Level::NAMES),
            "\"info\"",
            "what the engine says of itself at least, on standard error and in engine.log",
        )
        .live(),
        key(
            "files",
            Shape::Choice(LogFiles::NAMES),
            "\"worker\"",
            "one file for each worker (web.1.log), one for each service (web.log), or none",
        )
        .live(),
        key(
            "format",
            Shape::Choice(LogFormat::NAMES),
            "\"text\"",
            "how a line stands in a file: time, worker, stream and text, or an object of JSON",
        )
        .live(),
        key("max_size", Shape::Size, "\"10MiB\"", "size that a file does not exceed: before that a new one is begun")
            .live(),
        key(
            "max_age",
            Shape::Duration { zero: false, forever: true },
            "\"forever\"",
            "age of a file at which the next line begins a new one",
        )
        .live(),
        key("keep", KEEP, "5", "files kept beside the one that is written; older ones are deleted").live(),
        key("compress", Shape::Boolean, "true", "compress those with gzip").live(),
        key("terminal", Shape::Boolean, "true", "lines of the workers go to standard output too").live(),
    ],
};

const KEEP: Shape = Shape::Integer { min: 0, max: 100_000 };

/// What a service does not say of its lines.
const AS_ALL: &str = "as in [log]";

/// `log = { … }`.
pub(crate) static SERVICE_LOG: Section = Section {
    title: "log",
    doc: "What becomes of the output of one service's workers.",
    keys: &[
        open("files", Shape::Choice(LogFiles::NAMES), AS_ALL, "one file for each worker, one for the service, or none")
            .live(),
        open("format", Shape::Choice(LogFormat::NAMES), AS_ALL, "how a line stands in a file").live(),
        open("max_size", Shape::Size, AS_ALL, "size that a file does not exceed").live(),
        open(
            "max_age",
            Shape::Duration { zero: false, forever: true },
            AS_ALL,
            "age of a file at which the next line begins a new one",
        )
        .live(),
        open("keep", KEEP, AS_ALL, "files kept beside the one that is written").live(),
        open("compress", Shape::Boolean, AS_ALL, "compress those with gzip").live(),
        open("terminal", Shape::Boolean, AS_ALL, "lines go to standard output too").live(),
    ],
};

/// The name of the engine's own file, less `.log`.
const ENGINES_OWN: &str = "engine";

/// `[log]`; `directory` is the engine's.
pub(crate) fn log(file: &Reader<'_>, context: &Context<'_>, directory: &Path) -> Log {
    let table = file.table_or_default("log", &LOG);
    let given = table.path("directory").map(|path| context.resolve(table.at("directory"), path));
    Log {
        directory: given.unwrap_or_else(|| directory.join("logs")),
        level: table.choice("level").unwrap_or(Level::Info),
        style: LogStyle {
            files: table.choice("files").unwrap_or(LogFiles::Worker),
            format: table.choice("format").unwrap_or(LogFormat::Text),
            max_size: table.size("max_size").unwrap_or(u64::MAX),
            max_age: table.duration_or_forever("max_age"),
            keep: table.integer("keep"),
            compress: table.boolean("compress"),
            terminal: table.boolean("terminal"),
        },
    }
}

/// `log` of the service `name`: what it does not say is as `[log]` says.
pub(crate) fn style(service: &Reader<'_>, name: &str, all: LogStyle) -> LogStyle {
    let table = service.table_or_default("log", &SERVICE_LOG);
    let given = |key| table.given(key).is_some();
    let style = LogStyle {
        files: table.choice("files").unwrap_or(all.files),
        format: table.choice("format").unwrap_or(all.format),
        max_size: table.size("max_size").unwrap_or(all.max_size),
        max_age: if given("max_age") { table.duration_or_forever("max_age") } else { all.max_age },
        keep: table.optional_integer("keep").unwrap_or(all.keep),
        compress: if given("compress") { table.boolean("compress") } else { all.compress },
        terminal: if given("terminal") { table.boolean("terminal") } else { all.terminal },
    };
    if style.files == LogFiles::Service && name == ENGINES_OWN {
        service.report().add(
            Diagnostic::error(table.at("files"), format!("{} would share engine.log with the engine", service.name()))
                .label("one file for the service is named after it")
                .help("write `log = { files = \"worker\" }` in it, or call the service something else"),
        );
    }
    style
}
