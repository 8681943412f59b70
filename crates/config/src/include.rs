//! `include`: tables of further files, put beside those of the main one.

use std::path::{Path, PathBuf};

use crate::base::Base;
use crate::convert::{self, Wrong};
use crate::diagnostic::{Diagnostic, Report};
use crate::glob::Glob;
use crate::key::Section;
use crate::keys;
use crate::raw::{Entry, Kind, Table, Value};
use crate::reader::Reader;
use crate::source::explain_unread;
use crate::text::Span;

/// The tables that an included file may have.
const ALLOWED: [&str; 2] = ["listen", "service"];

/// What `include` of the main file's table means, each with its place. What is no pattern is reported.
pub(crate) fn patterns(report: &Report, root: &Table, base: &Base) -> Vec<(Glob, Span)> {
    // Only this key: what is wrong with the others is told when they are read.
    let own = Table { entries: root.entry("include").into_iter().cloned().collect() };
    let reader = Reader::open(report, &keys::FILE, &own, Span::new(0, 0..0), "the file");
    let Some(value) = reader.given("include") else { return Vec::new() };
    let items = match convert::items(report, value) {
        Ok(items) => items,
        Err(wrong) => {
            reader.wrong("include", wrong);
            return Vec::new();
        }
    };
    let mut patterns = Vec::new();
    for item in items {
        let pattern = convert::text(report, item).and_then(|path| {
            let path = if path.is_empty() { Err("found an empty path") } else { Ok(base.resolve(path)) };
            path.and_then(|path| Glob::new(&path)).map_err(|why| Wrong::because(item, why))
        });
        match pattern {
            Ok(pattern) => patterns.push((pattern, item.at)),
            Err(wrong) => reader.wrong("include", wrong),
        }
    }
    patterns
}

/// Reports patterns that name one file which was not read. `main` is the main file.
pub(crate) fn check_all_read(report: &Report, patterns: &[(Glob, Span)], files: &[(PathBuf, String)], main: &Path) {
    for (pattern, at) in patterns {
        let Some(path) = pattern.literal() else { continue };
        if path == main {
            report.add(Diagnostic::error(*at, "the file includes itself").label("this is the file itself"));
        } else if !files.iter().any(|(file, _)| *file == path) {
            let error = Diagnostic::error(*at, "an included file cannot be read").label(explain_unread(&path));
            report.add(error.help("a pattern like \"conf.d/*.toml\" may match nothing"));
        }
    }
}

/// Puts the tables of an included file into those of the main one.
pub(crate) fn merge(report: &Report, root: &mut Table, included: Table) {
    for entry in included.entries {
        match entry.key.as_str() {
            "engine" => report.add(
                Diagnostic::error(entry.key_at, "an included file has a table [engine]")
                    .label("it belongs to the main file")
                    .help("`status` and the other commands find the engine by the main file alone"),
            ),
            "include" => report.add(
                Diagnostic::error(entry.key_at, "an included file includes others")
                    .label("only the main file can do that")
                    .help("name these files in the main file's `include` too"),
            ),
            key if ALLOWED.contains(&key) => merge_named(report, root, entry),
            // Told as unknown when the file is read.
            _ => root.entries.push(entry),
        }
    }
}

fn merge_named(report: &Report, root: &mut Table, included: Entry) {
    let Kind::Table(tables) = included.value.kind else {
        let section: &'static Section = &keys::FILE;
        let name = section.keys.iter().map(|key| key.name).find(|name| *name == included.key).unwrap_or("service");
        let only = Table::default();
        let reader = Reader::open(report, section, &only, included.key_at, "an included file");
        return reader.wrong(name, Wrong::found(report, &included.value));
    };
    let Some(entry) = root.entries.iter_mut().find(|entry| entry.key == included.key) else {
        let value = Value { kind: Kind::Table(tables), at: included.value.at };
        return root.entries.push(Entry { value, ..included });
    };
    // Anything else than a table is told when the main file is read.
    let Kind::Table(known) = &mut entry.value.kind else { return };
    for table in tables.entries {
        match known.entry(&table.key) {
            Some(first) => report.add(
                Diagnostic::error(table.key_at, format!("there are two tables [{}.{}]", included.key, table.key))
                    .label("second one")
                    .also(first.key_at, "first one"),
            ),
            None => known.entries.push(table),
        }
    }
}
