//! Reads one table key by key, driven by the table of keys; every error goes to the report and reading goes on.

use std::cell::Cell;
use std::time::Duration;

use evercrew_core::Signal;
use toml::de::DeValue;

use crate::choice::Choice;
use crate::convert::{self, Wrong};
use crate::diagnostic::{Diagnostic, Report};
use crate::host::Host;
use crate::key::{Absent, Key, Section, Shape};
use crate::nearest::nearest;
use crate::raw::{Entry, Kind, Table, Value};
use crate::sections::SECTIONS;
use crate::text::Span;

/// One table while it is read.
pub(crate) struct Reader<'a> {
    report: &'a Report,
    section: &'static Section,
    table: &'a Table,
    /// The table's header or key, for what has no place of its own.
    at: Span,
    /// How messages call it: `[service.web]`, `stop` of `[service.web]`.
    name: String,
    /// No value of it was found wrong.
    sound: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// Opens a table and reports keys that it must not have.
    pub(crate) fn open(
        report: &'a Report,
        section: &'static Section,
        table: &'a Table,
        at: Span,
        name: impl Into<String>,
    ) -> Self {
        let reader = Self { report, section, table, at, name: name.into(), sound: Cell::new(true) };
        for entry in &table.entries {
            match section.key(&entry.key) {
                Some(key) if key.is_supported() => {}
                Some(_) => report.add(
                    Diagnostic::error(
                        entry.key_at,
                        format!("`{}` in {} is not supported by this version", entry.key, reader.name),
                    )
                    .label("not supported by this version"),
                ),
                None => reader.unknown(entry),
            }
        }
        reader
    }

    fn unknown(&self, entry: &Entry) {
        let shown = crate::diagnostic::shorten(&entry.key);
        let error = Diagnostic::error(entry.key_at, format!("unknown key `{shown}` in {}", self.name));
        if self.report.is_full() {
            return self.report.add(error);
        }
        let known = self.section.keys.iter().filter(|key| key.is_supported()).map(|key| key.name);
        let elsewhere = || SECTIONS.iter().find(|section| section.key(&entry.key).is_some_and(Key::is_supported));
        let error = if let Some(near) = nearest(&entry.key, known.clone()) {
            error.label("unknown key").patch(entry.key_at, near, format!("there is a key `{near}`"))
        } else if let Some(section) = elsewhere() {
            error.label("unknown here").help(format!("`{shown}` is a key of {}", section.title))
        } else {
            error.label("unknown key").help(format!("known keys: {}", known.collect::<Vec<_>>().join(", ")))
        };
        self.report.add(error);
    }

    /// The report that errors go to.
    pub(crate) fn report(&self) -> &'a Report {
        self.report
    }

    /// How messages call this table.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value that was given for `key`.
    pub(crate) fn given(&self, key: &str) -> Option<&'a Value> {
        self.table.entry(key).map(|entry| &entry.value)
    }

    /// Whether the table has no key at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Where `key`'s value stands, or the table itself.
    pub(crate) fn at(&self, key: &str) -> Span {
        self.given(key).map_or(self.at, |value| value.at)
    }

    /// The given value read by `convert`, else the default; nothing when there is no default or even that is wrong.
    fn read<T>(&self, key: &'static str, convert: impl Fn(&Value) -> Result<T, Wrong>) -> Option<T> {
        if let Some(value) = self.given(key) {
            match convert(value) {
                Ok(read) => return Some(read),
                Err(wrong) => self.wrong(key, wrong),
            }
        }
        let Absent::Means(default) = self.key(key)?.default else { return None };
        let parsed = DeValue::parse(default).ok()?;
        convert(&Value::from_toml(usize::MAX, &parsed)).ok()
    }

    fn key(&self, name: &'static str) -> Option<&'static Key> {
        let key = self.section.key(name);
        debug_assert!(key.is_some(), "`{name}` is missing in the table of keys");
        key
    }

    /// Whether every value read so far was right: what is wrong alone is not compared with others.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound.get()
    }

    /// What the table of keys says of `key`'s value.
    pub(crate) fn shape(&self, key: &'static str) -> Option<&'static Shape> {
        self.key(key).map(|key| &key.shape)
    }

    /// Reports that `key`'s value is wrong.
    pub(crate) fn wrong(&self, key: &'static str, wrong: Wrong) {
        self.sound.set(false);
        let expects = self.key(key).map_or_else(String::new, |key| key.shape.expects());
        let mut error =
            Diagnostic::error(wrong.at, format!("`{key}` in {} expects {expects}", self.name)).label(wrong.found);
        if let Some(help) = wrong.help {
            error = match wrong.instead {
                Some(instead) => error.patch(wrong.at, instead, help),
                None => error.help(help),
            };
        }
        self.report.add(error);
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&self, key: &'static str, help: impl Into<String>) {
        self.report.add(
            Diagnostic::error(self.at, format!("{} has no `{key}`", self.name))
                .label(format!("`{key}` is missing"))
                .help(help),
        );
    }

    /// A string that is not empty.
    pub(crate) fn path(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| match convert::text(self.report, value)? {
            path if path.is_empty() => Err(Wrong::because(value, "found an empty path")),
            path => Ok(path),
        })
    }

    /// A string.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| convert::text(self.report, value))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, key: &'static str) -> bool {
        self.read(key, |value| convert::boolean(self.report, value)).unwrap_or_default()
    }

    /// A whole number within the bounds of the table of keys; zero after an error without default.
    pub(crate) fn integer(&self, key: &'static str) -> u32 {
        let (min, max) = self.key(key).map_or((0, u32::MAX), |key| key.shape.bounds());
        self.read(key, |value| convert::integer(self.report, value, min, max)).unwrap_or_default()
    }

    /// A whole number without a default.
    pub(crate) fn optional_integer(&self, key: &'static str) -> Option<u32> {
        let (min, max) = self.key(key).map_or((0, u32::MAX), |key| key.shape.bounds());
        self.read(key, |value| convert::integer(self.report, value, min, max))
    }

    /// A whole number that may be below zero.
    pub(crate) fn signed(&self, key: &'static str) -> Option<i32> {
        let Shape::Signed { min, max } = self.key(key)?.shape else { return None };
        self.read(key, |value| convert::signed(self.report, value, min, max))
    }

    /// A number of processors, in thousandths of one.
    pub(crate) fn cpus(&self, key: &'static str) -> Option<u32> {
        self.read(key, |value| convert::cpus(self.report, value))
    }

    /// A number of bytes.
    pub(crate) fn size(&self, key: &'static str) -> Option<u64> {
        self.read(key, |value| convert::size(self.report, value))
    }

    /// Permission bits.
    pub(crate) fn mask(&self, key: &'static str) -> Option<u32> {
        self.read(key, |value| convert::mask(self.report, value))
    }

    /// A user or a group.
    pub(crate) fn account(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| convert::account(self.report, value))
    }

    /// A regular expression.
    pub(crate) fn pattern(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| convert::pattern(self.report, value))
    }

    /// The path of a URL.
    pub(crate) fn url_path(&self, key: &'static str) -> Option<String> {
        self.read(key, |value| convert::url_path(self.report, value))
    }

    /// Whether the key is `true`; `false` is refused.
    pub(crate) fn on(&self, key: &'static str) -> bool {
        let read = self.read(key, |value| match convert::boolean(self.report, value)? {
            true => Ok(true),
            false => Err(Wrong::because(value, "found `false`; leave it out instead")),
        });
        read.unwrap_or_default()
    }

    /// Several programs, each with its arguments.
    pub(crate) fn argvs(&self, key: &'static str) -> Vec<Vec<String>> {
        self.read(key, |value| convert::argvs(self.report, value)).unwrap_or_default()
    }

    /// A number from 0 to 1.
    pub(crate) fn share(&self, key: &'static str) -> f64 {
        self.read(key, |value| convert::share(self.report, value)).unwrap_or_default()
    }

    /// A span of time that may be absent or, where the key allows it, for ever.
    fn time(&self, key: &'static str) -> Option<Option<Duration>> {
        let Shape::Duration { zero, forever } = self.key(key)?.shape else { return None };
        self.read(key, |value| convert::duration(self.report, value, zero, forever))
    }

    /// A span of time with a default.
    pub(crate) fn duration(&self, key: &'static str) -> Duration {
        self.time(key).flatten().unwrap_or_default()
    }

    /// A span of time without a default.
    pub(crate) fn optional_duration(&self, key: &'static str) -> Option<Duration> {
        self.time(key).flatten()
    }

    /// A span of time with a default; `None` is for ever.
    pub(crate) fn duration_or_forever(&self, key: &'static str) -> Option<Duration> {
        self.time(key).unwrap_or(Some(Duration::ZERO))
    }

    /// A signal.
    pub(crate) fn signal(&self, key: &'static str) -> Option<Signal> {
        self.read(key, |value| convert::signal(self.report, value))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Choice>(&self, key: &'static str) -> Option<T> {
        let position = self.read(key, |value| convert::word(self.report, value, T::NAMES))?;
        T::VALUES.get(position).copied()
    }

    /// The name of a worker that is part of the program.
    pub(crate) fn builtin(&self, key: &'static str) -> Option<String> {
        let host = Host::own();
        let names = host.names();
        let position = self.read(key, |value| convert::word(self.report, value, &names))?;
        names.get(position).map(|name| (*name).to_owned())
    }

    /// A program and its arguments.
    pub(crate) fn argv(&self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, |value| convert::argv(self.report, value))
    }

    /// An array of different names, each with its place.
    pub(crate) fn names(&self, key: &'static str) -> Vec<(String, Span)> {
        let read = self.read(key, |value| {
            let items = convert::items(self.report, value)?.iter();
            items.map(|item| Ok((convert::text(self.report, item)?, item.at))).collect::<Result<Vec<_>, Wrong>>()
        });
        let mut names: Vec<(String, Span)> = Vec::new();
        for (name, at) in read.unwrap_or_default() {
            match names.iter().find(|(earlier, _)| *earlier == name) {
                None => names.push((name, at)),
                Some((_, first)) => self.report.add(
                    Diagnostic::error(at, format!("`{key}` in {} names \"{name}\" twice", self.name))
                        .label("second time")
                        .also(*first, "first time"),
                ),
            }
        }
        names
    }

    /// An array of exit codes.
    pub(crate) fn exit_codes(&self, key: &'static str) -> Vec<u8> {
        let read = self.read(key, |value| {
            let items = convert::items(self.report, value)?.iter();
            let code = |item| convert::integer(self.report, item, 0, 255);
            items.map(|item| code(item).map(|code| u8::try_from(code).unwrap_or(u8::MAX))).collect()
        });
        read.unwrap_or_default()
    }

    /// The entries of a table whose keys are free; anything else than a table is reported.
    pub(crate) fn entries(&self, key: &'static str) -> &'a [Entry] {
        if let Some(value) = self.given(key).filter(|value| value.as_table().is_none()) {
            self.wrong(key, Wrong::found(self.report, value));
        }
        self.table_entries(key)
    }

    /// The entries of a table whose keys are free, if it is one.
    pub(crate) fn table_entries(&self, key: &str) -> &'a [Entry] {
        self.given(key).and_then(Value::as_table).map_or(&[], |table| &table.entries)
    }

    /// A table with fixed keys, if one is given; anything else is reported.
    pub(crate) fn table(&self, key: &'static str, section: &'static Section) -> Option<Reader<'a>> {
        let value = self.given(key)?;
        match &value.kind {
            Kind::Table(table) => Some(self.nested(key, section, table, value.at)),
            _ => {
                self.wrong(key, Wrong::found(self.report, value));
                None
            }
        }
    }

    /// A table with fixed keys; an empty one where none is given or it is none.
    pub(crate) fn table_or_default(&self, key: &'static str, section: &'static Section) -> Reader<'a> {
        static EMPTY: Table = Table { entries: Vec::new() };
        self.table(key, section).unwrap_or_else(|| self.nested(key, section, &EMPTY, self.at))
    }

    /// A table inside this one.
    pub(crate) fn nested(&self, key: &str, section: &'static Section, table: &'a Table, at: Span) -> Reader<'a> {
        let name =
            if section.title.starts_with('[') { section.title.to_owned() } else { format!("`{key}` of {}", self.name) };
        Reader::open(self.report, section, table, at, name)
    }
}

impl Shape {
    /// The bounds of the whole number that this shape is or has among others.
    fn bounds(&self) -> (u32, u32) {
        match self {
            Self::Integer { min, max } => (*min, *max),
            Self::Either(shapes) => shapes.first().map_or((0, u32::MAX), Self::bounds),
            _ => (0, u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_read_without_a_finding() {
        for section in SECTIONS {
            for key in section.keys {
                let Absent::Means(default) = key.default else { continue };
                let parsed = DeValue::parse(default).unwrap_or_else(|e| panic!("{}: {e}", key.name));
                let report = Report::new(Vec::new());
                let table = Table {
                    entries: vec![Entry {
                        key: key.name.to_owned(),
                        key_at: Span::new(0, 0..0),
                        value: Value::from_toml(0, &parsed),
                    }],
                };
                let reader = Reader::open(&report, section, &table, Span::new(0, 0..0), section.title);
                read_by_shape(&reader, key);
                let findings = report.finish();
                assert!(findings.is_ok_and(|warnings| warnings.is_empty()), "{} in {}", key.name, section.title);
            }
        }
    }

    fn read_by_shape(reader: &Reader<'_>, key: &'static Key) {
        let read = match &key.shape {
            Shape::Path => reader.path(key.name).is_some(),
            Shape::Boolean => reader.given(key.name).is_some_and(|v| convert::boolean(reader.report, v).is_ok()),
            Shape::Integer { min, max } => (*min..=*max).contains(&reader.integer(key.name)),
            Shape::Share => (0.0..=1.0).contains(&reader.share(key.name)),
            Shape::Duration { .. } => reader.time(key.name).is_some(),
            Shape::Size => reader.size(key.name).is_some(),
            Shape::Signal => reader.signal(key.name).is_some(),
            Shape::Choice(words) => {
                reader.given(key.name).is_some_and(|value| convert::word(reader.report, value, words).is_ok())
            }
            Shape::Builtin => reader.builtin(key.name).is_some(),
            Shape::Names(_) => reader.names(key.name).is_empty(),
            Shape::ExitCodes => reader.exit_codes(key.name).is_empty(),
            Shape::Variables => reader.entries(key.name).is_empty(),
            Shape::Table(section) => reader.table(key.name, section).is_some(),
            Shape::Either(_) => matches!(reader.given(key.name), Some(Value { kind: Kind::Table(_), .. })),
            Shape::Argvs => reader.argvs(key.name).is_empty(),
            Shape::Off
            | Shape::On
            | Shape::Signed { .. }
            | Shape::Cpus
            | Shape::Limit { .. }
            | Shape::Amount { .. }
            | Shape::Mask
            | Shape::Account
            | Shape::Pattern
            | Shape::UrlPath
            | Shape::Globs
            | Shape::Address
            | Shape::Argv
            | Shape::Text
            | Shape::Store
            | Shape::Tables(_)
            | Shape::Named(_)
            | Shape::Later => false,
        };
        assert!(read, "the default of {} is not of its shape", key.name);
    }
}
