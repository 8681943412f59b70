//! `http = { … }` of a service: limits and deadlines of our own workers.

use evercrew_core::access::Format;
use serde_json::{Value as Json, json};

use crate::diagnostic::Diagnostic;
use crate::duration;
use crate::key::{Section, Shape};
use crate::keys::{TIME_ABOVE_ZERO, key, open};
use crate::reader::Reader;
use crate::settings::Http;
use crate::size;

/// `http = { … }`.
pub(crate) static HTTP: Section = Section {
    title: "http",
    doc: "What a connection of a builtin worker may take, and for how long. Over a limit the client is told by the status \
          that is meant for it, and its connection is closed.",
    keys: &[
        open("head_size", Shape::Size, "\"32KiB\"", "bytes of request line and headers; over it 431"),
        open("target_size", Shape::Size, "\"8KiB\"", "bytes of the request line; over it 414"),
        open("header_count", Shape::Integer { min: 1, max: 10_000 }, "100", "headers of a request; over it 431"),
        open("body_size", Shape::Size, "\"64MiB\"", "bytes of a request's body; over it 413"),
        open("head_time", TIME_ABOVE_ZERO, "\"15s\"", "from the first byte of a head to its last; over it 408"),
        open("idle", TIME_ABOVE_ZERO, "\"75s\"", "how long a connection may be silent between requests"),
        open(
            "body_rate",
            Shape::Integer { min: 0, max: u32::MAX },
            "240",
            "bytes a second that a body reaches on average while it is waited for; under it 408; 0 asks for nothing",
        ),
        open(
            "body_grace",
            TIME_ABOVE_ZERO,
            "\"5s\"",
            "how long a body is waited for before `body_rate` is asked of it",
        ),
        open(
            "write_stall",
            TIME_ABOVE_ZERO,
            "\"30s\"",
            "how long a client may take nothing of its answer; then it is reset",
        ),
        open(
            "requests",
            Shape::Integer { min: 0, max: u32::MAX },
            "1000",
            "requests on one connection; the last answer says `Connection: close`; 0 sets no limit",
        ),
        open(
            "connections",
            Shape::Integer { min: 1, max: 1_000_000 },
            "10000",
            "connections of a worker; at the limit it takes none, and a sibling or the queue has the next one",
        ),
        open(
            "per_address",
            Shape::Integer { min: 0, max: 1_000_000 },
            "0",
            "connections of one client address to a worker; over it 503; 0 sets no limit, as is right behind a proxy",
        ),
        open(
            "health_paths",
            Shape::Names("paths"),
            "[\"/healthz\"]",
            "paths that are in no access log and are not counted by `recycle.requests`",
        ),
        open(
            "access_log",
            Shape::Text,
            "\"off\"",
            "how requests are written to standard output: `off`, `json`, `combined`, or a text with fields such as \
             `{client} {method} {target} {status} {bytes} {ms}`; never waits for whoever reads it, and counts what is dropped",
        ),
        key(
            "request_id",
            Shape::Boolean,
            "false",
            "whether each request has an `x-request-id`: the client's where it has a good one, else a new one",
        ),
    ],
};

/// Reads the table.
pub(crate) fn http(reader: &Reader<'_>, is_builtin: bool) -> Http {
    let Some(table) = reader.table("http", &HTTP) else { return Http::default() };
    if !is_builtin {
        table.report().add(
            Diagnostic::error(reader.at("http"), format!("`http` in {} is for builtin workers only", reader.name()))
                .label("a command speaks HTTP by its own rules")
                .help("set the limits of the program that `command` names"),
        );
    }
    let access_log = table.text("access_log");
    if let Some(Err(error)) = access_log.as_deref().map(str::parse::<Format>) {
        table.report().add(
            Diagnostic::error(table.at("access_log"), format!("`access_log` in {} is no format", table.name()))
                .label(error.to_string()),
        );
    }
    Http {
        head_size: table.size("head_size"),
        target_size: table.size("target_size"),
        header_count: table.optional_integer("header_count"),
        body_size: table.size("body_size"),
        head_time: table.optional_duration("head_time"),
        idle: table.optional_duration("idle"),
        body_rate: table.optional_integer("body_rate"),
        body_grace: table.optional_duration("body_grace"),
        write_stall: table.optional_duration("write_stall"),
        requests: table.optional_integer("requests"),
        connections: table.optional_integer("connections"),
        per_address: table.optional_integer("per_address"),
        health_paths: table
            .given("health_paths")
            .is_some()
            .then(|| table.names("health_paths").into_iter().map(|(path, _)| path).collect()),
        access_log,
        request_id: table.given("request_id").is_some().then(|| table.boolean("request_id")),
    }
}

/// What is set, key by key.
pub(crate) fn effective(http: &Http) -> Vec<(&'static str, Option<Json>)> {
    let Http {
        head_size,
        target_size,
        header_count,
        body_size,
        head_time,
        idle,
        body_rate,
        body_grace,
        write_stall,
        requests,
        connections,
        per_address,
        health_paths,
        access_log,
        request_id,
    } = http;
    let size = |bytes: &Option<u64>| bytes.map(|bytes| json!(size::format(bytes)));
    let time = |span: &Option<std::time::Duration>| span.map(|span| json!(duration::format(span)));
    let number = |number: &Option<u32>| number.map(|number| json!(number));
    vec![
        ("head_size", size(head_size)),
        ("target_size", size(target_size)),
        ("header_count", number(header_count)),
        ("body_size", size(body_size)),
        ("head_time", time(head_time)),
        ("idle", time(idle)),
        ("body_rate", number(body_rate)),
        ("body_grace", time(body_grace)),
        ("write_stall", time(write_stall)),
        ("requests", number(requests)),
        ("connections", number(connections)),
        ("per_address", number(per_address)),
        ("health_paths", health_paths.as_ref().map(|paths| json!(paths))),
        ("access_log", access_log.as_ref().map(|format| json!(format))),
        ("request_id", request_id.map(|is_on| json!(is_on))),
    ]
}
