//! A job to push.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evercrew_wire::faktory::stamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::error::ClientError;
use crate::plain::new_jid;

/// A job to push: a type, arguments, and how it is to be treated.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let job = evercrew_jobs::Job::new("SendMail", ("ada@example.com", 42)).queue("mail").after(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    jid: String,
    jobtype: String,
    #[serde(serialize_with = "args")]
    args: Result<Box<RawValue>, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_for: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom: Map<String, Value>,
}

fn args<S: serde::Serializer>(args: &Result<Box<RawValue>, String>, serializer: S) -> Result<S::Ok, S::Error> {
    match args {
        Ok(args) => args.serialize(serializer),
        Err(why) => Err(serde::ser::Error::custom(why)),
    }
}

impl Job {
    /// A job of this type; a tuple, an array or a list is its arguments, anything else its only argument.
    ///
    /// Arguments that cannot be written as JSON are told when the job is pushed.
    pub fn new(kind: impl Into<String>, args: impl Serialize) -> Self {
        let args = to_raw_value(&args).map_err(|error| error.to_string()).and_then(|args| match args.get() {
            list if list.starts_with('[') => Ok(args),
            "null" => RawValue::from_string("[]".to_owned()).map_err(|error| error.to_string()),
            one => RawValue::from_string(format!("[{one}]")).map_err(|error| error.to_string()),
        });
        Self {
            // Without random bytes the kernel itself is broken; a server refuses the empty name.
            jid: new_jid().unwrap_or_default(),
            jobtype: kind.into(),
            args,
            queue: None,
            reserve_for: None,
            retry: None,
            backtrace: None,
            at: None,
            custom: Map::new(),
        }
    }

    /// Its name, which no other job has unless [`Job::named`] gave it.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.jobtype
    }

    /// Its arguments, an array of JSON.
    pub fn args(&self) -> &str {
        self.args.as_ref().map_or("", |args| args.get())
    }

    /// Its queue.
    pub fn queue_name(&self) -> &str {
        self.queue.as_deref().unwrap_or("default")
    }

    /// Gives it this name, of at least 8 characters.
    #[must_use]
    pub fn named(mut self, jid: impl Into<String>) -> Self {
        self.jid = jid.into();
        self
    }

    /// Puts it into this queue; `default` without.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// For how long a worker may keep it, a day at most; 30 minutes without.
    #[must_use]
    pub fn reserve_for(mut self, time: Duration) -> Self {
        self.reserve_for = Some(time.as_secs().max(1));
        self
    }

    /// How often it is tried again; 0 throws it away at its first failure, -1 keeps it as dead. 25 without.
    #[must_use]
    pub fn retry(mut self, times: i32) -> Self {
        self.retry = Some(times.into());
        self
    }

    /// How many lines of a failure's backtrace are kept.
    #[must_use]
    pub fn backtrace(mut self, lines: u32) -> Self {
        self.backtrace = Some(lines);
        self
    }

    /// It is for later.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at = Some(stamp::text(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)));
        self
    }

    /// It is for so much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        self.at(SystemTime::now() + delay)
    }

    /// Anything beside its arguments that workers, middleware and servers understand.
    #[must_use]
    pub fn custom(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.custom.insert(name.into(), value.into());
        self
    }

    /// Its like, of the same type, arguments and queue, is refused for so long, or until it is done. For servers that
    /// know unique jobs.
    #[must_use]
    pub fn unique_for(self, time: Duration) -> Self {
        self.custom("unique_for", time.as_secs())
    }

    /// Its like is taken again once it has begun.
    #[must_use]
    pub fn unique_until_start(self) -> Self {
        self.custom("unique_until", "start")
    }

    /// It is dropped when nobody fetched it within this time. For servers that know expiry.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        self.custom("expires_in", time.as_secs())
    }

    /// How far it is can be asked. For servers that track jobs.
    #[must_use]
    pub fn tracked(self) -> Self {
        self.custom("track", 1)
    }

    pub(crate) fn in_batch(self, bid: &str) -> Self {
        self.custom("bid", bid)
    }

    /// Its text, as it is sent.
    ///
    /// # Errors
    /// [`ClientError::Unsendable`].
    pub fn to_json(&self) -> Result<String, ClientError> {
        serde_json::to_string(self).map_err(|error| ClientError::Unsendable(format!("job {}: {error}", self.jobtype)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_is_not_said_is_left_to_the_server() {
        let json = |job: Job| job.named("12345678").to_json().expect("JSON");
        assert_eq!(json(Job::new("A", ("x", 1))), r#"{"jid":"12345678","jobtype":"A","args":["x",1]}"#);
        assert_eq!(json(Job::new("A", ())), r#"{"jid":"12345678","jobtype":"A","args":[]}"#);
        assert_eq!(json(Job::new("A", "x")), r#"{"jid":"12345678","jobtype":"A","args":["x"]}"#);
        let job = Job::new("A", [u64::MAX]).queue("q").retry(-1).reserve_for(Duration::from_secs(5)).backtrace(3);
        let job = job.unique_for(Duration::from_secs(9)).at(UNIX_EPOCH + Duration::from_secs(1_796_083_200));
        assert_eq!(
            json(job),
            r#"{"jid":"12345678","jobtype":"A","args":[18446744073709551615],"queue":"q","reserve_for":5,"retry":-1,"backtrace":3,"at":"2026-12-01T00:00:00.000000Z","custom":{"unique_for":9}}"#
        );
    }

    #[test]
    fn arguments_that_are_no_json_are_told_when_it_is_pushed() {
        let job = Job::new("A", [HashMap::from([((1, 2), 3)])]);
        assert!(matches!(job.to_json(), Err(ClientError::Unsendable(_))));
        assert_eq!(Job::new("A", ()).jid().len(), 24);
    }
}
