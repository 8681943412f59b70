//! The parts that connections play.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::crew::{Answer, Role};

/// Numbers jobs, so that no two have the same jid.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The JSON of a new job of about 300 bytes, with `more` members.
pub(crate) fn job(more: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let jid = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{{\"jid\":\"{jid:016x}{number:08x}\",\"jobtype\":\"SendMail\",\"queue\":\"default\",\"args\":[{number},\"someone@example.com\",\
         {{\"subject\":\"a subject of some length\",\"template\":\"welcome\",\"locale\":\"en-GB\"}}],\"reserve_for\":600,\
         \"custom\":{{\"trace\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}}{more}}}"
    )
}

/// Pushes as fast as it is answered.
pub(crate) struct Pusher {
    /// Jobs a command; 1 is PUSH, more is PUSHB.
    pub(crate) at_once: u64,
    /// Jobs still to push.
    pub(crate) left: u64,
    /// More members of each job.
    pub(crate) more: String,
    pub(crate) pushed: u64,
    pub(crate) times: Vec<Duration>,
    sent: Option<Instant>,
}

impl Pusher {
    pub(crate) fn new(at_once: u64, left: u64, more: &str) -> Self {
        Self { at_once, left, more: more.to_owned(), pushed: 0, times: Vec::new(), sent: None }
    }
}

impl Role for Pusher {
    fn next(&mut self, answer: Option<Answer<'_>>, now: Instant, out: &mut Vec<u8>) {
        if answer.is_some() {
            self.pushed += self.at_once;
            self.times.extend(self.sent.map(|sent| now - sent));
        }
        if let Some(Answer::Bulk(Some(failures))) = answer {
            assert_eq!(failures, b"{}", "jobs were refused");
        }
        if self.left == 0 {
            return;
        }
        self.left = self.left.saturating_sub(self.at_once);
        if self.at_once == 1 {
            out.extend_from_slice(b"PUSH ");
            out.extend_from_slice(job(&self.more).as_bytes());
        } else {
            out.extend_from_slice(b"PUSHB [");
            for number in 0..self.at_once {
                out.extend_from_slice(if number == 0 { b"" } else { b"," });
                out.extend_from_slice(job(&self.more).as_bytes());
            }
            out.push(b']');
        }
        out.extend_from_slice(b"\r\n");
        self.sent = Some(Instant::now());
    }
}

/// Fetches and acknowledges.
pub(crate) struct Worker {
    /// Ends after this many jobs.
    pub(crate) left: u64,
    pub(crate) done: u64,
    /// From the FETCH to the job, and from the ACK to its answer.
    pub(crate) fetches: Vec<Duration>,
    pub(crate) acks: Vec<Duration>,
    /// What it received, and when by the wall clock.
    pub(crate) received: Vec<(u64, Vec<u8>)>,
    fails: bool,
    keeps: bool,
    is_fetching: bool,
    sent: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(left: u64) -> Self {
        Self {
            left,
            done: 0,
            fetches: Vec::new(),
            acks: Vec::new(),
            fails: false,
            received: Vec::new(),
            keeps: false,
            is_fetching: false,
            sent: None,
        }
    }

    /// One that says FAIL instead of ACK.
    pub(crate) fn failing(self) -> Self {
        Self { fails: true, ..self }
    }

    /// One that keeps what it receives.
    pub(crate) fn keeping(self) -> Self {
        Self { keeps: true, ..self }
    }
}

impl Role for Worker {
    fn next(&mut self, answer: Option<Answer<'_>>, now: Instant, out: &mut Vec<u8>) {
        let took = self.sent.map(|sent| now - sent);
        match answer {
            Some(Answer::Bulk(Some(job))) if self.is_fetching => {
                self.fetches.extend(took);
                if self.keeps {
                    self.received.push((wall_nanos(), job.to_vec()));
                }
                let start = job.windows(7).position(|seven| seven == b"\"jid\":\"").expect("a jid") + 7;
                let jid = &job[start..start + 24];
                out.extend_from_slice(if self.fails { b"FAIL {\"jid\":\"" } else { b"ACK {\"jid\":\"" });
                out.extend_from_slice(jid);
                out.extend_from_slice(if self.fails {
                    b"\",\"errtype\":\"E\",\"message\":\"m\"}\r\n"
                } else {
                    b"\"}\r\n"
                });
                self.is_fetching = false;
                self.sent = Some(Instant::now());
                return;
            }
            Some(Answer::Line) if !self.is_fetching => {
                self.done += 1;
                self.left = self.left.saturating_sub(1);
                self.acks.extend(took);
            }
            Some(Answer::Bulk(None)) | None => {}
            Some(answer) => panic!("an answer that was not asked for: {answer:?}"),
        }
        if self.left > 0 {
            out.extend_from_slice(b"FETCH default\r\n");
            self.is_fetching = true;
            self.sent = Some(Instant::now());
        }
    }
}

/// Wall time in nanoseconds.
pub(crate) fn wall_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
