//! A worker's questions as bytes, and what is answered.

use std::sync::Arc;

use evercrew_core::work::{Abilities, Answer, Arrival, Blame, Claim, FETCH_WAIT, Hint, Order, Question, Stage};
use evercrew_wire::faktory::{Delivery, Reply, ask, many};
use serde_json::Value;

use super::failure::Failure;

/// A failure as it is told: its type, what it says, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) backtrace: Vec<String>,
}

impl Told {
    pub(crate) fn of(failure: Failure, lines: usize) -> Self {
        let backtrace = failure.lines(lines);
        Self { kind: failure.kind, message: failure.message, backtrace }
    }
}

/// A question of which the answer has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch { bulk: bool },
    Done { many: bool },
    Settle,
    Beat,
    End,
}

/// Who asks, and how.
#[derive(Debug)]
pub(crate) struct Voice {
    pub(crate) wid: String,
    pub(crate) queues: Vec<String>,
}

impl Voice {
    /// Appends a question.
    pub(crate) fn ask(&self, out: &mut Vec<u8>, abilities: Abilities, question: Question<Told>) -> Kind {
        match question {
            Question::Fetch { most, order } => {
                let queues: Vec<&str> = match order {
                    Order::AsGiven => self.queues.iter().map(String::as_str).collect(),
                    Order::Drawn(places) => places
                        .iter()
                        .filter_map(|place| self.queues.get(usize::from(*place)).map(String::as_str))
                        .collect(),
                };
                if abilities.bulk {
                    let wait_ms = u64::try_from(FETCH_WAIT.as_millis()).unwrap_or(u64::MAX);
                    ask::line(out, "FETCHB", &ask::FetchBulk { n: most, queues: &queues, wait_ms });
                } else {
                    ask::words(out, "FETCH", queues);
                }
                Kind::Fetch { bulk: abilities.bulk }
            }
            Question::Done(claims) => {
                let many = claims.len() != 1;
                match claims.as_slice() {
                    [one] => ask::line(out, "ACK", &settled(one)),
                    all => ask::line(out, "ACKB", &all.iter().map(settled).collect::<Vec<_>>()),
                }
                Kind::Done { many }
            }
            Question::Failed(claim, blame) => {
                let words = |kind: &str, message: &str| Told {
                    kind: kind.into(),
                    message: message.into(),
                    backtrace: Vec::new(),
                };
                let told = match blame {
                    Blame::Handler(told) => told,
                    Blame::NotBegun => words("Stopped", "the worker stopped before the job began"),
                    Blame::Overdue => words("Stopped", "the worker stopped, and the job did not end in time"),
                    Blame::GivenBack => words("GivenBack", "the job was given back"),
                };
                let job = settled(&claim);
                let failed =
                    ask::Failed { job, errtype: &told.kind, message: &told.message, backtrace: &told.backtrace };
                ask::line(out, "FAIL", &failed);
                Kind::Settle
            }
            Question::Refund(claim) => {
                ask::line(out, "REFUND", &settled(&claim));
                Kind::Settle
            }
            Question::Beat(stage) => {
                let current_state = match stage {
                    Stage::Running => None,
                    Stage::Quiet => Some("quiet"),
                    Stage::Terminating => Some("terminate"),
                };
                ask::line(out, "BEAT", &ask::Beat { wid: &self.wid, current_state, rss_kb: memory() });
                Kind::Beat
            }
            Question::End => {
                out.extend_from_slice(b"END\r\n");
                Kind::End
            }
        }
    }
}

fn settled(claim: &Claim) -> ask::Settled<'_> {
    ask::Settled { jid: &claim.jid, lease: claim.lease }
}

/// What a reply says to a question; `None` when it is no answer to it.
pub(crate) fn understand(kind: Kind, reply: Reply) -> Option<Answer<Delivery, Told>> {
    if let Reply::Refused { code, text } = &reply {
        let is_moot = code == "STALE" || text.starts_with("Job not found");
        return Some(match kind {
            _ if text.to_ascii_lowercase().starts_with("unknown worker") => Answer::UnknownWorker,
            Kind::Done { .. } | Kind::Settle if is_moot => Answer::Moot,
            Kind::Fetch { .. } | Kind::Done { .. } | Kind::Settle | Kind::Beat | Kind::End => Answer::Refused,
        });
    }
    Some(match (kind, reply) {
        (Kind::Fetch { .. }, Reply::Nothing) => Answer::Jobs(Vec::new()),
        (Kind::Fetch { bulk: false }, Reply::Bulk(text)) => Answer::Jobs(arrival(&text).into_iter().collect()),
        (Kind::Fetch { bulk: true }, Reply::Bulk(text)) => {
            Answer::Jobs(many(&text).ok()?.into_iter().filter_map(|job| arrival(job.get())).collect())
        }
        (Kind::Done { many: true }, Reply::Bulk(text)) => {
            let refused: Value = serde_json::from_str(&text).ok()?;
            let jids = refused.as_object()?.keys().map(|jid| Arc::from(jid.as_str())).collect();
            Answer::MootOf(jids)
        }
        (Kind::Done { .. } | Kind::Settle | Kind::End, Reply::Simple(_)) => Answer::Ok,
        (Kind::Beat, Reply::Simple(_)) => Answer::Beat(Hint::None),
        (Kind::Beat, Reply::Bulk(text)) => {
            let asked: Value = serde_json::from_str(&text).ok()?;
            Answer::Beat(match asked["state"].as_str() {
                Some("quiet") => Hint::Quiet,
                Some("terminate") => Hint::Terminate,
                Some(_) | None => Hint::None,
            })
        }
        (Kind::Beat, Reply::Nothing) => Answer::Beat(Hint::None),
        _ => return None,
    })
}

/// A job, or why it is none. One without a name is left to its reservation.
fn arrival(text: &str) -> Option<Arrival<Delivery, Told>> {
    Some(match Delivery::read(text) {
        Ok(job) => {
            let claim = Claim { jid: job.jid.as_str().into(), lease: job.lease, version: job.version };
            Arrival { claim, reserve: job.reserve_for, content: Ok(job) }
        }
        Err(error) => {
            let claim = Claim { jid: error.jid?.into(), lease: error.lease, version: 0 };
            let told = Told { kind: "Undecodable".to_owned(), message: error.why, backtrace: Vec::new() };
            Arrival { claim, reserve: std::time::Duration::ZERO, content: Err(told) }
        }
    })
}

/// What the server can do, as it says in the answer to INFO.
pub(crate) fn abilities(info: &Reply) -> Abilities {
    let Reply::Bulk(text) = info else { return Abilities::default() };
    let info: Value = serde_json::from_str(text).unwrap_or_default();
    let verbs = info["evercrew"]["verbs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |verb: &str| verbs.iter().any(|known| known == verb);
    Abilities { bulk: has("FETCHB") && has("ACKB"), refund: has("REFUND") }
}

/// Memory of this process, in KiB; 0 where nobody tells.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * u64::try_from(rustix::param::page_size() / 1024).unwrap_or(4)
}
