//! Errors of the TOML parser, told as ours.

use toml::de::Error;

use crate::convert::quoted;
use crate::diagnostic::{Diagnostic, Report};
use crate::text::Span;

/// Reports the first error of each line of the text numbered `index`: the others are mostly its echo.
pub(crate) fn report_all(report: &Report, index: usize, errors: &[Error]) {
    let Some(text) = report.texts().get(index) else { return };
    let mut places: Vec<(Span, &Error)> =
        errors.iter().map(|error| (Span::new(index, error.span().unwrap_or(0..text.body.len())), error)).collect();
    places.sort_by_key(|(at, _)| *at);
    let mut told_to = 0;
    for (at, error) in places {
        if at.start < told_to {
            continue;
        }
        let (start, _) = text.clamp(at);
        told_to = text.body[start..].find('\n').map_or(text.body.len() + 1, |newline| start + newline + 1);
        report.add(diagnostic(report, at, error));
    }
}

fn diagnostic(report: &Report, at: Span, error: &Error) -> Diagnostic {
    let found = report.slice(at);
    if error.message() == "duplicate key" {
        return Diagnostic::error(at, format!("`{}` is given twice", report.quote(at))).label("second time");
    }
    let is_value = before(report, at).trim_end().ends_with(['=', '[', ',']);
    if is_value && is_word(found) {
        let quoted = quoted(found);
        return Diagnostic::error(at, format!("`{}` is no value", report.quote(at)))
            .label("a string needs quotes")
            .patch(at, quoted.as_str(), format!("write `{quoted}`"));
    }
    let error = Diagnostic::error(at, format!("not TOML: {}", error.message()));
    if found.is_empty() { error.label("here") } else { error.label(format!("found `{}`", report.quote(at))) }
}

/// The text of the line before `at`.
fn before(report: &Report, at: Span) -> &str {
    let before = report.slice(Span { start: 0, end: at.start, ..at });
    before.rsplit('\n').next().unwrap_or_default()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic()) && text.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c))
}
