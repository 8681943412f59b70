//! One finding while it is made, and the collector of all of them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use annotate_snippets::normalize_untrusted_str;

use crate::error::{ConfigErrors, Problem};
use crate::text::{Origin, Span, Text};

/// More findings than this are only counted.
const MOST_FINDINGS: usize = 50;

/// Longest piece of the text that a message repeats, in characters.
const LONGEST_QUOTE: usize = 60;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but is probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diagnostic {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What is wrong, in one line.
    pub(crate) title: String,
    /// Where.
    pub(crate) at: Span,
    /// What stands under that place.
    pub(crate) label: String,
    /// Other places that matter.
    pub(crate) also: Vec<(Span, String)>,
    /// What to do.
    pub(crate) help: Option<String>,
    /// A replacement that does it.
    pub(crate) patch: Option<(Span, String)>,
}

impl Diagnostic {
    /// An error at `at`.
    pub(crate) fn error(at: Span, title: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            title: clean(&title.into()),
            at,
            label: String::new(),
            also: Vec::new(),
            help: None,
            patch: None,
        }
    }

    /// A warning at `at`.
    pub(crate) fn warning(at: Span, title: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(at, title) }
    }

    /// Writes `label` under the place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = clean(&label.into());
        self
    }

    /// Shows another place too.
    pub(crate) fn also(mut self, at: Span, label: impl Into<String>) -> Self {
        self.also.push((at, clean(&label.into())));
        self
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(clean(&help.into()));
        self
    }

    /// Says what to do and shows the text with `replacement` at `at`.
    pub(crate) fn patch(self, at: Span, replacement: impl Into<String>, help: impl Into<String>) -> Self {
        Self { patch: Some((at, replacement.into())), ..self.help(help) }
    }
}

/// Collects findings while the configuration is read, so that all are told at once.
pub(crate) struct Report {
    texts: Arc<[Text]>,
    findings: RefCell<Vec<Diagnostic>>,
    untold: Cell<usize>,
}

impl Report {
    /// An empty report on `texts`.
    pub(crate) fn new(texts: impl Into<Arc<[Text]>>) -> Self {
        Self { texts: texts.into(), findings: RefCell::default(), untold: Cell::new(0) }
    }

    /// The texts it is about.
    pub(crate) fn texts(&self) -> &Arc<[Text]> {
        &self.texts
    }

    /// The text at `span`, shortened to what a message can repeat.
    pub(crate) fn quote(&self, span: Span) -> String {
        shorten(self.slice(span))
    }

    /// The text at `span`.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.texts.get(span.text).map_or("", |text| text.slice(span))
    }

    /// Whether `span` stands in a file, where strings have quotes.
    pub(crate) fn is_file(&self, span: Span) -> bool {
        self.texts.get(span.text).is_none_or(|text| text.origin == Origin::File)
    }

    /// Whether further errors are only counted, so that explaining them is wasted work.
    pub(crate) fn is_full(&self) -> bool {
        let findings = self.findings.borrow();
        findings.len() >= MOST_FINDINGS && findings.iter().all(|finding| finding.severity == Severity::Error)
    }

    /// Adds a finding; one that says the same of the same place is told once.
    pub(crate) fn add(&self, finding: Diagnostic) {
        let severity = finding.severity;
        self.add_with(severity, || finding);
    }

    /// Adds a finding that is made only if it will be told. Of too many errors the rest is counted; warnings give way
    /// to errors.
    pub(crate) fn add_with(&self, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        let is_error = severity == Severity::Error;
        if self.is_full() {
            return self.untold.set(self.untold.get() + usize::from(is_error));
        }
        let crowded = self.findings.borrow().len() >= MOST_FINDINGS;
        if crowded && !is_error {
            return;
        }
        let finding = make();
        let mut findings = self.findings.borrow_mut();
        if findings.contains(&finding) {
            return;
        }
        if crowded && let Some(warning) = findings.iter().rposition(|finding| finding.severity == Severity::Warning) {
            findings.remove(warning);
        }
        findings.push(finding);
    }

    /// Whether nothing makes the configuration unusable so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.untold.get() == 0 && self.findings.borrow().iter().all(|finding| finding.severity == Severity::Warning)
    }

    /// The same report, unless it holds an error already.
    pub(crate) fn refuse_errors(self) -> Result<Self, ConfigErrors> {
        if self.is_clean() { Ok(self) } else { Err(self.into_errors()) }
    }

    /// The warnings, or every finding when one is an error.
    pub(crate) fn finish(self) -> Result<Vec<Problem>, ConfigErrors> {
        if self.is_clean() { Ok(self.into_problems()) } else { Err(self.into_errors()) }
    }

    fn into_errors(self) -> ConfigErrors {
        let untold = self.untold.get();
        ConfigErrors::new(self.into_problems(), untold)
    }

    fn into_problems(self) -> Vec<Problem> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.at);
        findings.into_iter().map(|finding| Problem::new(Arc::clone(&self.texts), finding)).collect()
    }
}

/// The first characters of `text`, on one line.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_QUOTE).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        short.push('…');
    }
    short
}

/// Replaces what could steer a terminal.
fn clean(text: &str) -> String {
    normalize_untrusted_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(number: usize) -> Diagnostic {
        Diagnostic::warning(Span::new(0, number..number), "odd")
    }

    fn error(number: usize) -> Diagnostic {
        Diagnostic::error(Span::new(0, number..number), "wrong")
    }

    #[test]
    fn any_number_of_warnings_is_no_error() {
        let report = Report::new(Vec::new());
        (0..500).for_each(|number| report.add(warning(number)));
        assert_eq!(report.finish().map(|warnings| warnings.len()), Ok(MOST_FINDINGS));
    }

    #[test]
    fn warnings_give_way_to_errors_and_errors_are_counted() {
        let report = Report::new(Vec::new());
        (0..500).for_each(|number| report.add(warning(number)));
        (0..60).for_each(|number| report.add(error(number)));
        let errors = report.finish().expect_err("errors");
        assert!(errors.problems().iter().all(|problem| !problem.is_warning()));
        assert_eq!(errors.problems().len(), MOST_FINDINGS);
        assert!(errors.to_string().ends_with("error: and 10 more"), "{errors}");
    }
}
