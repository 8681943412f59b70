//! Findings as rustc writes them.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::text::{Span, Text};

/// A line longer than this is not shown: it would bury the message.
const LONGEST_LINE: usize = 1000;

/// Writes one finding, with the lines it is about.
pub(crate) fn render(texts: &[Text], finding: &Diagnostic, color: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut groups = vec![primary(texts, finding, level)];
    if let Some(help) = &finding.help {
        groups.push(advice(texts, finding, help));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&groups)
}

fn primary<'a>(texts: &'a [Text], finding: &'a Diagnostic, level: Level<'a>) -> Group<'a> {
    let title = level.primary_title(finding.title.as_str());
    let Some(text) = texts.get(finding.at.text) else { return Group::with_title(title) };
    let spans = finding.also.iter().map(|(span, _)| *span).filter(|span| span.text == finding.at.text);
    let mut group = match Window::around(text, spans.chain([finding.at])) {
        None => unseen(title.element(place(text, finding.at)), &finding.label),
        Some(window) => {
            let also = finding.also.iter().filter(|(span, _)| span.text == finding.at.text);
            let snippet = window
                .snippet(text)
                .annotation(AnnotationKind::Primary.span(window.range(text, finding.at)).label(label(&finding.label)))
                .annotations(also.map(|(span, label)| {
                    AnnotationKind::Context.span(window.range(text, *span)).label(label.as_str())
                }));
            title.element(snippet)
        }
    };
    for (span, label) in finding.also.iter().filter(|(span, _)| span.text != finding.at.text) {
        let Some(text) = texts.get(span.text) else { continue };
        group = match Window::around(text, [*span].into_iter()) {
            None => unseen(group.element(place(text, *span)), label),
            Some(window) => {
                let annotation = AnnotationKind::Context.span(window.range(text, *span)).label(label.as_str());
                group.element(window.snippet(text).annotation(annotation))
            }
        };
    }
    group
}

/// The place alone, where the line is too long to show.
fn place<'a>(text: &'a Text, span: Span) -> annotate_snippets::Origin<'a> {
    let (line, column) = text.position(span);
    annotate_snippets::Origin::path(text.label.as_str()).line(line).char_column(column)
}

fn unseen<'a>(group: Group<'a>, label: &'a str) -> Group<'a> {
    if label.is_empty() { group } else { group.element(Level::NOTE.message(label)) }
}

fn label(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn advice<'a>(texts: &'a [Text], finding: &'a Diagnostic, help: &'a str) -> Group<'a> {
    let title = Level::HELP.secondary_title(help);
    let shown = finding.patch.as_ref().and_then(|(span, replacement)| {
        let text = texts.get(span.text)?;
        let window = Window::around(text, [*span].into_iter())?;
        let snippet: Snippet<'a, Patch<'a>> = Snippet::source(window.lines(text))
            .line_start(window.line)
            .patch(Patch::new(window.range(text, *span), replacement.as_str()));
        Some(snippet)
    });
    match shown {
        Some(snippet) => title.element(snippet),
        None => Group::with_title(title),
    }
}

/// The whole lines of a text that a finding is about.
struct Window {
    start: usize,
    end: usize,
    line: usize,
}

impl Window {
    /// The lines from the first to the last of `spans`; nothing when one of them is too long to show.
    fn around(text: &Text, spans: impl Iterator<Item = Span>) -> Option<Self> {
        let ends = spans.map(|span| text.clamp(span));
        let (first, last) = ends.fold((usize::MAX, 0), |(low, high), (start, end)| (low.min(start), high.max(end)));
        let first = first.min(last);
        let start = text.body[..first].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text.body[last..].find('\n').map_or(text.body.len(), |newline| last + newline);
        let line = text.body[..start].matches('\n').count() + 1;
        let shown = &text.body[start..end];
        shown.split('\n').all(|line| line.len() <= LONGEST_LINE).then_some(Self { start, end, line })
    }

    fn snippet<'a>(&self, text: &'a Text) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        Snippet::source(self.lines(text)).line_start(self.line).path(text.label.as_str())
    }

    /// The lines; a carriage return before a line's end becomes a space, which moves nothing and is not seen.
    fn lines<'a>(&self, text: &'a Text) -> Cow<'a, str> {
        let lines = &text.body[self.start..self.end];
        let lines = lines.strip_suffix('\r').unwrap_or(lines);
        if lines.contains("\r\n") { Cow::Owned(lines.replace("\r\n", " \n")) } else { Cow::Borrowed(lines) }
    }

    fn range(&self, text: &Text, span: Span) -> std::ops::Range<usize> {
        let (start, end) = text.clamp(span);
        let length = self.lines(text).len();
        (start - self.start).min(length)..(end - self.start).min(length)
    }
}
