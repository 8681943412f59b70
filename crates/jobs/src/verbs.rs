//! What clients ask for, one function a verb.

use std::sync::Arc;
use std::time::Duration;

use evercrew_core::jobs::{
    Asker, Claim, Event, Failure, Fetch, Greeting, JobNumber, LeaseNumber, Mutation, NewJob, Set, Stage, Verdict, Wall,
};
use evercrew_wire::faktory::request::{self, Ack, Beat, Fail, Filter, Hello};
use evercrew_wire::faktory::{Command, DEFAULT_QUEUE, Job, Names, QueueVerb, Refusal, jid_of, jobs, reply};
use serde_json::{Map, json};

use crate::challenge;
use crate::connection::Standing;
use crate::desk::Answer;
use crate::glob;
use crate::handout::Form;
use crate::info;
use crate::kin;
use crate::server::{Server, token};
use crate::sessions::SessionId;

/// How long a FETCH waits for a job.
const WAIT: Duration = Duration::from_secs(2);

impl Server {
    pub(crate) fn answer(&mut self, id: SessionId, command: Command<'_>) -> Result<(), Refusal> {
        match command {
            Command::Push(text) => self.push(id, text),
            Command::PushBulk(text) => self.push_bulk(id, text),
            Command::Fetch(queues) => {
                // Without a name the default queue is meant.
                let queues = if queues.is_empty() { vec![DEFAULT_QUEUE] } else { queues };
                self.fetch(id, &queues, 1, WAIT, Form::One)
            }
            Command::Ack(text) => {
                let ack: Ack<'_> = request::read("ACK", text)?;
                self.done(id, &ack)
            }
            Command::Fail(text) => self.fail(id, text),
            Command::Beat(text) => self.beat(id, text),
            Command::Info => {
                let text = info::info(self);
                self.say(id, |out| reply::bulk(out, text.as_bytes()));
                Ok(())
            }
            Command::Flush => {
                let verdict = self.tell(Event::Flushed);
                self.owe_with(id, &verdict, Answer::Ok);
                Ok(())
            }
            Command::Mutate(text) => self.mutate(id, text),
            Command::Queue(verb, names) => self.queue(id, verb, &names),
            Command::Own(own, text) => self.own(id, own, text),
            Command::Hello(_) => Err(Refusal::error("HELLO is the first command, and comes once")),
            Command::End => Ok(()),
        }
    }

    /// Answers at once, in the order of the commands.
    pub(crate) fn say(&mut self, id: SessionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.sessions.get_mut(id) {
            connection.answers.answer(write);
        }
    }

    pub(crate) fn hello(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let Some(connection) = self.sessions.get_mut(id) else { return Ok(()) };
        let Standing::Stranger { salt, rounds } = connection.standing.clone() else { return Ok(()) };
        // Whoever is refused here is sent away.
        connection.closing = true;
        let is_local = connection.is_local;
        let hello: Hello<'_> = request::read("HELLO", text)?;
        challenge::check(self.config.password.as_ref(), &salt, rounds, &hello)?;
        let standing = match hello.wid.as_deref().filter(|wid| !wid.is_empty()) {
            None => Standing::Producer,
            Some(wid) => {
                request::check_wid(wid)?;
                let wid: Arc<str> = wid.into();
                self.greet(&wid, &hello, is_local)?;
                Standing::Worker(wid, hello.pid.unwrap_or(0))
            }
        };
        self.no_stranger_more();
        if let Some(connection) = self.sessions.get_mut(id) {
            connection.closing = false;
            connection.standing = standing;
            connection.answers.answer(reply::ok);
        }
        Ok(())
    }

    fn greet(&mut self, wid: &Arc<str>, hello: &Hello<'_>, is_local: bool) -> Result<(), Refusal> {
        let cut = |text: &str| text.chars().take(100).collect::<String>();
        let labels = hello.labels.iter().flatten().take(20).map(|label| cut(label)).collect();
        let host = cut(hello.hostname.as_deref().unwrap_or_default());
        let greeting = Greeting { wid: Arc::clone(wid), host, pid: hello.pid.unwrap_or(0), labels };
        if let Verdict::Full(why) = self.tell(Event::Greeted(greeting)) {
            return Err(Refusal::error(format!("{why}: one that is silent for a minute makes room, try again later")));
        }
        // Each connection of a worker says the same; one descriptor is enough.
        if !self.kin.is_held(wid, hello.pid)
            && let Some(process) = kin::hold(hello, is_local)
        {
            let number = self.kin.add(wid, hello.pid, process);
            if let Some(process) = self.kin.get(number)
                && !self.watch(process, token::KIN | number)
            {
                self.kin.remove(number);
            }
        }
        Ok(())
    }

    fn push(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        self.take_in(text)?;
        self.owe_for(id, Answer::Ok, text.len());
        Ok(())
    }

    /// Takes a job in; it is kept with the next commit.
    fn take_in(&mut self, text: &str) -> Result<(), Refusal> {
        let job = Job::read(text, self.wall.0)?;
        let new = NewJob {
            jid: (*job.jid).into(),
            queue: self.core.queue_name(&job.queue),
            kind: (*job.kind).into(),
            reserve_for: job.reserve_for,
            retry: job.retry,
            backtrace: job.backtrace,
            at: job.at.map(Wall),
        };
        let mut actions = std::mem::take(&mut self.actions);
        let verdict = self.core.handle(self.clocks(), Event::Pushed(new), &mut actions);
        if let Verdict::Taken(number) = verdict {
            self.texts.insert(number, job.text.into());
        }
        actions.drain(..).for_each(|action| self.perform(action));
        self.actions = actions;
        match verdict {
            Verdict::Taken(_) => Ok(()),
            Verdict::Duplicate => Err(Refusal::error(format!("Duplicate job: {} is here already", job.jid))),
            Verdict::Full(why) => Err(Refusal::error(why)),
            _ => Err(Refusal::error("the job was not taken")),
        }
    }

    fn push_bulk(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let mut refused = Map::new();
        for job in jobs(text)? {
            if let Err(refusal) = self.take_in(job) {
                refused.insert(jid_of(job).into_owned(), json!(refusal.line()));
            }
        }
        let answer = Answer::Bulk(serde_json::Value::Object(refused).to_string().into_bytes());
        self.owe_for(id, answer, text.len());
        Ok(())
    }

    pub(crate) fn fetch(
        &mut self,
        id: SessionId,
        queues: &[&str],
        most: u32,
        wait: Duration,
        form: Form,
    ) -> Result<(), Refusal> {
        let Some(connection) = self.sessions.get_mut(id) else { return Ok(()) };
        let Standing::Worker(wid, pid) = &connection.standing else {
            return Err(Refusal::error("only a worker fetches: say `wid` in HELLO"));
        };
        let (wid, pid) = (Arc::clone(wid), *pid);
        if self.ending.is_begun() {
            connection.answers.answer(reply::nothing);
            return Ok(());
        }
        connection.waiting = Some(form);
        let queues = queues.iter().map(|name| self.core.queue_name(name)).collect();
        let fetch = Fetch { asker: Asker(id.0), wid: Arc::clone(&wid), pid, queues, most, wait };
        let verdict = self.tell(Event::Fetched(fetch));
        if verdict == Verdict::Unknown {
            if let Some(connection) = self.sessions.get_mut(id) {
                connection.waiting = None;
            }
            return Err(unknown_worker(&wid));
        }
        Ok(())
    }

    /// What a client says of a job, by its name and that of the worker it is.
    pub(crate) fn claim(&mut self, id: SessionId, jid: &str, lease: Option<u64>) -> Claim {
        let standing = self.sessions.get_mut(id).map(|connection| &connection.standing);
        let wid = if let Some(Standing::Worker(wid, _)) = standing { Some(Arc::clone(wid)) } else { None };
        Claim { jid: jid.into(), lease: lease.map(LeaseNumber), wid }
    }

    fn done(&mut self, id: SessionId, ack: &Ack<'_>) -> Result<(), Refusal> {
        let claim = self.claim(id, &ack.jid, ack.lease);
        match self.tell(Event::Done(claim, None)) {
            verdict @ (Verdict::OnCommit | Verdict::OnCommitOf(_)) => self.owe_with(id, &verdict, Answer::Ok),
            Verdict::Stale | Verdict::Unknown if ack.lease.is_some() => return Err(stale(&ack.jid)),
            // Whoever holds it no more has nothing to do either.
            _ => self.say(id, reply::ok),
        }
        Ok(())
    }

    fn fail(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let fail: Fail<'_> = request::read("FAIL", text)?;
        let lines = self.core.find(&fail.jid).and_then(|number| self.core.record(number));
        let backtrace = fail.backtrace(lines.map_or(0, |record| record.backtrace));
        let (kind, message) = fail.told();
        let claim = self.claim(id, &fail.jid, fail.lease);
        let failure = Failure { kind, message, backtrace, ..Failure::default() };
        match self.tell(Event::Failed(claim, Box::new(failure))) {
            verdict @ (Verdict::OnCommit | Verdict::OnCommitOf(_)) => self.owe_with(id, &verdict, Answer::Ok),
            Verdict::Unknown => return Err(Refusal::error(format!("Job not found {}", fail.jid))),
            Verdict::Stale if fail.lease.is_some() => return Err(stale(&fail.jid)),
            _ => self.say(id, reply::ok),
        }
        Ok(())
    }

    fn beat(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let beat: Beat<'_> = request::read("BEAT", text)?;
        let said = match beat.current_state.as_deref() {
            Some("quiet") => Stage::Quiet,
            Some("terminate") => Stage::Terminating,
            Some(_) | None => Stage::Running,
        };
        let rss = beat.rss_kb.and_then(|rss| u64::try_from(rss).ok()).unwrap_or(0);
        match self.tell(Event::Beat((*beat.wid).into(), said, rss)) {
            // It knows what it said itself.
            Verdict::Asked(Some(stage)) if stage > said => {
                let state = if stage == Stage::Quiet { "quiet" } else { "terminate" };
                self.say(id, |out| reply::bulk(out, format!("{{\"state\":\"{state}\"}}").as_bytes()));
            }
            Verdict::Asked(_) => self.say(id, reply::ok),
            _ => return Err(unknown_worker(&beat.wid)),
        }
        Ok(())
    }

    fn mutate(&mut self, id: SessionId, text: &str) -> Result<(), Refusal> {
        let mutation: request::Mutation<'_> = request::read("MUTATE", text)?;
        let set = match &*mutation.target {
            "scheduled" => Set::Scheduled,
            "retries" => Set::Retries,
            "dead" => Set::Dead,
            other => return Err(Refusal::error(format!("invalid target for mutation command: {other}"))),
        };
        let (change, filter) = match &*mutation.cmd {
            "clear" => (Mutation::Discard, None),
            "discard" => (Mutation::Discard, mutation.filter.as_ref()),
            "kill" => (Mutation::Kill, mutation.filter.as_ref()),
            "requeue" => (Mutation::Requeue, mutation.filter.as_ref()),
            other => return Err(Refusal::error(format!("invalid mutation operation: {other}"))),
        };
        let numbers = self.meant(set, filter);
        let verdict = self.tell(Event::Mutated(change, numbers));
        self.owe_with(id, &verdict, Answer::Ok);
        Ok(())
    }

    fn meant(&mut self, set: Set, filter: Option<&Filter<'_>>) -> Vec<JobNumber> {
        let Some(filter) = filter else { return self.core.members(set) };
        let candidates = match &filter.jids {
            Some(jids) if !jids.is_empty() => jids.iter().filter_map(|jid| self.core.find(jid)).collect(),
            Some(_) | None => self.core.members(set),
        };
        let mut meant = Vec::new();
        for number in candidates {
            let Some(record) = self.core.record(number).filter(|record| info::is_in(&record.place, set)) else {
                continue;
            };
            if filter.jobtype.as_deref().is_some_and(|kind| !kind.is_empty() && *kind != *record.kind) {
                continue;
            }
            if let Some(pattern) = filter.regexp.as_deref().filter(|pattern| !pattern.is_empty()) {
                let text = self.text(number).unwrap_or_default();
                if !glob::matches(pattern.as_bytes(), &text) {
                    continue;
                }
            }
            meant.push(number);
        }
        meant
    }

    fn queue(&mut self, id: SessionId, verb: QueueVerb, names: &Names<'_>) -> Result<(), Refusal> {
        let names: Option<Vec<Arc<str>>> = match names {
            Names::All => None,
            Names::These(names) => Some(names.iter().map(|name| self.core.queue_name(name)).collect()),
        };
        let verdict = match verb {
            QueueVerb::Latency => {
                let text = info::latencies(self, names.as_deref());
                self.say(id, |out| reply::bulk(out, text.as_bytes()));
                return Ok(());
            }
            QueueVerb::Pause => self.tell(Event::Paused(names, true)),
            QueueVerb::Resume => self.tell(Event::Paused(names, false)),
            QueueVerb::Remove => self.tell(Event::QueuesRemoved(names)),
        };
        self.owe_with(id, &verdict, Answer::Ok);
        Ok(())
    }
}

pub(crate) fn stale(jid: &str) -> Refusal {
    Refusal::stale(format!("the lease of {jid} has ended: what became of it is somebody else's to say"))
}

pub(crate) fn unknown_worker(wid: &str) -> Refusal {
    Refusal::error(format!("unknown worker {wid}"))
}
