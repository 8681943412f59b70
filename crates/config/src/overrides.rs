//! Values from the environment and the command line, put over those of the file.

use toml::de::DeValue;

use crate::diagnostic::{Diagnostic, Report, shorten};
use crate::raw::{Entry, Kind, Table, Value};
use crate::text::{Origin, Span, Text};

/// Prefix of the variables that are overrides.
pub(crate) const PREFIX: &str = "EVERCREW__";

/// Most names in a key; nothing in the configuration is deeper.
const MOST_NAMES: usize = 8;

/// Applies the text numbered `index`: `EVERCREW__SERVICE__WEB__WORKERS=2` or `service.web.workers=2`.
pub(crate) fn apply(report: &Report, index: usize, text: &Text, root: &mut Table) {
    let Some(key_end) = text.body.find('=') else {
        let whole = Span::new(index, 0..text.body.len());
        let shown = shorten(&text.body);
        return report.add(
            Diagnostic::error(whole, format!("--set expects key=value, like service.web.workers=2, not `{shown}`"))
                .label("there is no `=`"),
        );
    };
    let names = names(text, index, key_end);
    let key_at = Span::new(index, 0..key_end);
    if names.iter().any(|(name, _)| name.is_empty()) || names.len() > MOST_NAMES {
        return report.add(
            Diagnostic::error(key_at, format!("`{}` names no key", shorten(&text.body[..key_end])))
                .label("expected names like service.web.workers"),
        );
    }
    if let Some((name, at)) = names.first().filter(|(name, _)| name == "include") {
        return report.add(
            Diagnostic::error(*at, format!("`{name}` cannot be set from outside"))
                .label("only the file itself says which files belong to it"),
        );
    }
    let Some(value) = value(report, index, text, key_end + 1) else { return };
    put(report, text.origin, root, &names, value);
}

/// The names of the key, each with its place.
fn names(text: &Text, index: usize, key_end: usize) -> Vec<(String, Span)> {
    let key = &text.body[..key_end];
    let (start, separator) = match text.origin {
        Origin::Environment => (PREFIX.len().min(key_end), "__"),
        Origin::CommandLine | Origin::File | Origin::Program => (0, "."),
    };
    let mut at = start;
    let mut names = Vec::new();
    for part in key.get(start..).unwrap_or_default().split(separator) {
        let span = Span::new(index, at..at + part.len());
        at += part.len() + separator.len();
        let name = match text.origin {
            Origin::Environment if is_variable(&names) => part.to_owned(),
            Origin::Environment => part.to_ascii_lowercase(),
            Origin::CommandLine | Origin::File | Origin::Program => part.trim().to_owned(),
        };
        names.push((name, span));
    }
    names
}

/// Whether the next name is one of a service's own variables, whose case counts.
fn is_variable(before: &[(String, Span)]) -> bool {
    matches!(before, [(first, _), _, (third, _)] if first == "service" && third == "env")
}

/// The value: TOML, or a string whose quotes were left out.
fn value(report: &Report, index: usize, text: &Text, start: usize) -> Option<Value> {
    let written = text.body.get(start..).unwrap_or_default();
    match DeValue::parse(written) {
        Ok(parsed) => {
            let mut value = Value::from_toml(index, &parsed);
            shift(&mut value, start);
            Some(value)
        }
        Err(error) if written.trim_start().starts_with(['[', '{', '"', '\'']) => {
            let span = error.span().unwrap_or(0..written.len());
            report.add(
                Diagnostic::error(
                    Span::new(index, start + span.start..start + span.end),
                    format!("`{}` has a value that is not TOML", shorten(&text.body[..start - 1])),
                )
                .label(error.message()),
            );
            None
        }
        Err(_) => Some(Value { kind: Kind::Text(written.to_owned()), at: Span::new(index, start..text.body.len()) }),
    }
}

/// Moves every place of a value that was parsed from the middle of its text.
fn shift(value: &mut Value, by: usize) {
    let moved = |span: &mut Span| {
        span.start += by;
        span.end += by;
    };
    moved(&mut value.at);
    match &mut value.kind {
        Kind::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Kind::Table(table) => {
            for entry in &mut table.entries {
                moved(&mut entry.key_at);
                shift(&mut entry.value, by);
            }
        }
        Kind::Text(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime => {}
    }
}

/// Puts the value in its place; tables on the way are made where there are none.
fn put(report: &Report, origin: Origin, root: &mut Table, names: &[(String, Span)], value: Value) {
    let Some(((name, at), rest)) = names.split_first() else { return };
    let position = position(root, name, origin).unwrap_or_else(|| {
        let table = Value { kind: Kind::Table(Table::default()), at: *at };
        root.entries.push(Entry { key: name.clone(), key_at: *at, value: table });
        root.entries.len() - 1
    });
    let Some(entry) = root.entries.get_mut(position) else { return };
    if rest.is_empty() {
        entry.key_at = *at;
        entry.value = value;
        return;
    }
    match &mut entry.value.kind {
        Kind::Table(table) => put(report, origin, table, rest, value),
        kind => report.add(
            Diagnostic::error(rest[0].1, format!("`{}` is set in `{name}`, which is no table", rest[0].0))
                .label(format!("`{name}` is the {} `{}`", kind.name(), report.quote(entry.value.at)))
                .help(format!("set all of `{name}` instead")),
        ),
    }
}

/// The entry that is meant. A variable's name has no `-`: `WEB_API` means `web-api` where there is no `web_api`.
fn position(table: &Table, name: &str, origin: Origin) -> Option<usize> {
    let exact = table.entries.iter().position(|entry| entry.key == name);
    let loose = || table.entries.iter().position(|entry| entry.key.replace('-', "_") == name);
    exact.or_else(|| if origin == Origin::Environment { loose() } else { None })
}
