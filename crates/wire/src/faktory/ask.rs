//! What a client says: lines of the protocol, appended to what is to be sent.

use serde::Serialize;

/// `HELLO`; with a `wid` of a worker, without one of somebody who pushes and asks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Greeting<'a> {
    /// The version of the protocol.
    pub v: u8,
    /// The worker's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wid: Option<&'a str>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<&'a str>,
    /// Its process there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What it calls itself.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub labels: &'a [String],
    /// The answer to the challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pwdhash: Option<String>,
}

/// A job that is settled, by name and lease.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Settled<'a> {
    /// Its name.
    pub jid: &'a str,
    /// The number of its lease, where the server gives such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
}

/// `FAIL`.
#[derive(Clone, Debug, Serialize)]
pub struct Failed<'a> {
    /// Which job.
    #[serde(flatten)]
    pub job: Settled<'a>,
    /// The type of the error.
    pub errtype: &'a str,
    /// What it says.
    pub message: &'a str,
    /// Where it came from.
    pub backtrace: &'a [String],
}

/// `BEAT`.
#[derive(Clone, Debug, Serialize)]
pub struct Beat<'a> {
    /// Which worker.
    pub wid: &'a str,
    /// `quiet` or `terminate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_state: Option<&'a str>,
    /// Memory it uses.
    pub rss_kb: u64,
}

/// `FETCHB`.
#[derive(Clone, Debug, Serialize)]
pub struct FetchBulk<'a> {
    /// How many jobs at most.
    pub n: u32,
    /// From which queues, the first ones first.
    pub queues: &'a [&'a str],
    /// How long to wait when there is none.
    pub wait_ms: u64,
}

/// Appends a verb and its JSON.
pub fn line(out: &mut Vec<u8>, verb: &str, json: &impl Serialize) {
    let before = out.len();
    out.extend_from_slice(verb.as_bytes());
    out.push(b' ');
    // Nothing that is said here can fail to be written: its maps have names as keys, and memory does not fail.
    if serde_json::to_writer(&mut *out, json).is_err() {
        out.truncate(before);
        return;
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a verb and words.
pub fn words<'a>(out: &mut Vec<u8>, verb: &str, words: impl IntoIterator<Item = &'a str>) {
    out.extend_from_slice(verb.as_bytes());
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::request::{self, Ack, Fail, Hello};
    use super::super::{Command, line};
    use super::*;

    fn said(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_server_reads_what_a_client_says() {
        let job = Settled { jid: "12345678", lease: Some(7) };
        let ack = said(|out| line(out, "ACK", &job));
        assert_eq!(ack, "ACK {\"jid\":\"12345678\",\"lease\":7}\r\n");
        let line::Next::Line(text, _) = line::next(ack.as_bytes(), 0, true) else { panic!("a line") };
        let Ok(Command::Ack(json)) = Command::read(text) else { panic!("ACK") };
        assert_eq!(request::read::<Ack<'_>>("ACK", json).expect("JSON").lease, Some(7));
        let backtrace = ["a".to_owned()];
        let fail =
            Failed { job: Settled { lease: None, ..job }, errtype: "E", message: "x\r\ny", backtrace: &backtrace };
        let fail = said(|out| line(out, "FAIL", &fail));
        assert_eq!(fail.lines().count(), 1, "an error's text ends no line");
        let json = fail.trim_end().strip_prefix("FAIL ").expect("FAIL");
        let read: Fail<'_> = request::read("FAIL", json).expect("JSON");
        assert_eq!((read.message.as_deref(), read.lease), (Some("x\r\ny"), None));
        let greeting = Greeting { v: 2, wid: Some("worker-1"), pid: Some(9), ..Greeting::default() };
        let hello = said(|out| line(out, "HELLO", &greeting));
        let json = hello.trim_end().strip_prefix("HELLO ").expect("HELLO");
        assert_eq!(request::read::<Hello<'_>>("HELLO", json).expect("JSON").pid, Some(9));
        assert_eq!(said(|out| words(out, "FETCH", ["a", "b"])), "FETCH a b\r\n");
    }
}
