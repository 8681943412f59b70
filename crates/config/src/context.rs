//! What the meaning of a file depends on beside its text.

use std::path::{Path, PathBuf};

use crate::base::Base;
use crate::convert;
use crate::diagnostic::{Diagnostic, Report};
use crate::keys::MOST_WORKERS;
use crate::raw::{Kind, Value};
use crate::reader::Reader;
use crate::text::Span;

/// What the meaning of a file depends on beside its text.
pub(crate) struct Context<'a> {
    /// Where relative paths of the main file and of what overrides it start.
    pub(crate) base: Base,
    /// The files that the main one names; file n is text n + 1.
    pub(crate) files: &'a [(PathBuf, String)],
    /// What "auto" means.
    pub(crate) cpus: u32,
    /// The value of WEB_CONCURRENCY, when it is set and not empty.
    pub(crate) web_concurrency: Option<(&'a str, Span)>,
    /// The value of FAKTORY_PASSWORD, when it is set and not empty.
    pub(crate) faktory_password: Option<&'a str>,
}

impl Context<'_> {
    /// The path that is written at `at`: relative ones start at the directory of the file that it stands in.
    pub(crate) fn resolve(&self, at: Span, path: impl AsRef<Path>) -> PathBuf {
        let file = at.text.checked_sub(1).and_then(|index| self.files.get(index));
        file.map_or_else(|| self.base.resolve(&path), |(file, _)| Base::of(file).resolve(&path))
    }

    /// The text with what is in the file at `path`, if that was read.
    pub(crate) fn text_of(&self, path: &Path) -> Option<usize> {
        self.files.iter().position(|(known, _)| known == path).map(|index| index + 1)
    }

    /// How many workers a service has.
    pub(crate) fn workers(&self, reader: &Reader<'_>) -> u32 {
        let report = reader.report();
        match reader.given("workers") {
            None => self.inherited(report),
            Some(Value { kind: Kind::Text(word), .. }) if word == "auto" => self.cpus.clamp(1, MOST_WORKERS),
            Some(value @ Value { kind: Kind::Text(word), .. }) if word.parse::<u32>().is_err() => {
                if let Err(wrong) = convert::word(report, value, &["auto"]) {
                    reader.wrong("workers", wrong);
                }
                1
            }
            Some(value) => convert::integer(report, value, 0, MOST_WORKERS).unwrap_or_else(|wrong| {
                reader.wrong("workers", wrong);
                1
            }),
        }
    }

    fn inherited(&self, report: &Report) -> u32 {
        let Some((text, at)) = self.web_concurrency else { return 1 };
        match text.trim().parse::<u32>() {
            Ok(workers) if workers <= MOST_WORKERS => workers,
            Ok(_) | Err(_) => {
                report.add(
                    Diagnostic::error(at, format!("WEB_CONCURRENCY is no whole number from 0 to {MOST_WORKERS}"))
                        .label("used by services without `workers`")
                        .help("unset it, or write `workers` in each service"),
                );
                1
            }
        }
    }
}
