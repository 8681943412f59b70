//! `ready`: how a worker says that it can work.

use crate::convert::{self, Wrong};
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::raw::{Kind, Value};
use crate::reader::Reader;
use crate::settings::Ready;
use crate::text::Span;

/// The first descriptor that a listener takes.
const FIRST_LISTENER: usize = 3;

/// Reads `ready` of a service that listens on `listen`.
pub(crate) fn ready(service: &Reader<'_>, is_builtin: bool, listen: &[(String, Span)]) -> Ready {
    let otherwise = if is_builtin { Ready::Notify } else { Ready::Exec };
    let Some(value) = service.given("ready") else { return otherwise };
    let wrong = match &value.kind {
        Kind::Text(word) if is_builtin && word == "notify" => return Ready::Notify,
        Kind::Text(_) | Kind::Table(_) if is_builtin => {
            Wrong::because(value, "a builtin worker says itself when it is ready")
        }
        Kind::Table(_) => {
            let Some(table) = service.table("ready", &keys::READY) else { return otherwise };
            return report(service, &table, listen).unwrap_or(otherwise);
        }
        Kind::Text(_) => match convert::word(service.report(), value, &["exec", "notify"]) {
            Ok(0) => return Ready::Exec,
            Ok(_) => return Ready::Notify,
            Err(wrong) => wrong,
        },
        Kind::Integer(number) => Wrong::found(service.report(), value).write(format!("{{ fd = {number} }}")),
        Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime | Kind::Array(_) => Wrong::found(service.report(), value),
    };
    service.wrong("ready", wrong);
    otherwise
}

/// The one way of reporting that the table names.
fn report(service: &Reader<'_>, table: &Reader<'_>, listen: &[(String, Span)]) -> Option<Ready> {
    let mut given = keys::READY.keys.iter().filter(|key| table.given(key.name).is_some()).map(|key| key.name);
    let Some(way) = given.next() else {
        // Any other key has been reported already.
        if table.is_empty() {
            table.report().add(
                Diagnostic::error(service.at("ready"), format!("{} names no way", table.name()))
                    .label("an empty table")
                    .help("write one of `fd = 5`, `output = \"ready\"`, `connect = true` and `http = \"/\"`"),
            );
        }
        return None;
    };
    if let Some(second) = given.next() {
        table.report().add(
            Diagnostic::error(table.at(second), format!("{} names more than one way", table.name()))
                .label(format!("`{second}`"))
                .also(table.at(way), format!("`{way}`"))
                .help("a worker is ready when one thing says so: keep one of them"),
        );
        return None;
    }
    match way {
        "fd" => fd(service, table, listen),
        "output" => table.pattern("output").map(Ready::Output),
        "connect" => {
            need_port(service, table, way, listen);
            table.on("connect").then_some(Ready::Connect)
        }
        _ => {
            need_port(service, table, way, listen);
            table.url_path("http").map(Ready::Http)
        }
    }
}

fn fd(service: &Reader<'_>, table: &Reader<'_>, listen: &[(String, Span)]) -> Option<Ready> {
    let number = u16::try_from(table.optional_integer("fd")?).unwrap_or(u16::MAX);
    let taken = usize::from(number).checked_sub(FIRST_LISTENER).and_then(|index| listen.get(index));
    let piped = matches!(service.given("command_pipe"), Some(Value { kind: Kind::Boolean(true), .. }));
    let pipe = FIRST_LISTENER + listen.len();
    let free = pipe + usize::from(piped);
    if piped && usize::from(number) == pipe {
        service.report().add(
            Diagnostic::error(table.at("fd"), format!("descriptor {number} in {} is given twice", service.name()))
                .label("for readiness")
                .also(service.at("command_pipe"), "for words: it is the first one after the listeners")
                .patch(table.at("fd"), free.to_string(), format!("{free} is free")),
        );
    }
    if let Some((listener, at)) = taken {
        service.report().add(
            Diagnostic::error(table.at("fd"), format!("descriptor {number} in {} is given twice", service.name()))
                .label("for readiness")
                .also(*at, format!("for the listener \"{listener}\": listeners take descriptors from 3 on"))
                .patch(table.at("fd"), free.to_string(), format!("{free} is free")),
        );
    }
    Some(Ready::Fd(number))
}

/// A connection proves something only where the worker alone can accept it.
fn need_port(service: &Reader<'_>, table: &Reader<'_>, way: &'static str, listen: &[(String, Span)]) {
    if service.given("port").is_some() {
        return;
    }
    let error = Diagnostic::error(table.at(way), format!("`{way}` in {} needs `port`", table.name()));
    let error = match listen.first() {
        None => error.label("there is no port to connect to").help(
            "write `port = 9000` beside it and let the program listen on PORT, which is 9000 for slot 1, 9001 for \
             slot 2 and so on",
        ),
        Some((listener, at)) => error
            .label("on a shared listener it would prove nothing")
            .also(*at, format!("all workers share the listener \"{listener}\""))
            .help(
                "a shared listener takes connections before any worker is there, and any worker may answer: use \
                 \"notify\", `fd` or `output`, or give each worker its own address by `port`",
            ),
    };
    table.report().add(error);
}
