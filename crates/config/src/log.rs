//! `[log]`, and `log` of a service: where lines go and how long they are kept.

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::key::Section;
use crate::keys;
use crate::reader::Reader;
use crate::settings::{Log, LogFiles, LogFormat, LogLevel, LogStyle};

use std::path::Path;

/// The name of the engine's own file, less `.log`.
const ENGINES_OWN: &str = "engine";

/// `[log]`; `directory` is the engine's.
pub(crate) fn log(file: &Reader<'_>, context: &Context<'_>, directory: &Path) -> Log {
    let table = file.table_or_default("log", &keys::LOG);
    let given = table.path("directory").map(|path| context.resolve(table.at("directory"), path));
    Log {
        directory: given.unwrap_or_else(|| directory.join("logs")),
        level: table.choice("level").unwrap_or(LogLevel::Info),
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
    let section: &'static Section = &keys::SERVICE_LOG;
    let table = service.table_or_default("log", section);
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
