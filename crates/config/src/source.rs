//! A configuration as text, with everything else that its meaning depends on.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::base::Base;
use crate::context::Context;
use crate::diagnostic::Report;
use crate::error::{ConfigError, ConfigErrors};
use crate::file::{self, Directory};
use crate::files;
use crate::host::Host;
use crate::include;
use crate::overrides;
use crate::queue::PASSWORD;
use crate::raw::Table;
use crate::settings::Settings;
use crate::syntax;
use crate::text::{Origin, Span, Text};

/// A configuration file larger than this is refused, in bytes.
pub const MOST_BYTES: u64 = 1024 * 1024;

/// The variable that gives the number of workers to services that do not say.
pub(crate) const WEB_CONCURRENCY: &str = "WEB_CONCURRENCY";

/// The variable that gives the engine's directory to files that do not say.
pub(crate) const DIRECTORY: &str = "EVERCREW_DIRECTORY";

/// A configuration as text, with everything else that its meaning depends on.
///
/// Kept as it is, it means the same for ever: a manager that takes over after a crash parses this again instead of
/// reading a file that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file. Absolute.
    pub path: PathBuf,
    /// What was in it.
    pub text: String,
    /// The files that it names, absolute, with what was in them: those of `include`, and each `env_file`.
    pub files: Vec<(PathBuf, String)>,
    /// What the program itself says, as TOML: it lies under the file.
    pub values: String,
    /// The arguments of `--set`, in order.
    pub set: Vec<String>,
    /// The variables that count: `EVERCREW__*`, `WEB_CONCURRENCY`, `EVERCREW_DIRECTORY` and `FAKTORY_PASSWORD`, sorted by name.
    pub environment: Vec<(String, String)>,
    /// `--directory`. Absolute.
    pub directory_override: Option<PathBuf>,
    /// Processors this process may use: what `workers = "auto"` means.
    pub cpus: u32,
}

impl Source {
    /// Reads the file at `path` and keeps of `environment` what counts. `directory` is `--directory`.
    ///
    /// The files that it names are read too: those of `include` and each `env_file`. One that is not there is no
    /// error here but one of [`Source::parse`], which knows the place.
    ///
    /// # Errors
    /// When a file cannot be read, is larger than [`MOST_BYTES`] or is not UTF-8; when there are too many.
    pub fn read(
        path: &Path,
        set: Vec<String>,
        environment: impl Iterator<Item = (String, String)>,
        directory: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let path = absolute(path);
        let text = if may_be_missing(&path) { String::new() } else { text(&path)? };
        let mut source = Self::new(path, text, set, environment, directory);
        source.files = files::read(&source)?;
        Ok(source)
    }

    /// The same file as it is by now, with the arguments and variables that were there at the start.
    ///
    /// # Errors
    /// As [`Source::read`], when the file is none that can be read twice, like a pipe, and when the program gives none.
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: self.path.clone(), source };
        if !may_be_missing(&self.path) && !self.path.metadata().map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("it is no regular file")));
        }
        let environment = self.environment.clone().into_iter();
        let mut source = Self::read(&self.path, self.set.clone(), environment, self.directory_override.clone())?;
        if let Some(again) = &Host::own().again {
            source.values = again.values().map_err(ConfigError::Program)?;
            source.files = files::read(&source)?;
        }
        Ok(source)
    }

    /// A configuration whose text is at hand; relative paths in it start at the directory of `path`.
    pub fn new(
        path: PathBuf,
        text: String,
        set: Vec<String>,
        environment: impl Iterator<Item = (String, String)>,
        directory: Option<PathBuf>,
    ) -> Self {
        let counts =
            |name: &str| name.starts_with(overrides::PREFIX) || [WEB_CONCURRENCY, DIRECTORY, PASSWORD].contains(&name);
        let mut environment: Vec<(String, String)> = environment
            .filter(|(name, _)| counts(name))
            .map(|(name, value)| {
                let value = if name == DIRECTORY { relative_to_here(value) } else { value };
                (name, value)
            })
            .collect();
        environment.sort();
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            path: absolute(&path),
            text,
            files: Vec::new(),
            values: Host::own().values.clone(),
            set,
            environment,
            directory_override: directory.map(|path| absolute(&path)),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        }
    }

    /// What the configuration means.
    ///
    /// # Errors
    /// Everything that is wrong in it, at once.
    pub fn parse(&self) -> Result<Settings, ConfigErrors> {
        self.understand().map(|understood| understood.settings)
    }

    /// What the configuration means, with the table that it was read from.
    pub(crate) fn understand(&self) -> Result<Understood, ConfigErrors> {
        let report = Report::new(self.texts());
        let mut root = self.table(&report);
        self.include(&report, &mut root);
        // What a broken text leaves behind would only give errors that are none.
        let report = report.refuse_errors()?;
        let mut root = self.over_values(&report, root);
        apply_overrides(&report, &mut root);
        let texts = Arc::clone(report.texts());
        let web_concurrency = texts.iter().enumerate().find_map(|(index, text)| {
            let value = text.body.strip_prefix(WEB_CONCURRENCY)?.strip_prefix('=')?;
            let at = Span::new(index, text.body.len() - value.len()..text.body.len());
            (text.origin == Origin::Environment && !value.trim().is_empty()).then_some((value, at))
        });
        let context = Context {
            base: Base::of(&self.path),
            files: &self.files,
            cpus: self.cpus,
            web_concurrency,
            faktory_password: self.variable(PASSWORD),
        };
        let directory =
            Directory { command_line: self.directory_override.as_deref(), environment: self.directory_variable() };
        let mut settings = file::settings(&report, &root, &context, &directory);
        settings.warnings = report.finish()?;
        Ok(Understood { settings, root, texts })
    }

    /// Puts the tables of the included files beside those of the main one.
    pub(crate) fn include(&self, report: &Report, root: &mut Table) {
        let patterns = include::patterns(report, root, &Base::of(&self.path));
        include::check_all_read(report, &patterns, &self.files, &self.path);
        for (index, (path, text)) in self.files.iter().enumerate() {
            if patterns.iter().any(|(pattern, _)| pattern.matches(path)) {
                let (parsed, errors) = DeTable::parse_recoverable(text);
                syntax::report_all(report, index + 1, &errors);
                include::merge(report, root, Table::from_toml(index + 1, parsed.get_ref()));
            }
        }
    }

    /// EVERCREW_DIRECTORY, when it is set and not empty.
    pub(crate) fn directory_variable(&self) -> Option<PathBuf> {
        self.variable(DIRECTORY).map(PathBuf::from)
    }

    /// The value of a variable that counts, when it is set and not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The file first, then the files that it names, then the variables, then the arguments.
    pub(crate) fn texts(&self) -> Vec<Text> {
        let file = |path: &Path, text: &str| Text {
            origin: Origin::File,
            label: path.display().to_string(),
            body: text.to_owned(),
        };
        let files = self.files.iter().map(|(path, text)| file(path, text));
        let environment = self.environment.iter().map(|(name, value)| Text {
            origin: Origin::Environment,
            label: "environment".to_owned(),
            body: format!("{name}={value}"),
        });
        let set = self.set.iter().map(|argument| Text {
            origin: Origin::CommandLine,
            label: "--set".to_owned(),
            body: argument.clone(),
        });
        let values = (!self.values.is_empty()).then(|| Text {
            origin: Origin::Program,
            label: "program".to_owned(),
            body: self.values.clone(),
        });
        std::iter::once(file(&self.path, &self.text)).chain(files).chain(environment).chain(set).chain(values).collect()
    }

    /// The file's values over those of the program.
    pub(crate) fn over_values(&self, report: &Report, root: Table) -> Table {
        let index = report.texts().len().saturating_sub(1);
        if self.values.is_empty() {
            return root;
        }
        let (parsed, errors) = DeTable::parse_recoverable(&self.values);
        syntax::report_all(report, index, &errors);
        Table::from_toml(index, parsed.get_ref()).under(root)
    }

    /// The file's table; of a file with syntax errors, what could be read.
    pub(crate) fn table(&self, report: &Report) -> Table {
        let (parsed, errors) = DeTable::parse_recoverable(&self.text);
        syntax::report_all(report, 0, &errors);
        Table::from_toml(0, parsed.get_ref())
    }
}

/// What a configuration means, and the table that it was read from.
pub(crate) struct Understood {
    /// The meaning.
    pub(crate) settings: Settings,
    /// The values of the file with those that override them.
    pub(crate) root: Table,
    /// The texts that its places are in.
    pub(crate) texts: Arc<[Text]>,
}

/// Puts the variables and then the arguments over the values of the file.
pub(crate) fn apply_overrides(report: &Report, root: &mut Table) {
    for (index, text) in report.texts().iter().enumerate() {
        let is_override = match text.origin {
            Origin::File | Origin::Program => false,
            Origin::Environment => text.body.starts_with(overrides::PREFIX),
            Origin::CommandLine => true,
        };
        if is_override {
            overrides::apply(report, index, text, root);
        }
    }
}

/// A program that says something itself needs no file; one that is named otherwise than usual has to be there.
fn may_be_missing(path: &Path) -> bool {
    let usual = path.file_name().is_some_and(|name| name == "evercrew.toml");
    usual && Host::own().speaks() && std::fs::symlink_metadata(path).is_err()
}

/// Variables of this process that are text; the others can be no override.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The path from the root; `.` and doubled slashes go, links stay.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn relative_to_here(path: String) -> String {
    if path.is_empty() { path } else { absolute(Path::new(&path)).into_os_string().into_string().unwrap_or(path) }
}

/// Why there is no text of the file at `path`. It is looked at only to say this.
pub(crate) fn explain_unread(path: &Path) -> String {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => format!("{} is a directory", path.display()),
        Ok(metadata) if !metadata.is_file() => format!("{} is no regular file", path.display()),
        Ok(_) => format!("{} was not there when the configuration was read", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
        Err(error) => format!("{}: {error}", path.display()),
    }
}

/// The text of a file, with bounds.
pub(crate) fn text(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_path_buf(), source };
    // To open one waits for somebody who writes. The pipe of a shell's `<(...)` has no path of its own and can be read.
    if path.canonicalize().and_then(|path| path.metadata()).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Err(failed(std::io::Error::other("it is a FIFO, no regular file; name one with --config")));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_path_buf() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::NotText { path: path.to_path_buf(), line }
    })
}
