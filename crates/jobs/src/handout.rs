//! A job as a worker gets it: the text that came, with what only the server knows.

use evercrew_core::jobs::{Failure, Grant};
use evercrew_wire::faktory::{reply, stamp};
use serde_json::json;

/// How jobs are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A job.
    One,
    /// An array of jobs, each with its lease.
    Bulk,
    /// No jobs, but the names of those that have ended.
    Ended,
}

/// Appends one job.
pub(crate) fn one(out: &mut Vec<u8>, grant: &Grant, text: &[u8], retry: i32) {
    let mut tail = Vec::with_capacity(64);
    self::tail(&mut tail, grant, retry, false);
    let text = text.strip_suffix(b"}").unwrap_or(text);
    reply::bulk_of(out, text.len() + tail.len());
    out.extend_from_slice(text);
    out.extend_from_slice(&tail);
    out.extend_from_slice(b"\r\n");
}

/// Appends an array of jobs.
pub(crate) fn many<'a>(out: &mut Vec<u8>, grants: impl Iterator<Item = (&'a Grant, &'a [u8], i32)>) {
    let mut array = Vec::new();
    for (grant, text, retry) in grants {
        array.push(if array.is_empty() { b'[' } else { b',' });
        array.extend_from_slice(text.strip_suffix(b"}").unwrap_or(text));
        tail(&mut array, grant, retry, true);
    }
    array.push(b']');
    reply::bulk(out, &array);
}

fn tail(out: &mut Vec<u8>, grant: &Grant, retry: i32, with_lease: bool) {
    out.extend_from_slice(b",\"enqueued_at\":\"");
    stamp::write(grant.enqueued_at.0, out);
    out.push(b'"');
    if let Some(failure) = &grant.failure {
        out.extend_from_slice(b",\"failure\":");
        out.extend_from_slice(self::failure(failure, retry).to_string().as_bytes());
    }
    if with_lease {
        out.extend_from_slice(format!(",\"lease\":{}", grant.lease.0).as_bytes());
    }
    out.push(b'}');
}

/// How a job failed, as workers know it.
pub(crate) fn failure(failure: &Failure, retry: i32) -> serde_json::Value {
    let retried = failure.count.saturating_sub(1);
    let mut object = json!({
        "retry_count": retried,
        "remaining": i64::from(retry.max(0)).saturating_sub(i64::from(retried)).max(0),
        "failed_at": stamp::text(failure.at.0),
        "message": failure.message,
        "errtype": failure.kind,
    });
    if let Some(next) = failure.next {
        object["next_at"] = json!(stamp::text(next.0));
    }
    if !failure.backtrace.is_empty() {
        object["backtrace"] = json!(failure.backtrace);
    }
    object
}

#[cfg(test)]
mod tests {
    use evercrew_core::jobs::{JobNumber, LeaseNumber, Wall};

    use super::*;

    #[test]
    fn a_job_leaves_as_it_came_with_what_the_server_knows() {
        let failure = Failure { count: 2, kind: "E".to_owned(), message: "m".to_owned(), ..Failure::default() };
        let grant = Grant {
            number: JobNumber(1),
            lease: LeaseNumber(7),
            enqueued_at: Wall(1_796_083_200_000_000_000),
            failure: Some(Box::new(failure)),
        };
        let text = br#"{"jid":"a","args":[ 18446744073709551617 ]}"#;
        let mut out = Vec::new();
        one(&mut out, &grant, text, 25);
        let out = String::from_utf8(out).expect("text");
        let (head, body) = out.split_once("\r\n").expect("two lines");
        let body = body.strip_suffix("\r\n").expect("a line end");
        assert_eq!(head, format!("${}", body.len()));
        assert!(body.starts_with(
            r#"{"jid":"a","args":[ 18446744073709551617 ],"enqueued_at":"2026-12-01T00:00:00.000000Z","failure":{"#
        ));
        let job: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&job["failure"]["retry_count"], &job["failure"]["remaining"]), (&json!(1), &json!(24)));
        let mut out = Vec::new();
        many(&mut out, [(&grant, &text[..], 25), (&grant, &text[..], 25)].into_iter());
        let out = String::from_utf8(out).expect("text");
        let jobs: serde_json::Value =
            serde_json::from_str(out.split_once("\r\n").expect("two lines").1.trim()).expect("JSON");
        assert_eq!((jobs.as_array().map(Vec::len), &jobs[1]["lease"]), (Some(2), &json!(7)));
    }
}
