//! `[service.NAME]`: everything but what concerns several services.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::fleet::{
    Backoff, GiveUp, Heartbeat, OnFailure, Policy, Readiness, Recycle, Restart, Rollout, StartLimit,
};

use crate::context::Context;
use crate::convert::Wrong;
use crate::diagnostic::Diagnostic;
use crate::duration;
use crate::host::Host;
use crate::http;
use crate::keys;
use crate::limits;
use crate::log;
use crate::places::ServicePlaces;
use crate::raw::{Kind, Value};
use crate::reader::Reader;
use crate::ready;
use crate::settings::{LogStyle, Program, Ready, Service};
use crate::size;
use crate::stop;
use crate::text::Span;
use crate::variables::{self, Variables};

/// A service with what is checked once all of them are known.
pub(crate) struct Draft {
    /// The service; `policy.after` is still empty.
    pub(crate) service: Service,
    /// Where its parts stand.
    pub(crate) places: ServicePlaces,
    /// Its listeners, with their places.
    pub(crate) listen: Vec<(String, Span)>,
    /// The services it waits for, with their places.
    pub(crate) after: Vec<(String, Span)>,
}

/// Reads one service.
pub(crate) fn service(reader: &Reader<'_>, name: &str, name_at: Span, context: &Context<'_>, all: LogStyle) -> Draft {
    let program = program(reader, name_at, context);
    let listen = reader.names("listen");
    let is_builtin = matches!(program, Program::Builtin(_));
    if let Program::Builtin(builtin) = &program
        && Host::own().listens(builtin)
        && reader.given("listen").is_none()
    {
        let help = format!("`builtin = \"{builtin}\"` serves: write on which listeners, like `listen = [\"web\"]`");
        reader.missing("listen", help);
    }
    let ready = ready::ready(reader, is_builtin, &listen);
    let variables = variables::variables(reader, context);
    let port = port(reader, is_builtin, &variables);
    let heartbeat = heartbeat(reader, is_builtin);
    let backoff = backoff(reader);
    let limits = limits::limits(reader);
    let (recycle, recycle_memory, recycle_requests) = recycle(reader, is_builtin, limits.memory);
    let before_start = before_start(reader, context);
    let policy = Policy {
        before_start: u32::try_from(before_start.len()).unwrap_or(u32::MAX),
        workers: context.workers(reader),
        ready: match &ready {
            Ready::Exec => Readiness::Exec,
            Ready::Notify | Ready::Fd(_) | Ready::Output(_) | Ready::Connect | Ready::Http(_) => Readiness::Reported,
        },
        ready_timeout: reader.duration("ready_timeout"),
        heartbeat: heartbeat.map(|(_, heartbeat)| heartbeat),
        restart: reader.choice("restart").unwrap_or(Restart::Always),
        unrecoverable_exit_codes: reader.exit_codes("unrecoverable_exit_codes"),
        backoff,
        start_limit: start_limit(reader, backoff),
        stop: stop::ladder(reader),
        start_delay: reader.duration("start_delay"),
        rollout: rollout(reader, port.is_some()),
        recycle,
        after: Vec::new(),
        others: Vec::new(),
    };
    let place = |key| reader.given(key).map_or(name_at, |value| value.at);
    Draft {
        places: ServicePlaces {
            program: first_word(reader, name_at),
            directory: place("directory"),
            user: place("user"),
            group: place("group"),
            port: place("port"),
            before_start: place("before_start"),
        },
        service: Service {
            name: name.to_owned(),
            program,
            listen: listen.iter().map(|(name, _)| name.clone()).collect(),
            directory: context.resolve(reader.at("directory"), reader.path("directory").unwrap_or_default()),
            env: variables.into_iter().map(|(name, (value, _))| (name, value)).collect(),
            clear_env: reader.boolean("clear_env"),
            command_pipe: reader.boolean("command_pipe") || (is_builtin && reader.given("command_pipe").is_none()),
            user: reader.account("user"),
            group: reader.account("group"),
            umask: reader.mask("umask"),
            limits,
            port,
            before_start,
            recycle_memory,
            recycle_requests,
            http: http::http(reader, is_builtin),
            log: log::style(reader, name, all),
            ready,
            heartbeat_interval: heartbeat.map(|(interval, _)| interval),
            watch: watch(reader),
            policy,
        },
        listen,
        after: reader.names("after"),
    }
}

fn first_word(reader: &Reader<'_>, name_at: Span) -> Span {
    match reader.given("command") {
        Some(Value { kind: Kind::Array(items), at }) => items.first().map_or(*at, |item| item.at),
        Some(value) => value.at,
        None => name_at,
    }
}

fn program(reader: &Reader<'_>, name_at: Span, context: &Context<'_>) -> Program {
    match (reader.given("command"), reader.given("builtin")) {
        (Some(command), Some(builtin)) => reader.report().add(
            Diagnostic::error(builtin.at, format!("{} has both `command` and `builtin`", reader.name()))
                .label("one of them too many")
                .also(command.at, "the other one"),
        ),
        (None, None) => reader.report().add(
            Diagnostic::error(name_at, format!("{} says nothing to run", reader.name()))
                .label("neither `command` nor `builtin`")
                .help("write `command = [\"program\", \"argument\"]`"),
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
    if reader.given("builtin").is_some() {
        return Program::Builtin(reader.builtin("builtin").unwrap_or_default());
    }
    let argv = reader.argv("command").unwrap_or_default();
    Program::Command(with_program(argv, reader.at("command"), context))
}

/// The command with the path of its program made absolute.
fn with_program(mut argv: Vec<String>, at: Span, context: &Context<'_>) -> Vec<String> {
    if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
        // The text was UTF-8; only the file's own directory may be another encoding.
        *program = context.resolve(at, &*program).to_string_lossy().into_owned();
    }
    argv
}

fn before_start(reader: &Reader<'_>, context: &Context<'_>) -> Vec<Vec<String>> {
    let at = reader.at("before_start");
    reader.argvs("before_start").into_iter().map(|argv| with_program(argv, at, context)).collect()
}

fn port(reader: &Reader<'_>, is_builtin: bool, variables: &Variables) -> Option<u16> {
    let port = reader.optional_integer("port")?;
    let report = reader.report();
    if is_builtin {
        report.add(
            Diagnostic::error(reader.at("port"), format!("`port` in {} is for a command", reader.name()))
                .label("a builtin worker serves its listeners"),
        );
    }
    if let Some((_, at)) = variables.get("PORT") {
        report.add(
            Diagnostic::error(*at, format!("{} sets PORT though it has `port`", reader.name()))
                .label("the same for every worker")
                .also(reader.at("port"), "different for each worker")
                .help("take one of them out"),
        );
    }
    u16::try_from(port).ok()
}

fn heartbeat(reader: &Reader<'_>, is_builtin: bool) -> Option<(Duration, Heartbeat)> {
    if reader.given("heartbeat").is_none() && !is_builtin {
        return None;
    }
    let table = reader.table_or_default("heartbeat", &keys::HEARTBEAT);
    let interval = table.duration("interval");
    let timeout = table.duration("timeout");
    let signal = table.signal("signal").unwrap_or(Signal::Kill);
    if timeout < interval.saturating_mul(2) && table.is_sound() {
        let key = if table.given("timeout").is_some() { "timeout" } else { "interval" };
        table.report().add(
            Diagnostic::error(
                table.at(key),
                format!(
                    "{} kills after {} of silence, but asks for a beat only every {}",
                    table.name(),
                    duration::format(timeout),
                    duration::format(interval)
                ),
            )
            .label("one late beat would kill a healthy worker")
            .help("`timeout` must be at least twice `interval`"),
        );
    }
    Some((interval, Heartbeat { timeout, signal }))
}

fn backoff(reader: &Reader<'_>) -> Backoff {
    let table = reader.table_or_default("backoff", &keys::BACKOFF);
    let backoff = Backoff { min: table.duration("min"), max: table.duration("max"), stable: table.duration("stable") };
    if backoff.max < backoff.min && table.is_sound() {
        let key = if table.given("max").is_some() { "max" } else { "min" };
        table.report().add(
            Diagnostic::error(
                table.at(key),
                format!(
                    "{} starts at {} but ends at {}",
                    table.name(),
                    duration::format(backoff.min),
                    duration::format(backoff.max)
                ),
            )
            .label("`max` is less than `min`"),
        );
    }
    backoff
}

fn start_limit(reader: &Reader<'_>, backoff: Backoff) -> Option<StartLimit> {
    match reader.given("start_limit") {
        Some(Value { kind: Kind::Boolean(false), .. }) => return None,
        Some(value @ Value { kind: Kind::Boolean(true), .. }) => {
            let wrong = Wrong::because(value, "found `true`; leave `start_limit` out for the default");
            reader.wrong("start_limit", wrong);
            return None;
        }
        Some(_) | None => {}
    }
    let table = reader.table_or_default("start_limit", &keys::START_LIMIT);
    let limit = StartLimit {
        count: table.integer("count"),
        within: table.duration("within"),
        then: table.choice("then").unwrap_or(GiveUp::Retry),
    };
    if limit.then == GiveUp::Retry && backoff.max.is_zero() {
        reader.report().add(
            Diagnostic::error(
                reader.at("backoff"),
                format!("{} tries a failed slot every `backoff.max`, which is zero", reader.name()),
            )
            .label("no waiting time at all")
            .help("write `start_limit = false` too, or `start_limit = { then = \"give-up\" }`"),
        );
    }
    Some(limit)
}

/// With ports of its own a worker cannot start beside the one that it replaces.
fn rollout(reader: &Reader<'_>, has_port: bool) -> Rollout {
    let table = reader.table_or_default("rollout", &keys::ROLLOUT);
    let surge = table.optional_integer("surge").unwrap_or(u32::from(!has_port));
    let unavailable = table.optional_integer("unavailable").unwrap_or(u32::from(has_port && surge == 0));
    let settle = table.duration("settle");
    let rollout = Rollout {
        surge,
        unavailable,
        settle,
        prove: table.optional_duration("prove").unwrap_or(settle),
        on_failure: table.choice("on_failure").unwrap_or(OnFailure::Stay),
        drain: table.optional_duration("drain"),
        draining: table.integer("max_draining"),
    };
    if rollout.prove < rollout.settle {
        table.report().add(
            Diagnostic::error(table.at("prove"), format!("`prove` in {} is shorter than `settle`", table.name()))
                .label("the first new worker would have proved itself before it has settled")
                .also(table.at("settle"), "every new worker has to stay ready this long")
                .help("make `prove` at least as long as `settle`, or leave it out"),
        );
    }
    if has_port && rollout.surge > 0 {
        table.report().add(
            Diagnostic::warning(table.at("surge"), format!("{} starts workers on ports in use", table.name()))
                .label("a slot's new worker finds the port that its old one still listens on")
                .also(reader.at("port"), "one port for each slot")
                .help("leave `surge` out, unless the program sets SO_REUSEPORT"),
        );
    }
    if rollout.surge == 0 && rollout.unavailable == 0 && table.is_sound() {
        table.report().add(
            Diagnostic::error(table.at("surge"), format!("{} can replace nothing", table.name()))
                .label("`surge` and `unavailable` are both 0")
                .help("allow one process more (`surge = 1`) or one slot without a worker (`unavailable = 1`)"),
        );
    }
    rollout
}

/// Patterns are relative to the service's directory: what lies elsewhere is not watched.
fn watch(reader: &Reader<'_>) -> Vec<String> {
    let patterns = reader.names("watch");
    for (pattern, at) in &patterns {
        if pattern.is_empty() || pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            reader.report().add(
                Diagnostic::error(*at, format!("`watch` of {} has a pattern that leaves its directory", reader.name()))
                    .label("names nothing below `directory`")
                    .help("write it relative to the service's `directory`, like \"app/**/*.py\""),
            );
        }
    }
    patterns.into_iter().map(|(pattern, _)| pattern).collect()
}

fn recycle(reader: &Reader<'_>, is_builtin: bool, limit: Option<u64>) -> (Recycle, Option<u64>, Option<u32>) {
    let Some(table) = reader.table("recycle", &keys::RECYCLE) else { return (Recycle::default(), None, None) };
    let recycle = Recycle { age: table.optional_duration("age"), jitter: table.share("jitter") };
    let memory = table.size("memory");
    if let Some((memory, limit)) = memory.zip(limit)
        && memory >= limit
    {
        table.report().add(
            Diagnostic::error(table.at("memory"), format!("{} replaces no worker for its memory", table.name()))
                .label(format!("the kernel kills one at {}, as `limits.memory` says", size::format(limit)))
                .help("recycle below the limit, so that a worker is replaced before it is killed"),
        );
    }
    let requests = table.optional_integer("requests");
    if requests.is_some() && !is_builtin {
        table.report().add(
            Diagnostic::error(
                table.at("requests"),
                format!("`requests` in {} counts for builtin workers only", table.name()),
            )
            .label("nobody here sees the requests of a command")
            .help("use `age` or `memory`, or the program's own limit, like gunicorn's `--max-requests`"),
        );
    }
    (recycle, memory, requests)
}
