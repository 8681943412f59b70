//! Reads the files that a configuration names: those of `include`, and each `env_file`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Base;
use crate::context::Context;
use crate::diagnostic::Report;
use crate::error::ConfigError;
use crate::glob::Glob;
use crate::include;
use crate::raw::{Kind, Table};
use crate::source::{Source, apply_overrides, text};

/// The most files that a configuration may name.
pub const MOST_FILES: usize = 512;

/// The most that all of them may have together, in bytes.
pub const MOST_BYTES_OF_ALL: usize = 8 * 1024 * 1024;

/// The files that `source` names, each once: those of `include` in their order, then each `env_file`.
///
/// One that is named but not there is left out. What is wrong in the texts is not told here.
///
/// # Errors
/// When one that is there cannot be read, or when they are too many.
pub(crate) fn read(source: &Source) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let report = Report::new(source.texts());
    let root = source.table(&report);
    let mut files = Files { main: &source.path, read: Vec::new(), bytes: 0 };
    for (pattern, _) in include::patterns(&report, &root, &Base::of(&source.path)) {
        for path in matching(&pattern)? {
            files.add(path)?;
        }
    }
    let source = Source { files: std::mem::take(&mut files.read), ..source.clone() };
    let environment_files = environment_files(&source);
    files.read = source.files;
    for path in environment_files {
        files.add(path)?;
    }
    Ok(files.read)
}

/// What was read so far.
struct Files<'a> {
    main: &'a Path,
    read: Vec<(PathBuf, String)>,
    bytes: usize,
}

impl Files<'_> {
    fn add(&mut self, path: PathBuf) -> Result<(), ConfigError> {
        if path == self.main || self.read.iter().any(|(known, _)| *known == path) {
            return Ok(());
        }
        match path.metadata() {
            // Opening anything else could wait for ever.
            Ok(metadata) if !metadata.is_file() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ConfigError::Read { path, source }),
        }
        let text = text(&path)?;
        self.bytes += text.len();
        if self.read.len() == MOST_FILES || self.bytes > MOST_BYTES_OF_ALL {
            return Err(ConfigError::TooMuch { path });
        }
        self.read.push((path, text));
        Ok(())
    }
}

/// The files that a pattern means, sorted by name; no folder is the same as an empty one.
fn matching(pattern: &Glob) -> Result<Vec<PathBuf>, ConfigError> {
    if let Some(path) = pattern.literal() {
        return Ok(vec![path]);
    }
    let failed = |source| ConfigError::Read { path: pattern.folder().to_path_buf(), source };
    let entries = match std::fs::read_dir(pattern.folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if pattern.matches(&path) {
            paths.push(path);
        }
        if paths.len() > MOST_FILES {
            return Err(ConfigError::TooMuch { path: pattern.folder().to_path_buf() });
        }
    }
    paths.sort();
    Ok(paths)
}

/// Every `env_file` of the services, with what overrides the files.
fn environment_files(source: &Source) -> Vec<PathBuf> {
    let report = Report::new(source.texts());
    let mut root = source.table(&report);
    source.include(&report, &mut root);
    apply_overrides(&report, &mut root);
    let context = Context {
        base: Base::of(&source.path),
        files: &source.files,
        cpus: 1,
        web_concurrency: None,
        faktory_password: None,
    };
    let services = root.entry("service").and_then(|entry| entry.value.as_table());
    let services = services.map_or(&[][..], |table: &Table| &table.entries);
    let files = services.iter().filter_map(|service| service.value.as_table()?.entry("env_file"));
    files
        .filter_map(|entry| match &entry.value.kind {
            Kind::Text(path) if !path.is_empty() && !path.contains('\0') => Some(context.resolve(entry.value.at, path)),
            _ => None,
        })
        .collect()
}
