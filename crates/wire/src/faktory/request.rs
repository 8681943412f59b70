//! What stands in the JSON of commands other than jobs.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::job::{LONGEST_NAME, SHORTEST_JID};
use super::refusal::{Refusal, shown};

/// Most settlements of one `ACKB`, and most jobs of one `PUSHB`.
pub const MOST_AT_ONCE: usize = 10_000;
/// Most jobs of one `FETCHB`.
pub const MOST_FETCHED: u32 = 1000;
/// Most bytes of a result.
pub const LARGEST_RESULT: usize = 64 << 10;
/// Longest error type, in characters.
const LONGEST_TYPE: usize = 100;
/// Longest error message, in characters.
const LONGEST_MESSAGE: usize = 1000;
/// Longest line of a backtrace, in characters.
const LONGEST_LINE: usize = 1000;
/// Most lines of a backtrace that are read.
const MOST_LINES: usize = 50;

/// `HELLO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Hello<'a> {
    /// The version of the protocol.
    #[serde(default)]
    pub v: Option<i64>,
    /// Makes it a consumer.
    #[serde(borrow, default)]
    pub wid: Option<Cow<'a, str>>,
    /// Where it runs.
    #[serde(borrow, default)]
    pub hostname: Option<Cow<'a, str>>,
    /// Its process there.
    #[serde(default)]
    pub pid: Option<i64>,
    /// What it calls itself.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// The answer to the challenge.
    #[serde(borrow, default)]
    pub pwdhash: Option<Cow<'a, str>>,
}

/// `ACK`; members that only our own clients send stand last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ack<'a> {
    /// Which job.
    #[serde(borrow)]
    pub jid: Cow<'a, str>,
    /// Under which lease it was fetched.
    #[serde(default)]
    pub lease: Option<u64>,
}

/// `FAIL`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fail<'a> {
    /// Which job.
    #[serde(borrow)]
    pub jid: Cow<'a, str>,
    /// The type of the error.
    #[serde(borrow, default)]
    pub errtype: Option<Cow<'a, str>>,
    /// What it says.
    #[serde(borrow, default)]
    pub message: Option<Cow<'a, str>>,
    /// Where it came from.
    #[serde(default)]
    pub backtrace: Option<Vec<String>>,
    /// Under which lease it was fetched.
    #[serde(default)]
    pub lease: Option<u64>,
}

/// `BEAT`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Beat<'a> {
    /// Which worker.
    #[serde(borrow)]
    pub wid: Cow<'a, str>,
    /// `quiet` or `terminate` when it is on its way there.
    #[serde(borrow, default)]
    pub current_state: Option<Cow<'a, str>>,
    /// Memory it uses.
    #[serde(default)]
    pub rss_kb: Option<i64>,
}

/// `MUTATE`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mutation<'a> {
    /// What to do.
    #[serde(borrow, default)]
    pub cmd: Cow<'a, str>,
    /// With which set.
    #[serde(borrow, default)]
    pub target: Cow<'a, str>,
    /// With which of its jobs; all without one.
    #[serde(borrow, default)]
    pub filter: Option<Filter<'a>>,
}

/// Which jobs are meant: those that are named, are of the type and hold the pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Filter<'a> {
    /// These.
    #[serde(default)]
    pub jids: Option<Vec<String>>,
    /// Those of this type.
    #[serde(borrow, default)]
    pub jobtype: Option<Cow<'a, str>>,
    /// Those whose text this pattern, in which `*` and `?` stand for anything, matches.
    #[serde(borrow, default)]
    pub regexp: Option<Cow<'a, str>>,
}

/// `FETCHB`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchBulk {
    /// How many jobs at most.
    #[serde(default = "one")]
    pub n: u32,
    /// From which queues, the first ones first.
    #[serde(default)]
    pub queues: Vec<String>,
    /// How long to wait when there is none.
    #[serde(default)]
    pub wait_ms: Option<u32>,
}

/// `LEASES`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leases<'a> {
    /// What the worker has.
    #[serde(borrow)]
    pub held: Vec<Ack<'a>>,
    /// How long to wait while all of it is its own.
    #[serde(default)]
    pub wait_ms: Option<u32>,
}

/// `RESULT`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome<'a> {
    /// Which job.
    #[serde(borrow)]
    pub jid: Cow<'a, str>,
    /// Under which lease it was fetched.
    #[serde(default)]
    pub lease: Option<u64>,
    /// What it came to; without it the result is asked for.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
}

/// `JOBS`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Of which state: those of `JOB`.
    pub state: String,
    /// Of which queue alone.
    #[serde(default)]
    pub queue: Option<String>,
    /// Of which type alone.
    #[serde(default)]
    pub jobtype: Option<String>,
    /// How many at most.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only those after this one, as `next` of the page before said.
    #[serde(default)]
    pub after: Option<u64>,
}

/// `WORKERS`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steering {
    /// `quiet` or `terminate`; without it the workers are listed.
    #[serde(default)]
    pub state: Option<String>,
    /// Which ones; all without it.
    #[serde(default)]
    pub wids: Option<Vec<String>>,
}

fn one() -> u32 {
    1
}

/// Reads the JSON of `verb`.
///
/// # Errors
/// What is wrong with it.
pub fn read<'a, T: Deserialize<'a>>(verb: &str, text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::error(format!("{verb}: malformed JSON: {error}")))
}

impl Fail<'_> {
    /// The error type and the message, cut to what is kept.
    pub fn told(&self) -> (String, String) {
        let cut = |text: &Option<Cow<'_, str>>, most| text.as_deref().unwrap_or_default().chars().take(most).collect();
        (cut(&self.errtype, LONGEST_TYPE), cut(&self.message, LONGEST_MESSAGE))
    }

    /// At most `lines` of the backtrace.
    pub fn backtrace(&self, lines: u32) -> Vec<String> {
        let most = usize::try_from(lines).map_or(MOST_LINES, |lines| lines.min(MOST_LINES));
        let lines = self.backtrace.iter().flatten().take(most);
        lines.map(|line| line.chars().take(LONGEST_LINE).collect()).collect()
    }
}

/// Refuses what cannot be a worker's name.
///
/// # Errors
/// Which names there are.
pub fn check_wid(wid: &str) -> Result<(), Refusal> {
    if wid.len() < SHORTEST_JID || wid.len() > LONGEST_NAME || wid.chars().any(char::is_control) {
        return Err(Refusal::error(format!(
            "wid has {SHORTEST_JID} to {LONGEST_NAME} characters, none of them control characters, not {}",
            shown(wid)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_errors_are_cut_at_a_character() {
        let text = format!(
            r#"{{"jid":"12345678","errtype":"{}","message":"{}","backtrace":["a","b","c"]}}"#,
            "é".repeat(101),
            "ü".repeat(2000)
        );
        let fail: Fail<'_> = read("FAIL", &text).expect("JSON");
        assert_eq!(fail.told(), ("é".repeat(100), "ü".repeat(1000)));
        assert_eq!((fail.backtrace(2).len(), fail.backtrace(0).len(), fail.backtrace(99).len()), (2, 0, 3));
    }

    #[test]
    fn null_is_as_if_it_were_not_there() {
        let hello: Hello<'_> = read("HELLO", r#"{"v":2,"wid":null,"labels":null,"rss_kb":1,"more":[]}"#).expect("JSON");
        assert_eq!(hello, Hello { v: Some(2), ..Hello::default() });
        assert!(
            read::<Mutation<'_>>("MUTATE", r#"{"cmd": "kill", "target": "retries", "filter": {"jids": null}}"#).is_ok()
        );
    }

    #[test]
    fn wrong_types_are_told() {
        for text in ["", "[]", "{}", r#"{"jid":5}"#, r#"{"jid":"12345678","lease":-1}"#] {
            let refused = read::<Ack<'_>>("ACK", text).expect_err(text);
            assert!(refused.text.starts_with("ACK: malformed JSON: "), "{}", refused.text);
        }
    }
}
