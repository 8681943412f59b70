//! A server as a worker sees it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::work::{Answer, Arrival, Blame, Claim, Hint, LinkId, Question, Stage};

/// Silence after which a worker's jobs are back.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a failed job waits.
const RETRY: Duration = Duration::from_secs(15);

/// One job under one name; the same name may come again as the next incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) incarnation: u32,
}

/// What a handler says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Oops;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Retry(Mono),
    Leased(u64),
    Done,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) state: State,
    /// How often its failure was taken in.
    pub(super) failures: u32,
}

/// A connection at the server's end.
#[derive(Debug, Default)]
struct Session {
    asked: VecDeque<Question<Oops>>,
    /// A fetch that waits for jobs: how many, and until when.
    waits: Option<(u32, Mono)>,
    /// What it was handed out last.
    last: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) fenced: bool,
    pub(super) jobs: BTreeMap<u64, Record>,
    sessions: BTreeMap<LinkId, Session>,
    next_lease: u64,
    pub(super) up: bool,
    pub(super) stalled: bool,
    pub(super) refuses: bool,
    pub(super) hint: Option<Stage>,
    knows: bool,
    heard: Mono,
}

pub(super) type Said = Vec<(LinkId, Answer<Job, Oops>)>;

impl Server {
    pub(super) fn new(fenced: bool) -> Self {
        Self {
            fenced,
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_lease: 1,
            up: true,
            stalled: false,
            refuses: false,
            hint: None,
            knows: false,
            heard: Mono::default(),
        }
    }

    pub(super) fn push(&mut self, number: u64) {
        let incarnation = match self.jobs.get(&number) {
            None => 0,
            Some(record) if record.state == State::Done => record.job.incarnation + 1,
            Some(_) => return,
        };
        let job = Job { number, incarnation };
        self.jobs.insert(number, Record { job, state: State::Ready, failures: 0 });
    }

    pub(super) fn greet(&mut self, now: Mono, link: LinkId) {
        self.sessions.insert(link, Session::default());
        (self.knows, self.heard) = (true, now);
    }

    pub(super) fn ask(&mut self, link: LinkId, question: Question<Oops>) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.asked.push_back(question);
        }
    }

    /// A connection is no more; a fenced server gives back what it was told last on it.
    pub(super) fn leave(&mut self, link: LinkId, broken: bool) {
        let Some(session) = self.sessions.remove(&link) else { return };
        if self.fenced && broken {
            session.last.into_iter().for_each(|lease| self.release(|held| held == lease));
        }
    }

    pub(super) fn forget_worker(&mut self) {
        self.knows = false;
    }

    pub(super) fn links(&self) -> Vec<LinkId> {
        self.sessions.keys().copied().collect()
    }

    pub(super) fn open(&self) -> Vec<Record> {
        self.jobs.values().filter(|record| record.state != State::Done).copied().collect()
    }

    pub(super) fn leased(&self) -> usize {
        self.jobs.values().filter(|record| matches!(record.state, State::Leased(_))).count()
    }

    fn release(&mut self, which: impl Fn(u64) -> bool) {
        for record in self.jobs.values_mut() {
            if matches!(record.state, State::Leased(lease) if which(lease)) {
                record.state = State::Ready;
            }
        }
    }

    /// Everything that can be answered now.
    pub(super) fn work(&mut self, now: Mono) -> Said {
        if self.stalled || !self.up {
            return Vec::new();
        }
        if self.fenced && self.knows && now.since(self.heard) >= SILENCE {
            self.knows = false;
            self.release(|_| true);
        }
        for record in self.jobs.values_mut() {
            if matches!(record.state, State::Retry(at) if at <= now) {
                record.state = State::Ready;
            }
        }
        let mut said = Vec::new();
        for link in self.links() {
            while let Some(answer) = self.next(now, link) {
                said.push((link, answer));
            }
        }
        said
    }

    fn next(&mut self, now: Mono, link: LinkId) -> Option<Answer<Job, Oops>> {
        let session = self.sessions.get_mut(&link)?;
        if let Some((most, until)) = session.waits {
            let jobs = self.take(link, most);
            if jobs.is_empty() && now < until {
                return None;
            }
            self.sessions.get_mut(&link)?.waits = None;
            return Some(Answer::Jobs(jobs));
        }
        let question = session.asked.pop_front()?;
        self.heard = if self.knows { now } else { self.heard };
        Some(match question {
            Question::Fetch { .. } | Question::Beat(_) if !self.knows => Answer::UnknownWorker,
            Question::Fetch { most, .. } => {
                let jobs = self.take(link, most);
                if jobs.is_empty() {
                    self.sessions.get_mut(&link)?.waits = Some((most, now.after(Duration::from_secs(2))));
                    return self.next(now, link);
                }
                Answer::Jobs(jobs)
            }
            Question::Beat(said) => match self.hint.filter(|hint| *hint > said) {
                Some(Stage::Quiet) => Answer::Beat(Hint::Quiet),
                Some(Stage::Terminating) => Answer::Beat(Hint::Terminate),
                Some(Stage::Running) | None => Answer::Beat(Hint::None),
            },
            _ if self.refuses => Answer::Refused,
            Question::Done(claims) if claims.len() > 1 => {
                let moot = claims.iter().filter(|claim| !self.settle(claim, State::Done));
                Answer::MootOf(moot.map(|claim| Arc::clone(&claim.jid)).collect::<Vec<_>>())
            }
            Question::Done(claims) => {
                let taken = claims.iter().all(|claim| self.settle(claim, State::Done));
                if taken || !self.fenced { Answer::Ok } else { Answer::Moot }
            }
            Question::Failed(claim, blame) => {
                let back =
                    if matches!(blame, Blame::Handler(_)) { State::Retry(now.after(RETRY)) } else { State::Ready };
                if self.settle(&claim, back) {
                    self.count_failure(&claim);
                    Answer::Ok
                } else {
                    Answer::Moot
                }
            }
            Question::Refund(claim) => {
                if self.settle(&claim, State::Ready) {
                    Answer::Ok
                } else {
                    Answer::Moot
                }
            }
            Question::End => {
                self.leave(link, false);
                return None;
            }
        })
    }

    fn take(&mut self, link: LinkId, most: u32) -> Vec<Arrival<Job, Oops>> {
        let mut jobs = Vec::new();
        let mut leases = Vec::new();
        if self.hint.is_none() {
            for record in self.jobs.values_mut().filter(|record| record.state == State::Ready).take(most as usize) {
                let lease = self.next_lease;
                self.next_lease += 1;
                record.state = State::Leased(lease);
                leases.push(lease);
                let version = u64::from(record.job.incarnation) << 32 | u64::from(record.failures);
                let lease = self.fenced.then_some(lease);
                let claim = Claim { jid: name(record.job.number), lease, version };
                jobs.push(Arrival { claim, reserve: Duration::from_secs(1800), content: Ok(record.job) });
            }
        }
        if let Some(session) = self.sessions.get_mut(&link).filter(|_| !leases.is_empty()) {
            session.last = leases;
        }
        jobs
    }

    fn count_failure(&mut self, claim: &Claim) {
        if let Some(record) = claim.jid.parse().ok().and_then(|number: u64| self.jobs.get_mut(&number)) {
            record.failures += 1;
        }
    }

    /// The worker never heard that it has this job.
    pub(super) fn lost(&mut self, claim: &Claim) {
        self.settle(claim, State::Ready);
    }

    fn settle(&mut self, claim: &Claim, state: State) -> bool {
        let Ok(number) = claim.jid.parse() else { return false };
        let Some(record) = self.jobs.get_mut(&number) else { return false };
        let is_own = matches!(record.state, State::Leased(lease) if claim.lease.is_none_or(|own| own == lease));
        if is_own {
            record.state = state;
        }
        is_own
    }
}

pub(super) fn name(number: u64) -> Arc<str> {
    number.to_string().into()
}
