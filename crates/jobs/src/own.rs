//! What only our own clients ask for; INFO announces it, and others never see it.

use std::sync::Arc;
use std::time::Duration;

use evercrew_core::jobs::{Asker, Event, JobNumber, Set, Stage, Verdict, Watch};
use evercrew_wire::faktory::request::{
    self, Ack, FetchBulk, LARGEST_RESULT, Leases, Listing, MOST_AT_ONCE, MOST_FETCHED, Outcome, Steering,
};
use evercrew_wire::faktory::{DEFAULT_QUEUE, Own, Refusal, check_queue, reply};
use serde_json::{Map, Value, json};

use crate::connection::Standing;
use crate::desk::Answer;
use crate::finished::Finished;
use crate::handout::Form;
use crate::server::Server;
use crate::sessions::SessionId;
use crate::verbs::{stale, unknown_worker};
use crate::{figures, info, metrics};

/// Longest wait of a FETCHB.
const LONGEST_WAIT: u32 = 60_000;
/// Jobs of one page.
const PAGE: u32 = 1000;

impl Server {
    pub(crate) fn own(&mut self, id: SessionId, own: Own, text: &str) -> Result<(), Refusal> {
        match own {
            Own::FetchBulk => self.fetch_bulk(id, text),
            Own::AckBulk => self.ack_bulk(id, text),
            Own::Refund => self.refund(id, text),
            Own::Result => self.result(id, text),
            Own::Cancel => self.cancel(id, text),
            Own::Leases => self.leases(id, text),
            Own::Show => {
                let asked: Ack<'_> = request::read("JOB", text)?;
                let job = self.show(&asked.jid);
                self.say_json(id, &job);
                Ok(())
            }
            Own::List => self.list(id, text),
            Own::Workers => self.workers(id, text),
            Own::Metrics => {
                let text = metrics::text(&figures::figures(self));
                self.say(id, |out| reply::bulk(out, text.as_bytes()));
                Ok(())
            }
        }
    }

    fn say_json(&mut self, id: SessionId, value: &Value) {
        self.say(id, |out| reply::bulk(out, value.to_string().as_bytes()));
    }

    fn fetch_bulk(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let fetch: FetchBulk = request::read("FETCHB", text)?;
        if fetch.n == 0 || fetch.n > MOST_FETCHED {
            return Err(Refusal::error(format!("FETCHB: n is a number from 1 to {MOST_FETCHED}")));
        }
        fetch.queues.iter().try_for_each(|name| check_queue(name))?;
        let mut queues: Vec<&str> = fetch.queues.iter().map(String::as_str).collect();
        if queues.is_empty() {
            queues.push(DEFAULT_QUEUE);
        }
        let wait = Duration::from_millis(fetch.wait_ms.unwrap_or(2000).min(LONGEST_WAIT).into());
        self.fetch(id, &queues, fetch.n, wait, Form::Bulk)
    }

    fn ack_bulk(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let acks: Vec<Ack<'_>> = request::read("ACKB", text)?;
        if acks.len() > MOST_AT_ONCE {
            return Err(Refusal::error(format!("ACKB: at most {MOST_AT_ONCE} at once")));
        }
        let mut refused = Map::new();
        for ack in &acks {
            let claim = self.claim(id, &ack.jid, ack.lease);
            match self.tell(Event::Done(claim, None)) {
                Verdict::OnCommit => {}
                // One answer cannot wait for two batches. Whoever says it twice has an answer already.
                _ => {
                    refused.insert(ack.jid.clone().into_owned(), json!(stale(&ack.jid).line()));
                }
            }
        }
        self.owe(id, Answer::Bulk(Value::Object(refused).to_string().into_bytes()));
        Ok(())
    }

    fn refund(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let ack: Ack<'_> = request::read("REFUND", text)?;
        let claim = self.claim(id, &ack.jid, ack.lease);
        match self.tell(Event::Refunded(claim)) {
            verdict @ (Verdict::OnCommit | Verdict::OnCommitOf(_)) => {
                self.owe_with(id, &verdict, Answer::Ok);
                Ok(())
            }
            _ => Err(stale(&ack.jid)),
        }
    }

    /// With a result a job is done; without one its result is asked for.
    fn result(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let outcome: Outcome<'_> = request::read("RESULT", text)?;
        let Some(result) = outcome.result else {
            let now = self.wall;
            let found = self.finished_jobs.find(now, &outcome.jid).and_then(|job| job.result.clone());
            self.say(id, |out| match found {
                Some(result) => reply::bulk(out, result.as_bytes()),
                None => reply::nothing(out),
            });
            return Ok(());
        };
        if result.get().len() > LARGEST_RESULT {
            return Err(Refusal::error(format!("a result has at most {LARGEST_RESULT} bytes")));
        }
        let claim = self.claim(id, &outcome.jid, outcome.lease);
        match self.tell(Event::Done(claim, Some(result.get().into()))) {
            verdict @ (Verdict::OnCommit | Verdict::OnCommitOf(_)) => {
                self.owe_with(id, &verdict, Answer::Ok);
                Ok(())
            }
            _ => Err(stale(&outcome.jid)),
        }
    }

    fn cancel(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let asked: Ack<'_> = request::read("CANCEL", text)?;
        match self.tell(Event::Cancelled((*asked.jid).into())) {
            verdict @ (Verdict::OnCommit | Verdict::OnCommitOf(_)) => {
                self.owe_with(id, &verdict, Answer::Ok);
                Ok(())
            }
            _ => Err(Refusal { code: "UNKNOWN", text: format!("no job is called {}", asked.jid).into() }),
        }
    }

    /// Which of its jobs a worker could settle no more: it asks on a connection of its own, and waits there.
    fn leases(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let asked: Leases<'_> = request::read("LEASES", text)?;
        if asked.held.len() > MOST_FETCHED as usize {
            return Err(Refusal::error(format!("LEASES: at most {MOST_FETCHED} at once")));
        }
        let held = asked.held.iter().map(|held| self.claim(id, &held.jid, held.lease)).collect();
        let Some(connection) = self.sessions.get_mut(id) else { return Ok(()) };
        let Standing::Worker(wid, pid) = &connection.standing else {
            return Err(Refusal::error("only a worker has leases: say `wid` in HELLO"));
        };
        let (wid, pid) = (Arc::clone(wid), *pid);
        connection.waiting = Some(Form::Ended);
        let wait = if self.ending.is_begun() { 0 } else { asked.wait_ms.unwrap_or(0).min(LONGEST_WAIT) };
        let wait = Duration::from_millis(wait.into());
        let watch = Watch { asker: Asker(id.0), wid: Arc::clone(&wid), pid, held, wait };
        if self.tell(Event::Watched(watch)) == Verdict::Unknown {
            if let Some(connection) = self.sessions.get_mut(id) {
                connection.waiting = None;
            }
            return Err(unknown_worker(&wid));
        }
        Ok(())
    }

    fn show(&mut self, jid: &str) -> Value {
        if let Some(number) = self.core.find(jid) {
            let job = self.text(number).and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(record) = self.core.record(number) {
                let mut shown = info::job(record, job);
                shown["attempts"] = json!(info::attempts(record));
                return shown;
            }
        }
        let now = self.wall;
        match self.finished_jobs.find(now, jid) {
            Some(job) => info::finished(job),
            None => json!({ "jid": jid, "state": "unknown", "attempts": [] }),
        }
    }

    fn list(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let listing: Listing = request::read("JOBS", text)?;
        let limit = usize::try_from(listing.limit.unwrap_or(100).min(PAGE)).unwrap_or(0);
        let after = usize::try_from(listing.after.unwrap_or(0)).unwrap_or(usize::MAX);
        let is_meant = |queue: &str, kind: &str| {
            listing.queue.as_deref().is_none_or(|wanted| wanted == queue)
                && listing.jobtype.as_deref().is_none_or(|wanted| wanted == kind)
        };
        let (jobs, total): (Vec<Value>, usize) = if listing.state == "done" {
            let meant: Vec<&Finished> =
                self.finished_jobs.latest().filter(|job| is_meant(&job.queue, &job.kind)).collect();
            (meant.iter().skip(after).take(limit).map(|job| info::finished(job)).collect(), meant.len())
        } else {
            let set = set(&listing.state)?;
            let members = self.core.members(set);
            let meant: Vec<JobNumber> = members
                .into_iter()
                .filter(|number| self.core.record(*number).is_some_and(|record| is_meant(&record.queue, &record.kind)))
                .collect();
            let page = meant.iter().skip(after).take(limit).filter_map(|number| self.core.record(*number));
            (page.map(|record| info::job(record, None)).collect(), meant.len())
        };
        let next = after.saturating_add(jobs.len());
        let next = if next < total { json!(next) } else { Value::Null };
        self.say_json(id, &json!({ "jobs": jobs, "total": total, "next": next }));
        Ok(())
    }

    fn workers(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let steering: Steering = request::read("WORKERS", if text.is_empty() { "{}" } else { text })?;
        let stage = match steering.state.as_deref() {
            None => None,
            Some("quiet") => Some(Stage::Quiet),
            Some("terminate") => Some(Stage::Terminating),
            Some(_) => return Err(Refusal::error("WORKERS: state is `quiet` or `terminate`")),
        };
        if let Some(stage) = stage {
            let wids = steering.wids.map(|wids| wids.iter().map(|wid| wid.as_str().into()).collect());
            self.tell(Event::Steered(wids, stage));
        }
        let workers = info::workers(self);
        self.say_json(id, &json!({ "workers": workers }));
        Ok(())
    }
}

fn set(state: &str) -> Result<Set, Refusal> {
    Ok(match state {
        "enqueued" => Set::Enqueued,
        "scheduled" => Set::Scheduled,
        "retries" => Set::Retries,
        "working" => Set::Working,
        "dead" => Set::Dead,
        _ => return Err(Refusal::error("JOBS: state is enqueued, scheduled, working, retries, dead or done")),
    })
}
