//! What every key comes to, and where that comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::base::Base;
use crate::context::Context;
use crate::diagnostic::Report;
use crate::effective::{Effective, effective};
use crate::error::ConfigErrors;
use crate::json;
use crate::keys;
use crate::queue;
use crate::raw::{Table, Value};
use crate::reader::Reader;
use crate::source::{DIRECTORY, Source, Understood, WEB_CONCURRENCY};
use crate::text::{Origin, Span};
use crate::variables::{self, Variables};

/// A key with what it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The names of the key: `service`, `web`, `workers`.
    pub key: Vec<String>,
    /// What it comes to; nothing where it is not set and nothing stands in for it.
    pub value: Option<Json>,
    /// Where that comes from.
    pub provenance: Provenance,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Nobody said anything.
    Default,
    /// A file: the configuration, an included one or an `env_file`.
    File {
        /// Which. Absolute.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// This environment variable.
    Environment(String),
    /// This option of the command line, with its argument.
    CommandLine(String),
    /// The program that the engine is part of.
    Program,
}

impl Shown {
    /// The key as TOML writes it: `service.web.workers`.
    pub fn name(&self) -> String {
        self.key.iter().map(|name| json::key(name)).collect::<Vec<_>>().join(".")
    }

    /// A line of TOML, `service.web.workers = 2`; nothing for a key without a value.
    pub fn to_toml(&self) -> Option<String> {
        self.value.as_ref().map(|value| format!("{} = {}", self.name(), json::to_toml(value)))
    }
}

impl fmt::Display for Provenance {
    /// `default`, `/etc/evercrew.toml:3:1`, `environment NAME`, `--set key=value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine(argument) => f.write_str(argument),
            Self::Program => f.write_str("program"),
        }
    }
}

impl Source {
    /// Every key of the engine, of each listener and of each service, in the order of the file, with what it comes
    /// to. The lines of [`Shown::to_toml`] are a configuration that means the same. Files of `include` are not named
    /// by a key of their own: their tables are there.
    ///
    /// # Errors
    /// Everything that is wrong in the configuration, at once.
    pub fn show(&self) -> Result<Vec<Shown>, ConfigErrors> {
        let understood = self.understand()?;
        let places = Finder::new(self, &understood);
        let mut keys = effective(&understood.settings, |service| places.environment_file(service));
        if understood.settings.queue.is_some() {
            // They follow from [queue].
            let follows = |key: &[String]| matches!(key, [table, name, ..] if ["listen", "service"].contains(&table.as_str()) && name == queue::NAME);
            keys.retain(|key| !follows(&key.key));
        }
        Ok(keys.into_iter().map(|key| places.shown(key)).collect())
    }
}

/// Finds where a key's value stands.
struct Finder<'a> {
    source: &'a Source,
    understood: &'a Understood,
    /// The variables of each service, with their places.
    variables: BTreeMap<&'a str, Variables>,
    /// Of each text, where its lines begin.
    lines: Vec<Vec<usize>>,
}

impl<'a> Finder<'a> {
    fn new(source: &'a Source, understood: &'a Understood) -> Self {
        // What is found was told before.
        let report = Report::new(understood.texts.clone());
        let services = understood.root.entry("service").and_then(|entry| entry.value.as_table());
        let services = services.map_or(&[][..], |table| &table.entries);
        let variables = services.iter().filter_map(|service| {
            let table = service.value.as_table()?;
            let reader = Reader::open(&report, &keys::SERVICE, table, service.key_at, service.key.as_str());
            Some((service.key.as_str(), variables::variables(&reader, &context(source))))
        });
        let variables = variables.collect();
        let lines = understood.texts.iter().map(|text| {
            let after_newlines = text.body.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after_newlines).collect()
        });
        Self { source, understood, variables, lines: lines.collect() }
    }

    fn shown(&self, Effective { key, value }: Effective) -> Shown {
        let names: Vec<&str> = key.iter().map(String::as_str).collect();
        let found = || find(&self.understood.root, &names).map(|value| self.provenance(value.at));
        let provenance = match names[..] {
            ["engine", "directory"] => self.directory(found()),
            ["service", _, "workers"] => found().unwrap_or_else(|| self.variable(WEB_CONCURRENCY)),
            ["service", service, "env", variable] => {
                let variable = self.variables.get(service).and_then(|variables| variables.get(variable));
                variable.map_or(Provenance::Default, |(_, at)| self.provenance(*at))
            }
            _ => found().unwrap_or(Provenance::Default),
        };
        Shown { key, value, provenance }
    }

    fn directory(&self, found: Option<Provenance>) -> Provenance {
        match &self.source.directory_override {
            Some(path) => Provenance::CommandLine(format!("--directory {}", path.display())),
            None => found.unwrap_or_else(|| self.variable(DIRECTORY)),
        }
    }

    /// The variable, if it is set to something.
    fn variable(&self, name: &str) -> Provenance {
        let mut variables = self.source.environment.iter();
        let is_set = variables.any(|(known, value)| known == name && !value.trim().is_empty());
        if is_set { Provenance::Environment(name.to_owned()) } else { Provenance::Default }
    }

    fn provenance(&self, at: Span) -> Provenance {
        let Some(text) = self.understood.texts.get(at.text) else { return Provenance::Default };
        match text.origin {
            Origin::File => {
                let (start, _) = text.clamp(at);
                let lines = self.lines.get(at.text).map_or(&[][..], Vec::as_slice);
                let line = lines.partition_point(|begin| *begin <= start);
                let begin = line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or_default();
                let column = text.body.get(begin..start).unwrap_or_default().chars().count() + 1;
                Provenance::File { path: PathBuf::from(&text.label), line, column }
            }
            Origin::Environment => Provenance::Environment(text.body.split('=').next().unwrap_or_default().to_owned()),
            Origin::CommandLine => Provenance::CommandLine(format!("--set {}", text.body)),
            Origin::Program => Provenance::Program,
        }
    }

    /// The `env_file` of a service. Absolute.
    fn environment_file(&self, service: &str) -> Option<PathBuf> {
        let value = find(&self.understood.root, &["service", service, "env_file"])?;
        let Json::String(path) = json::of(value) else { return None };
        Some(context(self.source).resolve(value.at, path))
    }
}

fn context(source: &Source) -> Context<'_> {
    Context {
        base: Base::of(&source.path),
        files: &source.files,
        cpus: source.cpus,
        web_concurrency: None,
        faktory_password: None,
    }
}

/// The value behind these names; a value that is no table, like a ladder of `stop`, stands for all inside it.
fn find<'a>(table: &'a Table, names: &[&str]) -> Option<&'a Value> {
    let (name, rest) = names.split_first()?;
    let value = &table.entry(name)?.value;
    match value.as_table() {
        Some(table) if !rest.is_empty() => find(table, rest),
        Some(_) | None => Some(value),
    }
}
