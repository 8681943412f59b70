//! `[service.NAME]`: everything but what concerns several services.

use std::collections::BTreeMap;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::fleet::{Backoff, GiveUp, Heartbeat, Policy, Readiness, Recycle, Restart, Rollout, StartLimit};

use crate::context::Context;
use crate::convert::{self, Wrong};
use crate::diagnostic::Diagnostic;
use crate::duration;
use crate::keys;
use crate::places::ServicePlaces;
use crate::raw::{Kind, Value};
use crate::reader::Reader;
use crate::settings::{Builtin, Limits, Program, Ready, Service};
use crate::stop;
use crate::text::Span;

/// The first descriptor that a listener takes.
const FIRST_LISTENER: usize = 3;

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
pub(crate) fn service(reader: &Reader<'_>, name: &str, name_at: Span, context: &Context<'_>) -> Draft {
    let program = program(reader, name_at, context);
    let listen = reader.names("listen");
    let is_builtin = matches!(program, Program::Builtin(_));
    if is_builtin && reader.given("listen").is_none() {
        reader.missing("listen", "`builtin = \"hello\"` serves HTTP: write which listeners, like `listen = [\"web\"]`");
    }
    let ready = ready(reader, is_builtin, &listen);
    let heartbeat = heartbeat(reader, is_builtin);
    let backoff = backoff(reader);
    let policy = Policy {
        workers: context.workers(reader),
        ready: match ready {
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
        rollout: rollout(reader),
        recycle: recycle(reader),
        after: Vec::new(),
    };
    let place = |key| reader.given(key).map_or(name_at, |value| value.at);
    Draft {
        places: ServicePlaces { program: first_word(reader, name_at), directory: place("directory") },
        service: Service {
            name: name.to_owned(),
            program,
            listen: listen.iter().map(|(name, _)| name.clone()).collect(),
            directory: context.base.resolve(reader.path("directory").unwrap_or_default()),
            env: variables(reader),
            clear_env: reader.boolean("clear_env"),
            user: None,
            group: None,
            umask: None,
            limits: Limits::default(),
            port: None,
            before_start: Vec::new(),
            recycle_memory: None,
            ready,
            heartbeat_interval: heartbeat.map(|(interval, _)| interval),
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
        return Program::Builtin(reader.choice("builtin").unwrap_or(Builtin::Hello));
    }
    let mut argv = reader.argv("command").unwrap_or_default();
    if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
        // The text was UTF-8; only the file's own directory may be another encoding.
        *program = context.base.resolve(&*program).to_string_lossy().into_owned();
    }
    Program::Command(argv)
}

fn ready(reader: &Reader<'_>, is_builtin: bool, listen: &[(String, Span)]) -> Ready {
    let value = match reader.given("ready") {
        None if is_builtin => return Ready::Notify,
        None => return Ready::Exec,
        Some(value) => value,
    };
    match &value.kind {
        Kind::Table(_) => fd(reader, listen),
        Kind::Text(_) => match convert::word(reader.report(), value, &["exec", "notify"]) {
            Ok(0) if is_builtin => {
                reader.wrong("ready", Wrong::because(value, "a builtin worker says itself when it is ready"));
                Ready::Notify
            }
            Ok(0) => Ready::Exec,
            Ok(_) => Ready::Notify,
            Err(wrong) => {
                reader.wrong("ready", wrong);
                Ready::Exec
            }
        },
        Kind::Integer(number) => {
            reader.wrong("ready", Wrong::found(reader.report(), value).write(format!("{{ fd = {number} }}")));
            Ready::Exec
        }
        Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime | Kind::Array(_) => {
            reader.wrong("ready", Wrong::found(reader.report(), value));
            Ready::Exec
        }
    }
}

fn fd(reader: &Reader<'_>, listen: &[(String, Span)]) -> Ready {
    let Some(table) = reader.table("ready", &keys::READY) else { return Ready::Exec };
    if table.given("fd").is_none() {
        // Any other key has been reported already.
        if table.is_empty() {
            table.missing("fd", "write which descriptor, like `ready = { fd = 5 }`");
        }
        return Ready::Exec;
    }
    let number = u16::try_from(table.integer("fd")).unwrap_or(u16::MAX);
    let taken = usize::from(number).checked_sub(FIRST_LISTENER).and_then(|index| listen.get(index));
    if let Some((listener, at)) = taken {
        let free = FIRST_LISTENER + listen.len();
        reader.report().add(
            Diagnostic::error(table.at("fd"), format!("descriptor {number} in {} is given twice", reader.name()))
                .label("for readiness")
                .also(*at, format!("for the listener \"{listener}\": listeners take descriptors from 3 on"))
                .patch(table.at("fd"), free.to_string(), format!("{free} is free")),
        );
    }
    Ready::Fd(number)
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

fn rollout(reader: &Reader<'_>) -> Rollout {
    let table = reader.table_or_default("rollout", &keys::ROLLOUT);
    let rollout = Rollout {
        surge: table.integer("surge"),
        unavailable: table.integer("unavailable"),
        settle: table.duration("settle"),
    };
    if rollout.surge == 0 && rollout.unavailable == 0 && table.is_sound() {
        table.report().add(
            Diagnostic::error(table.at("surge"), format!("{} can replace nothing", table.name()))
                .label("`surge` and `unavailable` are both 0")
                .help("allow one process more (`surge = 1`) or one slot without a worker (`unavailable = 1`)"),
        );
    }
    rollout
}

fn recycle(reader: &Reader<'_>) -> Recycle {
    let Some(table) = reader.table("recycle", &keys::RECYCLE) else { return Recycle::default() };
    Recycle { age: table.optional_duration("age"), jitter: table.share("jitter") }
}

fn variables(reader: &Reader<'_>) -> BTreeMap<String, String> {
    let report = reader.report();
    let mut variables = BTreeMap::new();
    for entry in reader.entries("env") {
        let name = crate::diagnostic::shorten(&entry.key);
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            report.add(
                Diagnostic::error(entry.key_at, format!("`env` in {} has a variable `{name}`", reader.name()))
                    .label("a variable's name is not empty and has no `=`"),
            );
        } else if is_ours(&entry.key) {
            report.add(
                Diagnostic::error(entry.key_at, format!("`env` in {} sets `{name}`", reader.name()))
                    .label("the engine sets this variable itself, for each worker"),
            );
        }
        match convert::text(report, &entry.value) {
            Ok(value) => {
                variables.insert(entry.key.clone(), value);
            }
            Err(wrong) => reader.wrong("env", wrong),
        }
    }
    variables
}

fn is_ours(variable: &str) -> bool {
    const EXACT: [&str; 9] = [
        "EVERCREW_COMMAND_FD",
        "EVERCREW_GENERATION",
        "EVERCREW_INSTANCE",
        "EVERCREW_ROLE",
        "EVERCREW_SERVICE",
        "EVERCREW_SLOT",
        "EVERCREW_WORKER",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
    ];
    EXACT.contains(&variable) || variable.starts_with("LISTEN_FD") || variable.starts_with("WATCHDOG_")
}
