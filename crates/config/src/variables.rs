//! `env` and `env_file`: the variables that a service adds to the environment.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::convert;
use crate::diagnostic::{Diagnostic, Report, Severity, shorten};
use crate::reader::Reader;
use crate::text::Span;

/// The kernel takes no longer string in an environment; with `=` and the ending zero byte.
const LONGEST: usize = 128 * 1024 - 2;

/// Most variables of one service.
const MOST: usize = 1024;

/// A variable with the place of its value.
pub(crate) type Variables = BTreeMap<String, (String, Span)>;

/// Reads both of a service; those of `env` come over those of `env_file`.
pub(crate) fn variables(reader: &Reader<'_>, context: &Context<'_>) -> Variables {
    let mut variables = file(reader, context);
    let report = reader.report();
    for entry in reader.entries("env") {
        if !variables.contains_key(&entry.key) && is_full(report, &variables, entry.key_at) {
            break;
        }
        let name = shorten(&entry.key);
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            report.add(
                Diagnostic::error(entry.key_at, format!("`env` in {} has a variable `{name}`", reader.name()))
                    .label("a variable's name is not empty and has no `=`"),
            );
        } else if is_ours(&entry.key) {
            report.add(
                Diagnostic::error(entry.key_at, format!("`env` in {} sets `{name}`", reader.name()))
                    .label("the engine sets this variable itself, for each worker"),
            );
        }
        match convert::text(report, &entry.value) {
            Ok(value) => {
                refuse_long(report, &entry.key, &value, entry.value.at);
                variables.insert(entry.key.clone(), (value, entry.value.at));
            }
            Err(wrong) => reader.wrong("env", wrong),
        }
    }
    variables
}

fn file(reader: &Reader<'_>, context: &Context<'_>) -> Variables {
    let Some(path) = reader.path("env_file") else { return Variables::new() };
    let at = reader.at("env_file");
    let path = context.resolve(at, path);
    let Some(text) = context.text_of(&path) else {
        reader.report().add(
            Diagnostic::error(at, format!("`env_file` in {} cannot be read", reader.name()))
                .label(crate::source::explain_unread(&path)),
        );
        return Variables::new();
    };
    parse(reader.report(), text)
}

/// Reads the lines of the text numbered `text`.
fn parse(report: &Report, text: usize) -> Variables {
    let mut variables = Variables::new();
    let Some(body) = report.texts().get(text).map(|text| text.body.as_str()) else { return variables };
    let mut start = 0;
    for whole in body.split_inclusive('\n') {
        let at = |part: &str| {
            let offset = start + (part.as_ptr().addr() - whole.as_ptr().addr());
            Span::new(text, offset..offset + part.len())
        };
        let line = whole.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() && !line.starts_with('#') {
            if is_full(report, &variables, at(line)) {
                break;
            }
            match Line::parse(line) {
                Ok(Line { name, value, written }) => add(report, &mut variables, (name, at(name)), value, at(written)),
                Err((part, why)) => report.add_with(Severity::Error, || not_understood(at(part), why)),
            }
        }
        start += whole.len();
    }
    variables
}

fn not_understood(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error(at, "a line of an environment file is not understood")
        .label(why)
        .help("write NAME=value; values with blanks before `#` or with quotes need quotes around them")
}

fn add(report: &Report, variables: &mut Variables, (name, name_at): (&str, Span), value: String, at: Span) {
    if is_ours(name) {
        return report.add(
            Diagnostic::error(name_at, format!("an environment file sets `{name}`"))
                .label("the engine sets this variable itself, for each worker"),
        );
    }
    refuse_long(report, name, &value, at);
    if let Some((_, first)) = variables.insert(name.to_owned(), (value, at)) {
        report.add_with(Severity::Warning, || {
            Diagnostic::warning(at, format!("`{}` is set twice in an environment file", shorten(name)))
                .label("this one counts")
                .also(first, "first time")
        });
    }
}

fn is_full(report: &Report, variables: &Variables, at: Span) -> bool {
    let is_full = variables.len() >= MOST;
    if is_full {
        report.add(Diagnostic::error(at, "too many variables").label(format!("a service may have {MOST} of its own")));
    }
    is_full
}

fn refuse_long(report: &Report, name: &str, value: &str, at: Span) {
    if name.len() + value.len() > LONGEST {
        report.add(
            Diagnostic::error(at, format!("the variable `{}` is too long", shorten(name)))
                .label(format!("the kernel takes at most {LONGEST} bytes of name and value")),
        );
    }
}

/// One `NAME=value`.
struct Line<'a> {
    name: &'a str,
    value: String,
    /// The value as it is written.
    written: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a trimmed line; the error is the part that is wrong, and why.
    fn parse(line: &'a str) -> Result<Self, (&'a str, &'static str)> {
        let assignment = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, written)) = assignment.split_once('=') else { return Err((line, "there is no `=`")) };
        let (name, written) = (name.trim_end(), written.trim_start());
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\'') {
            return Err((assignment, "not the name of a variable"));
        }
        if written.contains('\0') {
            return Err((written, "a NUL character, which no program can be given"));
        }
        let value = match written.chars().next() {
            Some('\'') => single(written)?,
            Some('"') => double(written)?,
            _ if written.contains(" #") || written.contains("\t#") => {
                return Err((written, "a comment, or part of the value? quotes make it clear"));
            }
            _ => written.to_owned(),
        };
        Ok(Self { name, value, written })
    }
}

/// The text between single quotes, as it is.
fn single(written: &str) -> Result<String, (&str, &'static str)> {
    match written[1..].split_once('\'') {
        Some((value, "")) => Ok(value.to_owned()),
        Some((_, rest)) => Err((rest, "after the closing quote")),
        None => Err((written, "the quote is not closed on this line")),
    }
}

/// The text between double quotes, with `\n`, `\t`, `\r`, `\"`, `\\` and `\$`.
fn double(written: &str) -> Result<String, (&str, &'static str)> {
    let mut value = String::new();
    let mut chars = written.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if at + 1 == written.len() => return Ok(value),
            '"' => return Err((&written[at + 1..], "after the closing quote")),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                Some((end, c)) => return Err((&written[at..end + c.len_utf8()], "no such escape")),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err((written, "the quote is not closed on this line"))
}

fn is_ours(variable: &str) -> bool {
    const EXACT: [&str; 9] = [
        "EVERCREW_COMMAND_FD",
        "EVERCREW_GENERATION",
        "EVERCREW_INSTANCE",
        "EVERCREW_ROLE",
        "EVERCREW_SERVICE",
        "EVERCREW_SLOT",
        "EVERCREW_WORKER",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
    ];
    EXACT.contains(&variable) || variable.starts_with("LISTEN_FD") || variable.starts_with("WATCHDOG_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_quoted() {
        let value = |line: &'static str| Line::parse(line).map(|line| (line.name, line.value));
        assert_eq!(value("A=b"), Ok(("A", "b".into())));
        assert_eq!(value("export A = b c"), Ok(("A", "b c".into())));
        assert_eq!(value("A="), Ok(("A", String::new())));
        assert_eq!(value("URL=tcp://a/?b=c#d"), Ok(("URL", "tcp://a/?b=c#d".into())));
        assert_eq!(value("A='x \"y\" \\n'"), Ok(("A", "x \"y\" \\n".into())));
        assert_eq!(value(r#"A="x \"y\"\n\$HOME""#), Ok(("A", "x \"y\"\n$HOME".into())));
        assert_eq!(value("A=$HOME"), Ok(("A", "$HOME".into())));
    }

    #[test]
    fn their_number_is_bounded() {
        let lines = |count: usize| (0..count).map(|n| format!("V{n}=1\n")).collect::<String>();
        let told = |count: usize| {
            let text = "[service.web]\ncommand = [\"a\"]\nenv_file = \"e\"\nenv = { V0 = \"2\" }\n".to_owned();
            let source = crate::Source::new("/x.toml".into(), text, Vec::new(), std::iter::empty(), None);
            crate::Source { files: vec![("/e".into(), lines(count))], ..source }.parse()
        };
        assert!(told(MOST).is_ok());
        let errors = told(MOST + 1).expect_err("one too many");
        assert!(errors.to_string().contains("/e:1025:1"), "{errors}");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for line in ["A", "=b", "A B=c", "A='b", "A=\"b", "A=\"b\\", "A='b'c", "A=\"b\" c", "A=b # c", r#"A="\q""#] {
            assert!(Line::parse(line).is_err(), "{line}");
        }
    }
}
