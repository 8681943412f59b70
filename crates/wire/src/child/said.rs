//! What a child writes.

use std::borrow::Cow;
use std::time::Duration;

use crate::faktory::json::{Scanner, unescaped};

/// The longest time that is taken for a `retry_after`.
const LONGEST_WAIT: f64 = 365.0 * 86_400.0;

/// A line of a child.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// It says something.
    Said(Said<'a>),
    /// Something that the program printed.
    Noise,
}

/// What a child says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said<'a> {
    /// It introduces itself.
    Ready(Ready),
    /// It begins this job.
    Started(Option<Cow<'a, str>>),
    /// How far it is with this job; the whole line.
    Progress(Option<Cow<'a, str>>, &'a str),
    /// It is alive.
    Heartbeat,
    /// For the log.
    Log(Log<'a>),
    /// The end of a job.
    Answer(Answer<'a>),
}

/// What a child says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The version of the protocol; 0 where it is no number.
    pub protocol: u32,
    /// How many jobs it takes at once.
    pub concurrency: u32,
    /// It says when it begins a job.
    pub started: bool,
    /// It can cancel a job.
    pub cancel: bool,
}

/// Something for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log<'a> {
    /// About which job.
    pub id: Option<Cow<'a, str>>,
    /// `debug`, `info`, `warn`, `error`, or what the child calls it.
    pub level: Cow<'a, str>,
    /// What.
    pub message: Cow<'a, str>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done.
    Error,
    /// Later; after this time where the child says one.
    Throttled(Option<Duration>),
    /// Never again.
    Discard,
    /// It knows no such kind of job.
    Unknown,
    /// It let go of a job that was cancelled.
    Cancelled,
    /// A word that nobody knows.
    Other,
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// Of which; `None` where it does not say.
    pub id: Option<Cow<'a, str>>,
    /// How.
    pub status: Status,
    /// Why, for people.
    pub message: Cow<'a, str>,
    /// The kind of error.
    pub class: Cow<'a, str>,
    /// Where it happened: a string, or an array of them, as JSON.
    pub backtrace: Option<&'a str>,
    /// Whether it may be tried again, where it says so.
    pub retryable: Option<bool>,
    /// What came of it, as JSON.
    pub result: Option<&'a str>,
    /// Jobs that are to be pushed with it, an array as JSON.
    pub enqueue: Option<&'a str>,
}

/// The members of a line that mean something, as they stand.
#[derive(Default)]
struct Members<'a> {
    id: Option<&'a str>,
    status: Option<&'a str>,
    ready: Option<&'a str>,
    protocol: Option<&'a str>,
    concurrency: Option<&'a str>,
    started: Option<&'a str>,
    cancel: Option<&'a str>,
    message: Option<&'a str>,
    class: Option<&'a str>,
    level: Option<&'a str>,
    backtrace: Option<&'a str>,
    retryable: Option<&'a str>,
    retry_after: Option<&'a str>,
    result: Option<&'a str>,
    enqueue: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line. Nothing is an error: what is no line of the protocol is noise.
    pub fn read(line: &'a [u8]) -> Self {
        let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') {
            return Self::Noise;
        }
        let said = std::str::from_utf8(line).ok().and_then(|text| Members::of(text)?.said(text));
        said.map_or(Self::Noise, Self::Said)
    }
}

impl<'a> Members<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner::object(text).ok()?;
        let mut members = Self::default();
        while let Some(member) = scanner.member().ok()? {
            let place = match &*member.name {
                "id" => &mut members.id,
                "status" => &mut members.status,
                "ready" => &mut members.ready,
                "protocol" => &mut members.protocol,
                "concurrency" => &mut members.concurrency,
                "started" => &mut members.started,
                "cancel" => &mut members.cancel,
                "message" => &mut members.message,
                "class" => &mut members.class,
                "level" => &mut members.level,
                "backtrace" => &mut members.backtrace,
                "retryable" => &mut members.retryable,
                "retry_after_secs" | "retry_after" => &mut members.retry_after,
                "result" => &mut members.result,
                "enqueue" => &mut members.enqueue,
                _ => continue,
            };
            *place = Some(member.value);
        }
        Some(members)
    }

    fn said(self, text: &'a str) -> Option<Said<'a>> {
        let Some(status) = self.status else {
            return (self.ready == Some("true")).then(|| Said::Ready(self.introduction()));
        };
        // A status is a word; anything else is somebody's own JSON.
        let status = status.starts_with('"').then(|| words(Some(status)))?;
        Some(match &*status {
            "started" => Said::Started(identity(self.id)),
            "progress" => Said::Progress(identity(self.id), text),
            "heartbeat" => Said::Heartbeat,
            "log" => {
                let (level, message) = (words(self.level), words(self.message));
                Said::Log(Log { id: identity(self.id), level, message })
            }
            "ok" => self.answer(Status::Ok),
            "error" => self.answer(Status::Error),
            "throttled" => {
                let after = self.retry_after.and_then(seconds);
                self.answer(Status::Throttled(after))
            }
            "discard" => self.answer(Status::Discard),
            "unknown" => self.answer(Status::Unknown),
            "cancelled" => self.answer(Status::Cancelled),
            _ => self.answer(Status::Other),
        })
    }

    fn introduction(&self) -> Ready {
        let number = |text: Option<&str>| text.map_or(1, |text| text.parse().unwrap_or(0));
        Ready {
            protocol: number(self.protocol),
            concurrency: number(self.concurrency),
            started: self.started == Some("true"),
            cancel: self.cancel == Some("true"),
        }
    }

    fn answer(&self, status: Status) -> Said<'a> {
        let given = |value: Option<&'a str>| value.filter(|text| *text != "null");
        Said::Answer(Answer {
            id: identity(self.id),
            status,
            message: words(self.message),
            class: words(self.class),
            backtrace: given(self.backtrace),
            retryable: match self.retryable {
                Some("true") => Some(true),
                Some("false") => Some(false),
                Some(_) | None => None,
            },
            result: given(self.result),
            enqueue: self.enqueue.filter(|text| text.starts_with('[')),
        })
    }
}

/// Children echo what they got, which is a string; a number is as good.
fn identity(value: Option<&str>) -> Option<Cow<'_, str>> {
    match value {
        None | Some("null") => None,
        Some(text) => Some(words(Some(text))),
    }
}

/// The text of a string, and JSON as it stands of anything else.
fn words(value: Option<&str>) -> Cow<'_, str> {
    match value {
        None | Some("null") => Cow::Borrowed(""),
        Some(text) => unescaped(text, 0).unwrap_or(Cow::Borrowed(text)),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim_matches('"').parse().ok()?;
    seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT)))
}
