//! `[engine]`: its keys, and reading it.

use evercrew_core::fleet::EndWhen;
use evercrew_core::operator::Preset;

use crate::choice::Choice;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::file::Directory;
use crate::key::{Section, Shape};
use crate::keys::{TIME, key, open};
use crate::listen::too_long;
use crate::reader::Reader;
use crate::settings::Engine;

/// `[engine]`.
pub(crate) static ENGINE: Section = Section {
    title: "[engine]",
    doc: "The engine itself.",
    keys: &[
        open(
            "directory",
            Shape::Path,
            "EVERCREW_DIRECTORY, else \".evercrew\"",
            "where the control socket, the lock, the state and the logs are; `--directory` overrides it",
        )
        .fixed(),
        key(
            "exit",
            Shape::Choice(EndWhen::NAMES),
            "\"never\"",
            "when the engine ends by itself: never, when every service has finished or failed for good, or as soon as a \
             service has failed or one worker for good; the exit code is 0, the unrecoverable one, or 1",
        )
        .live(),
        key("manager_restart_wait", TIME, "\"0s\"", "waiting time before a manager that died is started again").live(),
        open("pid_file", Shape::Path, "none", "a file with the supervisor's pid, there as long as it runs").fixed(),
        key(
            "signals",
            Shape::Choice(Preset::NAMES),
            "\"native\"",
            "whose meanings signals to the engine have: its own, or those of a known system",
        )
        .live(),
        open(
            "user",
            Shape::Account,
            "who starts it",
            "whom manager and logger run as, and every service that names no user; the supervisor keeps the rights it was \
             started with. Needs root",
        )
        .fixed(),
        open("group", Shape::Account, "the user's own", "the group likewise").fixed(),
        open("umask", Shape::Mask, "who starts it has", "permissions that files of manager and logger are made without").fixed(),
    ],
};

/// Reads `[engine]`.
pub(crate) fn engine(file: &Reader<'_>, context: &Context<'_>, directory: &Directory<'_>) -> Engine {
    let table = file.table_or_default("engine", &ENGINE);
    let given = table.path("directory").map(|path| context.resolve(table.at("directory"), path));
    let path = match (directory.command_line, given, &directory.environment) {
        (Some(path), _, _) => path.to_path_buf(),
        (None, Some(path), _) => path,
        (None, None, Some(path)) => path.clone(),
        (None, None, None) => context.base.resolve(".evercrew"),
    };
    if let Some(why) = too_long(&path.join("control.sock")) {
        file.report().add(
            Diagnostic::error(table.at("directory"), "the engine's directory is too deep for its control socket")
                .label(why)
                .help("set `engine.directory` to a shorter path, like \"/run/evercrew\""),
        );
    }
    Engine {
        directory: path,
        exit: table.choice("exit").unwrap_or(EndWhen::Never),
        manager_restart_wait: table.duration("manager_restart_wait"),
        pid_file: table.path("pid_file").map(|path| context.resolve(table.at("pid_file"), path)),
        signals: table.choice("signals").unwrap_or_default(),
        user: table.account("user"),
        group: table.account("group"),
        umask: table.mask("umask"),
    }
}
