//! A job as a worker gets it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::job::{DEFAULT_QUEUE, LONGEST_RESERVE_FOR, MOST_BACKTRACE, RESERVE_FOR, jid_of};

/// A job that a server handed out. Members that nobody knows stay in its text.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its name.
    pub jid: String,
    /// Its type.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Its arguments, an array, byte for byte as they were pushed.
    pub args: Box<RawValue>,
    /// What was pushed beside them, an object.
    pub custom: Option<Box<RawValue>>,
    /// For how long it is reserved.
    pub reserve_for: Duration,
    /// How often it failed before.
    pub failures: u32,
    /// How many lines of a backtrace are kept of it.
    pub backtrace: usize,
    /// The number of its lease, where the server gives such.
    pub lease: Option<u64>,
    /// The same as long as it is the same job and has not failed once more.
    pub version: u64,
    /// All of it, as it came.
    pub text: Box<str>,
}

/// Why a text is no job that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Its name, where it has one.
    pub jid: Option<String>,
    /// The number of its lease.
    pub lease: Option<u64>,
    /// What is wrong.
    pub why: String,
}

/// What is read of a job; whatever other languages write there is taken.
#[derive(Deserialize)]
struct Members<'a> {
    jid: String,
    jobtype: String,
    args: Box<RawValue>,
    #[serde(default)]
    queue: Option<String>,
    #[serde(default)]
    custom: Option<Box<RawValue>>,
    #[serde(borrow, default)]
    reserve_for: Option<&'a RawValue>,
    #[serde(borrow, default)]
    backtrace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    lease: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    failure: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Failure<'a> {
    #[serde(borrow, default)]
    retry_count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    failed_at: Option<&'a RawValue>,
}

/// Only what tells which job it is.
#[derive(Default, Deserialize)]
struct Name<'a> {
    #[serde(borrow, default)]
    lease: Option<&'a RawValue>,
}

impl Delivery {
    /// Reads the text of a job.
    ///
    /// # Errors
    /// What is wrong with it, and whose fault that is.
    pub fn read(text: &str) -> Result<Self, Undecodable> {
        let members: Members<'_> = serde_json::from_str(text).map_err(|error| undecodable(text, error.to_string()))?;
        if !members.args.get().starts_with('[') {
            return Err(undecodable(text, "its args are no array".to_owned()));
        }
        let failure: Failure<'_> =
            members.failure.and_then(|failure| serde_json::from_str(failure.get()).ok()).unwrap_or_default();
        let mut version = DefaultHasher::new();
        for part in [members.created_at, failure.failed_at, failure.retry_count] {
            part.map(RawValue::get).hash(&mut version);
        }
        let reserve_for = whole(members.reserve_for).and_then(|seconds| u32::try_from(seconds).ok());
        let reserve_for = reserve_for.filter(|seconds| *seconds > 0).unwrap_or(RESERVE_FOR).min(LONGEST_RESERVE_FOR);
        let backtrace = whole(members.backtrace).and_then(|lines| u32::try_from(lines).ok()).unwrap_or(0);
        // It counts from 0 at the first failure.
        let failures =
            whole(failure.retry_count).map_or(0, |count| u32::try_from(count).unwrap_or(0).saturating_add(1));
        Ok(Self {
            jid: members.jid,
            kind: members.jobtype,
            queue: members.queue.filter(|queue| !queue.is_empty()).unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            args: members.args,
            custom: members.custom,
            reserve_for: Duration::from_secs(reserve_for.into()),
            failures,
            backtrace: backtrace.min(MOST_BACKTRACE) as usize,
            lease: members.lease.and_then(|lease| lease.get().parse().ok()),
            version: version.finish(),
            text: text.into(),
        })
    }
}

/// The texts of many jobs.
///
/// # Errors
/// When it is no array.
pub fn many(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text)
}

fn undecodable(text: &str, why: String) -> Undecodable {
    let jid = jid_of(text).into_owned();
    let name: Name<'_> = serde_json::from_str(text).unwrap_or_default();
    let lease = name.lease.and_then(|lease| lease.get().parse().ok());
    Undecodable { jid: (!jid.is_empty()).then_some(jid), lease, why }
}

fn whole(value: Option<&RawValue>) -> Option<i64> {
    value.and_then(|value| value.get().parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jobs_as_other_languages_push_them() {
        for more in [
            "",
            r#","retry":-1"#,
            r#","retry":9223372036854775807,"reserve_for":9223372036854775807"#,
            r#","retry":null,"reserve_for":null,"custom":null,"failure":null,"at":null,"queue":null,"backtrace":null"#,
            r#","unheard":{"of":[1]},"reserve_for":1.5,"priority":5"#,
        ] {
            let text = format!(r#"{{"jid":"12345678","jobtype":"M","args":[ 9223372036854775807123, 1.10 ]{more}}}"#);
            let job = Delivery::read(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(job.args.get(), "[ 9223372036854775807123, 1.10 ]", "byte for byte");
            assert_eq!((job.queue.as_str(), job.failures), ("default", 0));
            assert!(job.reserve_for >= Duration::from_secs(1) && job.reserve_for <= Duration::from_secs(86_400));
        }
    }

    #[test]
    fn a_job_that_cannot_be_read_is_named_all_the_same() {
        let refused = Delivery::read(r#"{"jid":"12345678","jobtype":7,"args":[],"lease":5}"#).expect_err("no text");
        assert_eq!((refused.jid.as_deref(), refused.lease), (Some("12345678"), Some(5)));
        let refused = Delivery::read(r#"{"jid":"12345678","jobtype":"M","args":{}}"#).expect_err("no array");
        assert_eq!(refused.jid.as_deref(), Some("12345678"));
        assert_eq!(Delivery::read("nonsense").expect_err("no JSON").jid, None);
    }

    #[test]
    fn a_failure_makes_another_version() {
        let text = |more: &str| {
            format!(r#"{{"jid":"12345678","jobtype":"M","args":[],"created_at":"2026-12-01T00:00:00Z"{more}}}"#)
        };
        let version = |more: &str| Delivery::read(&text(more)).expect("job").version;
        assert_eq!(version(r#","lease":1,"enqueued_at":"a""#), version(r#","lease":2,"enqueued_at":"b""#));
        assert_ne!(version(""), version(r#","failure":{"retry_count":0,"failed_at":"x"}"#));
        assert_eq!(Delivery::read(&text(r#","failure":{"retry_count":2}"#)).expect("job").failures, 3);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = Delivery::read(&text);
        }
    }
}
