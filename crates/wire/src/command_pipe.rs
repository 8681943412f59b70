//! Lines of the command pipe: words to a program, answers from it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// The longest line that is read, without its newline.
pub const MAX_LINE: usize = 64 * 1024;

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

/// The line of a word.
pub fn line(word: &str) -> Vec<u8> {
    let mut line = word.as_bytes().to_vec();
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
}
