//! One untyped value to one typed value, or the reason why not.

use std::time::Duration;

use evercrew_core::Signal;

use crate::diagnostic::{Report, shorten};
use crate::duration::{self, NotADuration};
use crate::nearest::nearest;
use crate::raw::{Kind, Value};
use crate::size::{self, NotASize};
use crate::text::Span;

/// Most items of an array.
const MOST_ITEMS: usize = 1024;

/// What the kernel can share out, and more processors than any machine has.
const CPUS: std::ops::RangeInclusive<f64> = 0.01..=4096.0;

/// Most commands of `before_start`.
const MOST_COMMANDS: usize = 16;

/// Longest regular expression and longest path of a URL, in bytes.
const LONGEST_PATTERN: usize = 1000;

/// Why a value is not what its key expects; the reader adds which key and what was expected.
#[derive(Clone)]
pub(crate) struct Wrong {
    /// The place.
    pub(crate) at: Span,
    /// What stands there.
    pub(crate) found: String,
    /// What to do, where that can be guessed.
    pub(crate) help: Option<String>,
    /// The text to write instead.
    pub(crate) instead: Option<String>,
}

impl Wrong {
    /// Says what was found instead.
    pub(crate) fn found(report: &Report, value: &Value) -> Self {
        let found = match &value.kind {
            Kind::Array(_) => "found an array".to_owned(),
            Kind::Table(_) => "found a table".to_owned(),
            Kind::Integer(_) => format!("found the integer `{}`", report.quote(value.at)),
            kind => format!("found the {} `{}`", kind.name(), report.quote(value.at)),
        };
        Self { at: value.at, found, help: None, instead: None }
    }

    /// Says `text` under the place.
    pub(crate) fn because(value: &Value, text: impl Into<String>) -> Self {
        Self { at: value.at, found: text.into(), help: None, instead: None }
    }

    /// Offers a replacement.
    pub(crate) fn write(self, instead: impl Into<String>) -> Self {
        let instead = instead.into();
        Self { help: Some(format!("write `{instead}`")), instead: Some(instead), ..self }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A string. Outside the file quotes are optional, so a bare `2026` is a string where one is expected.
pub(crate) fn text(report: &Report, value: &Value) -> Result<String, Wrong> {
    let text = match &value.kind {
        Kind::Text(text) => text.clone(),
        Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime => {
            let bare = report.slice(value.at).to_owned();
            if report.is_file(value.at) {
                return Err(Wrong::found(report, value).write(quoted(&bare)));
            }
            bare
        }
        Kind::Array(_) | Kind::Table(_) => return Err(Wrong::found(report, value)),
    };
    if text.contains('\0') {
        return Err(Wrong::because(value, "found a NUL character, which no program can be given"));
    }
    Ok(text)
}

/// `true` or `false`.
pub(crate) fn boolean(report: &Report, value: &Value) -> Result<bool, Wrong> {
    match &value.kind {
        Kind::Boolean(boolean) => Ok(*boolean),
        Kind::Text(text) if text == "true" || text == "false" => Err(Wrong::found(report, value).write(text)),
        _ => Err(Wrong::found(report, value)),
    }
}

/// A whole number within bounds.
pub(crate) fn integer(report: &Report, value: &Value, min: u32, max: u32) -> Result<u32, Wrong> {
    match &value.kind {
        Kind::Integer(number) => match u32::try_from(*number) {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(Wrong::because(value, format!("`{}` is not within these bounds", report.quote(value.at)))),
        },
        Kind::Text(text) if text.parse::<u32>().is_ok_and(|number| (min..=max).contains(&number)) => {
            Err(Wrong::found(report, value).write(text))
        }
        _ => Err(Wrong::found(report, value)),
    }
}

/// A whole number within bounds that may be below zero.
pub(crate) fn signed(report: &Report, value: &Value, min: i32, max: i32) -> Result<i32, Wrong> {
    let within = |number: &i32| (min..=max).contains(number);
    match &value.kind {
        Kind::Integer(number) => i32::try_from(*number)
            .ok()
            .filter(within)
            .ok_or_else(|| Wrong::because(value, format!("`{}` is not within these bounds", report.quote(value.at)))),
        Kind::Text(text) if text.parse().is_ok_and(|number| within(&number)) => {
            Err(Wrong::found(report, value).write(text))
        }
        _ => Err(Wrong::found(report, value)),
    }
}

/// A number of bytes above zero.
pub(crate) fn size(report: &Report, value: &Value) -> Result<u64, Wrong> {
    let text = match &value.kind {
        Kind::Text(text) => text,
        Kind::Integer(number) if *number > 0 => {
            let size = u64::try_from(*number).map_err(|_| too_large(value))?;
            return Err(Wrong::found(report, value).write(format!("\"{}\"", size::format(size))));
        }
        _ => return Err(Wrong::found(report, value)),
    };
    match size::parse(text) {
        Ok(0) => Err(Wrong::because(value, "zero makes no sense here")),
        other => other.map_err(|error| not_a_size(report, value, error)),
    }
}

fn too_large(value: &Value) -> Wrong {
    Wrong::because(value, "larger than any machine")
}

fn not_a_size(report: &Report, value: &Value, error: NotASize) -> Wrong {
    match error {
        NotASize::TooLarge => too_large(value),
        NotASize::Form(Some(meant)) => Wrong::found(report, value).write(format!("\"{meant}\"")),
        NotASize::Form(None) => {
            Wrong::found(report, value).help("a size is one whole number and one unit: B, KiB, MiB, GiB or TiB")
        }
    }
}

/// One number of a resource limit; `u64::MAX` is no limit.
pub(crate) fn amount(report: &Report, value: &Value, bytes: bool) -> Result<u64, Wrong> {
    match &value.kind {
        // The greatest one would mean something else: no limit.
        Kind::Integer(number) => u64::try_from(*number).ok().filter(|number| *number < u64::MAX).ok_or_else(|| {
            let bound = if *number < 0 { "below zero" } else { "larger than any limit" };
            Wrong::because(value, bound).help("no limit is \"unlimited\"")
        }),
        Kind::Text(text) if text == "unlimited" => Ok(u64::MAX),
        Kind::Text(text) if matches!(text.as_str(), "infinity" | "infinite" | "none" | "-1") => {
            Err(Wrong::found(report, value).write("\"unlimited\""))
        }
        Kind::Text(text) if text.parse::<u64>().is_ok() => Err(Wrong::found(report, value).write(text)),
        Kind::Text(text) if bytes => size::parse(text).map_err(|error| not_a_size(report, value, error)),
        _ => Err(Wrong::found(report, value)),
    }
}

/// Permission bits.
pub(crate) fn mask(report: &Report, value: &Value) -> Result<u32, Wrong> {
    let digits = match &value.kind {
        Kind::Integer(_) if report.is_file(value.at) => {
            let written = report.slice(value.at);
            let digits = written.strip_prefix("0o").unwrap_or(written);
            let wrong = Wrong::found(report, value);
            return Err(match octal(digits) {
                Some(_) => wrong.write(format!("\"{digits:0>3}\"")),
                None => wrong,
            });
        }
        _ => text(report, value)?,
    };
    octal(&digits).ok_or_else(|| {
        let shown = shorten(&digits);
        Wrong::because(value, format!("`{shown}` is no octal number from 000 to 777"))
    })
}

fn octal(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    u32::from_str_radix(digits, 8).ok().filter(|mask| plain && *mask <= 0o777)
}

/// A user's or a group's name or number.
pub(crate) fn account(report: &Report, value: &Value) -> Result<String, Wrong> {
    let name = text(report, value)?;
    if name.is_empty() {
        return Err(Wrong::because(value, "found an empty name"));
    }
    if name.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || c.is_control()) {
        return Err(Wrong::because(value, "a name has no `:`, no `/` and no blank"));
    }
    Ok(name)
}

/// A regular expression; its text.
pub(crate) fn pattern(report: &Report, value: &Value) -> Result<String, Wrong> {
    let pattern = text(report, value)?;
    if pattern.is_empty() {
        return Err(Wrong::because(value, "an empty one is found in every line"));
    }
    if pattern.len() > LONGEST_PATTERN {
        return Err(Wrong::because(value, format!("longer than {LONGEST_PATTERN} bytes")));
    }
    match regex_lite::Regex::new(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => Err(Wrong::because(value, error.to_string())),
    }
}

/// The path of a URL.
pub(crate) fn url_path(report: &Report, value: &Value) -> Result<String, Wrong> {
    let path = text(report, value)?;
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if let Some((_, rest)) = path.split_once("://") {
        let wrong = Wrong::because(value, "the path alone: address and port are the worker's own");
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        return Err(if plain { wrong.write(quoted(path)) } else { wrong });
    }
    if !plain || path.len() > LONGEST_PATTERN {
        return Err(Wrong::because(value, "found characters that a path of a URL must write with `%`, or too many"));
    }
    if path.starts_with('/') { Ok(path) } else { Err(Wrong::found(report, value).write(quoted(&format!("/{path}")))) }
}

/// A number from 0 to 1.
pub(crate) fn share(report: &Report, value: &Value) -> Result<f64, Wrong> {
    let number = match &value.kind {
        Kind::Float(number) => *number,
        Kind::Integer(0) => 0.0,
        Kind::Integer(1) => 1.0,
        _ => return Err(Wrong::found(report, value)),
    };
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(Wrong::because(value, format!("`{}` is not within these bounds", report.quote(value.at))))
    }
}

/// A number of processors, in thousandths of one.
pub(crate) fn cpus(report: &Report, value: &Value) -> Result<u32, Wrong> {
    let number = match &value.kind {
        Kind::Float(number) => *number,
        Kind::Integer(number) => u16::try_from(*number).map_or(f64::NAN, f64::from),
        Kind::Text(text) if text.parse::<f64>().is_ok_and(|number| CPUS.contains(&number)) => {
            return Err(Wrong::found(report, value).write(text));
        }
        _ => return Err(Wrong::found(report, value)),
    };
    if CPUS.contains(&number) {
        // Within these bounds every product fits.
        Ok((number * 1000.0).round() as u32)
    } else {
        Err(Wrong::because(value, format!("`{}` is not within these bounds", report.quote(value.at))))
    }
}

/// A span of time; `None` is for ever.
pub(crate) fn duration(report: &Report, value: &Value, zero: bool, forever: bool) -> Result<Option<Duration>, Wrong> {
    let text = match &value.kind {
        Kind::Text(text) => text,
        Kind::Integer(number) if *number >= 0 => {
            return Err(Wrong::found(report, value).write(format!("\"{number}s\"")));
        }
        _ => return Err(Wrong::found(report, value)),
    };
    if forever && text == "forever" {
        return Ok(None);
    }
    match duration::parse(text) {
        Ok(Duration::ZERO) if !zero => Err(Wrong::because(value, "zero makes no sense here")),
        Ok(duration) => Ok(Some(duration)),
        Err(NotADuration::TooLong) => Err(Wrong::because(value, "longer than ten years")),
        Err(NotADuration::Form) => Err(not_a_duration(Wrong::found(report, value), text)),
    }
}

fn not_a_duration(wrong: Wrong, text: &str) -> Wrong {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = compact.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = compact.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return wrong.help("a duration is one whole number and one unit: ms, s, m, h or d"),
    };
    let meant = format!("{number}{unit}");
    match duration::parse(&meant) {
        Ok(_) => wrong.write(format!("\"{meant}\"")),
        Err(_) => wrong.help("a duration is one whole number and one unit: ms, s, m, h or d"),
    }
}

/// A signal by its name.
pub(crate) fn signal(report: &Report, value: &Value) -> Result<Signal, Wrong> {
    let name = match &value.kind {
        Kind::Text(name) => name,
        Kind::Integer(_) => {
            return Err(Wrong::found(report, value).help("signals have names here, as numbers differ between machines"));
        }
        _ => return Err(Wrong::found(report, value)),
    };
    name.parse().map_err(|_| {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let wrong = Wrong::because(value, format!("there is no signal `{}`", shorten(name)));
        match nearest(bare, Signal::ALL.iter().map(|signal| signal.name())) {
            Some(near) => wrong.write(format!("\"{near}\"")),
            None => wrong,
        }
    })
}

/// The position of a word in `words`.
pub(crate) fn word(report: &Report, value: &Value, words: &[&str]) -> Result<usize, Wrong> {
    let Kind::Text(text) = &value.kind else { return Err(Wrong::found(report, value)) };
    words.iter().position(|word| word == text).ok_or_else(|| {
        let wrong = Wrong::found(report, value);
        match nearest(text, words.iter().copied()) {
            Some(near) => wrong.write(format!("\"{near}\"")),
            None => wrong,
        }
    })
}

/// The items of an array.
pub(crate) fn items<'a>(report: &Report, value: &'a Value) -> Result<&'a [Value], Wrong> {
    match &value.kind {
        Kind::Array(items) if items.len() > MOST_ITEMS => {
            Err(Wrong::because(value, format!("found {} items; {MOST_ITEMS} are allowed", items.len())))
        }
        Kind::Array(items) => Ok(items),
        Kind::Text(text) => Err(Wrong::found(report, value).write(format!("[{}]", quoted(text)))),
        Kind::Integer(number) => Err(Wrong::found(report, value).write(format!("[{number}]"))),
        _ => Err(Wrong::found(report, value)),
    }
}

/// A program and its arguments.
pub(crate) fn argv(report: &Report, value: &Value) -> Result<Vec<String>, Wrong> {
    if let Kind::Text(line) = &value.kind {
        return Err(Wrong::found(report, value).write(format!("[{}]", words(line))));
    }
    let items = items(report, value)?;
    let argv: Vec<String> = items.iter().map(|item| text(report, item)).collect::<Result<_, _>>()?;
    match argv.first() {
        None => Err(Wrong::because(value, "found no program")),
        Some(program) if program.is_empty() => Err(Wrong::because(&items[0], "found an empty program name")),
        Some(_) => Ok(argv),
    }
}

/// The words of a line as items of an array.
fn words(line: &str) -> String {
    line.split_whitespace().map(quoted).collect::<Vec<_>>().join(", ")
}

/// Several programs, each with its arguments.
pub(crate) fn argvs(report: &Report, value: &Value) -> Result<Vec<Vec<String>>, Wrong> {
    if let Kind::Text(line) = &value.kind {
        return Err(Wrong::found(report, value).write(format!("[[{}]]", words(line))));
    }
    let items = items(report, value)?;
    if let [Value { kind: Kind::Text(_), .. }, ..] = items {
        return Err(Wrong::because(value, "found one program").write(format!("[{}]", report.slice(value.at))));
    }
    if items.len() > MOST_COMMANDS {
        return Err(Wrong::because(value, format!("found {} programs; {MOST_COMMANDS} are allowed", items.len())));
    }
    items.iter().map(|item| argv(report, item)).collect()
}

/// The text as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
