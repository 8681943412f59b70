//! Where a running engine is found, also when its file is broken.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::base::Base;
use crate::diagnostic::Report;
use crate::raw::{Kind, Table, Value};
use crate::source::{Source, absolute, apply_overrides, text};

/// The engine's directory for control commands, which need nothing else of the file.
///
/// `cli_override` is `--directory`; then `engine.directory` of the file, `environment` and `set` as for
/// [`Source::read`]; then EVERCREW_DIRECTORY; then `.evercrew` beside the file. A file that is missing or broken is
/// no obstacle: what comes before its first syntax error counts.
pub fn engine_directory(
    path: &Path,
    set: &[String],
    environment: impl Iterator<Item = (String, String)>,
    cli_override: Option<&Path>,
) -> PathBuf {
    if let Some(directory) = cli_override {
        return absolute(directory);
    }
    let (source, root) = sound(path, set, environment);
    let base = Base::of(&source.path);
    let given = given(&root, "engine").map(|path| base.resolve(path));
    given.or_else(|| source.directory_variable()).unwrap_or_else(|| base.resolve(".evercrew"))
}

/// Where the log files are, found in the same way; `engine` is the engine's directory.
pub fn log_directory(
    path: &Path,
    set: &[String],
    environment: impl Iterator<Item = (String, String)>,
    engine: &Path,
) -> PathBuf {
    let (source, root) = sound(path, set, environment);
    given(&root, "log").map_or_else(|| engine.join("logs"), |path| Base::of(&source.path).resolve(path))
}

/// What of the file can be read, with what overrides it.
fn sound(path: &Path, set: &[String], environment: impl Iterator<Item = (String, String)>) -> (Source, Table) {
    let path = absolute(path);
    let text = sound_part(text(&path).unwrap_or_default());
    let source = Source::new(path, text, set.to_vec(), environment, None);
    let report = Report::new(source.texts());
    let mut root = source.over_values(&report, source.table(&report));
    apply_overrides(&report, &mut root);
    (source, root)
}

/// The text up to the line of its first syntax error: behind it a value may be half of what was meant.
fn sound_part(mut text: String) -> String {
    let (_, errors) = DeTable::parse_recoverable(&text);
    let first = errors.iter().map(|error| error.span().map_or(0, |span| span.start)).min();
    if let Some(first) = first {
        let before = text.get(..first).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        text.truncate(line);
    }
    text
}

fn given<'a>(root: &'a Table, table: &str) -> Option<&'a str> {
    let table = root.entry(table)?.value.as_table()?;
    match &table.entry("directory")?.value {
        Value { kind: Kind::Text(path), .. } if !path.is_empty() && !path.contains('\0') => Some(path),
        _ => None,
    }
}
