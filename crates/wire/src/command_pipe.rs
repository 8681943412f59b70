//! Lines of the command pipe: words and questions to a program; answers, events, metrics and questions from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// The longest line that is read, without its newline.
pub const MAX_LINE: usize = 64 * 1024;
/// The longest line that is written: what the kernel takes whole or not at all.
pub const MAX_WRITTEN: usize = 32 * 1024;

/// What a program answers or tells by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// To what, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// `ok`, `failure`, or whatever else the program calls it.
    pub status: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
}

impl Answer {
    /// From a line.
    ///
    /// # Errors
    /// When it is no object with a `status`.
    pub fn decode(line: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(line).map_err(Error::new("decode a line of a command pipe"))
    }
}

/// A question: of the engine to a program, which answers with the same id, or of a program to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The asker's; the answer carries it.
    pub id: String,
    /// What is asked.
    pub verb: String,
    /// With what.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub args: Value,
    /// How long the asker waits, from the moment this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// The verb that shows and sets which lines a program writes.
pub const LOG_LEVEL: &str = "log-level";

/// Arguments and answer of [`LOG_LEVEL`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// `debug`; none only asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

impl LogLevel {
    /// What arguments or an answer say; something else says nothing.
    pub fn of(content: &Value) -> Self {
        Self::deserialize(content).unwrap_or_default()
    }

    /// As arguments or an answer.
    pub fn content(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Something that happened in a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What, by a short name: `cache-cold`.
    pub event: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
}

/// What a program counts: all it has counted since it began, not what is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// One for each series.
    pub metrics: Vec<Metric>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `jobs_done_total`.
    pub name: String,
    /// What tells it apart from others of that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Its value.
    #[serde(flatten)]
    pub value: Measure,
}

/// A value by its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Measure {
    /// Only grows.
    Counter {
        /// How far it is.
        value: f64,
    },
    /// Goes up and down.
    Gauge {
        /// How it stands.
        value: f64,
        /// What those of several workers amount to: `sum` (the default), `max`, `min` or `mean`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        merge: Option<String>,
    },
    /// How often values fell under which bound.
    Histogram {
        /// Upper bound and how many values were at most that, bounds growing; the last need not be infinite.
        buckets: Vec<(f64, u64)>,
        /// Of all values.
        sum: f64,
        /// How many values.
        count: u64,
    },
    /// The program has this series no more.
    Gone,
}

/// A line that a program wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// What it answers.
    Answer(Answer),
    /// What happened.
    Event(Event),
    /// What it counts.
    Metrics(Metrics),
    /// What it wants to know.
    Question(Question),
}

impl Said {
    /// From a line: what it is says the key that is there.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn decode(line: &[u8]) -> Result<Self, Error> {
        let doing = || Error::new("decode a line of a command pipe");
        let keys: Keys = serde_json::from_slice(line).map_err(doing())?;
        let said = match keys {
            Keys { status: Some(_), .. } => serde_json::from_slice(line).map(Self::Answer),
            Keys { event: Some(_), .. } => serde_json::from_slice(line).map(Self::Event),
            Keys { metrics: Some(_), .. } => serde_json::from_slice(line).map(Self::Metrics),
            _ => serde_json::from_slice(line).map(Self::Question),
        };
        said.map_err(doing())
    }

    /// The id in the beginning of a line that is too long to be read, where it is there.
    pub fn id_of_beginning(beginning: &[u8]) -> Option<u64> {
        let text = String::from_utf8_lossy(beginning);
        let rest = text.split_once("\"id\"")?.1.trim_start().strip_prefix(':')?.trim_start();
        let rest = rest.strip_prefix('"').unwrap_or(rest);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

/// Which keys a line has.
#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(default, borrow)]
    status: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    event: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    metrics: Option<&'a serde_json::value::RawValue>,
}

/// The line of a word.
pub fn line(word: &str) -> Vec<u8> {
    let mut line = word.as_bytes().to_vec();
    line.push(b'\n');
    line
}

/// The line of a question, an answer or anything else that goes over a command pipe.
pub fn json_line(said: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and JSON values always serialize; an empty line is noise to whoever reads it.
    let mut line = serde_json::to_vec(said).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_at_least() {
        let answer = Answer::decode(br#"{"id":7,"status":"ok","message":"done","content":{"n":1},"more":2}"#);
        let answer = answer.expect("an answer");
        assert_eq!((answer.id, answer.status.as_str(), answer.message.as_str()), (Some(7.into()), "ok", "done"));
        assert!(Answer::decode(br#"{"status":"ok"}"#).is_ok());
        for line in ["", "ok", "[]", "{}", r#"{"status":1}"#, r#"{"message":"x"}"#, "\u{0}"] {
            assert!(Answer::decode(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_line_is_what_its_keys_say() {
        let said = |line: &str| Said::decode(line.as_bytes());
        assert!(matches!(said(r#"{"id":"7","status":"ok"}"#), Ok(Said::Answer(_))));
        assert!(matches!(said(r#"{"event":"cache-cold","content":[1]}"#), Ok(Said::Event(_))));
        assert!(matches!(said(r#"{"id":"7","verb":"status"}"#), Ok(Said::Question(_))));
        let metrics = said(
            r#"{"metrics":[{"name":"a_total","kind":"counter","value":3},{"name":"b","kind":"gauge","value":1.5,"merge":"max"},
               {"name":"c","labels":{"x":"y"},"kind":"histogram","buckets":[[0.1,2],[1.0,3]],"sum":1.25,"count":4}]}"#,
        );
        let Ok(Said::Metrics(metrics)) = metrics else { panic!("{metrics:?}") };
        assert_eq!(metrics.metrics[0].value, Measure::Counter { value: 3.0 });
        let gone = Said::decode(br#"{"metrics":[{"name":"a","labels":{"x":"y"},"kind":"gone"}]}"#).expect("metrics");
        assert!(matches!(gone, Said::Metrics(gone) if gone.metrics[0].value == Measure::Gone));
        let again = Said::decode(&json_line(&metrics)).expect("what was written");
        assert_eq!(again, Said::Metrics(metrics));
        for line in ["", "x", "[]", "{}", r#"{"verb":"x"}"#, r#"{"event":1}"#, r#"{"metrics":[{"name":"a"}]}"#] {
            assert!(said(line).is_err(), "{line}");
        }
        assert_eq!(Said::id_of_beginning(br#"{"id": "12","status":"ok","content":"xxx"#), Some(12));
        assert_eq!(Said::id_of_beginning(br#"{"status":"ok","id":12,"co"#), Some(12));
        assert_eq!(Said::id_of_beginning(b"xxxx"), None);
    }
}
