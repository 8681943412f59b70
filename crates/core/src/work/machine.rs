//! One worker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::book::{Book, Due, DueId, What};
use super::ending::Ending;
use super::event::{
    Abilities, Action, Answer, Arrival, Blame, Broke, Claim, End, Event, Hint, LinkId, Outcome, RunId, Stage,
};
use super::fault::{Fault, Faults};
use super::line::{Asked, Line, MOST_LINES, Phase};
use super::queues::Queues;
use super::settings::Settings;
use crate::Mono;
use crate::lots::Lots;

/// How often a worker says that it lives.
pub const BEAT: Duration = Duration::from_secs(15);
/// How long a fetch waits at the server.
pub const FETCH_WAIT: Duration = Duration::from_secs(2);
/// How long nothing is fetched after a refusal.
const FETCH_PAUSE: Duration = Duration::from_secs(1);

/// Where a job of this name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Held,
    Running(RunId),
    Owed(DueId),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) claim: Claim,
    pub(super) until: Option<Mono>,
}

/// Results that came too late and are remembered.
const MOST_PAST: usize = 256;

/// What came of a result that was sent.
enum Fate {
    Taken,
    Moot,
    Refused,
}

/// One worker: `J` is a job, `F` how a handler's failure is told.
#[derive(Debug)]
pub struct Worker<J, F> {
    pub(super) settings: Settings,
    pub(super) queues: Queues,
    pub(super) lots: Lots,
    pub(super) lines: Vec<Line>,
    pub(super) abilities: Abilities,
    pub(super) next_link: u64,
    pub(super) next_run: u64,
    pub(super) held: VecDeque<(Claim, Duration, J)>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) leases: BTreeSet<(Mono, RunId)>,
    pub(super) here: BTreeMap<Arc<str>, Place>,
    pub(super) book: Book<J, F>,
    /// Nothing is fetched before this and all that was owed earlier is settled.
    pub(super) gate: Option<DueId>,
    pub(super) stage: Stage,
    pub(super) is_paused: bool,
    /// No fetch follows; it ends when nothing runs.
    pub(super) is_last: bool,
    pub(super) ending: Option<Ending>,
    pub(super) beat_at: Mono,
    pub(super) was_in: bool,
    pub(super) taken: u64,
    /// Results that came too late, the last ones.
    past: VecDeque<(Claim, What<F>)>,
    pub(super) end: Option<End>,
    pub(super) faults: Faults,
}

impl<J, F: Clone> Worker<J, F> {
    /// A worker that has done nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            queues: Queues::new(settings.weights.clone()),
            lots: Lots::new(settings.seed),
            settings,
            lines: vec![Line::new()],
            abilities: Abilities::default(),
            next_link: 0,
            next_run: 0,
            held: VecDeque::new(),
            runs: BTreeMap::new(),
            leases: BTreeSet::new(),
            here: BTreeMap::new(),
            book: Book::new(),
            gate: None,
            stage: Stage::Running,
            is_paused: false,
            is_last: false,
            ending: None,
            beat_at: Mono::default(),
            was_in: false,
            taken: 0,
            past: VecDeque::new(),
            end: None,
            faults: Faults::default(),
        }
    }

    /// Plants a mistake.
    #[cfg(feature = "planted-faults")]
    pub fn plant(&mut self, fault: Fault) {
        self.faults.plant(fault);
    }

    /// Takes in what happened, all of it, and gives what is to be done.
    pub fn handle(&mut self, now: Mono, events: impl IntoIterator<Item = Event<J, F>>, out: &mut Vec<Action<J, F>>) {
        if self.end.is_some() {
            return;
        }
        for event in events {
            self.take_in(now, event, out);
        }
        self.watch(now, out);
        self.end_jobs(now, out);
        self.start(now, out);
        self.open(now, out);
        self.report(now, out);
        self.fetch(now, out);
        self.finish(now, out);
    }

    /// When [`Event::Ticked`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        if self.end.is_some() {
            return None;
        }
        let lines = self.lines.iter().enumerate().filter_map(|(place, line)| match line.phase {
            Phase::Down { until } => self.wants(place).then_some(until),
            Phase::Opening { .. } | Phase::Up { .. } => {
                line.deadline().filter(|_| !self.faults.has(Fault::WaitsForEver))
            }
        });
        let fetching = self.lines.iter().skip(1).map(|line| line.fetch_from).filter(|at| *at > Mono::default());
        let beat = self.lines[0].up().map(|_| self.beat_at);
        let lease = self.leases.first().map(|(at, _)| *at);
        let ending = self.ending.map(|ending| ending.deadline());
        let all = lines.chain(fetching).chain(beat).chain(lease).chain(self.book.deadline()).chain(ending);
        if self.faults.has(Fault::LatestDeadline) { all.max() } else { all.min() }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.runs.len()
    }

    /// How many jobs were fetched and are not begun.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many results the server has not answered.
    pub fn owed(&self) -> usize {
        self.book.len()
    }

    fn take_in(&mut self, now: Mono, event: Event<J, F>, out: &mut Vec<Action<J, F>>) {
        match event {
            Event::Opened(link, abilities) => {
                if let Some(place) = self.place(link) {
                    self.opened(now, place, abilities);
                }
            }
            Event::Broken(link, broke) => {
                if let Some(place) = self.place(link) {
                    if broke == Broke::Denied && !self.was_in {
                        self.end_with(true, out);
                    } else {
                        self.broken(now, place, out);
                    }
                }
            }
            Event::Answered(link, answer) => {
                if let Some(place) = self.place(link) {
                    self.answered(now, place, answer, out);
                }
            }
            Event::Finished(run, outcome) => self.finished(run, outcome),
            Event::Extended(id, until) => self.reserve(id, until),
            Event::Paused => self.is_paused = true,
            Event::Resumed => self.is_paused = false,
            Event::Stopped => self.stop(now),
            Event::StoppedAtOnce => {
                self.stop(now);
                self.ending = Some(Ending::at_once(now));
            }
            Event::Ticked => {}
        }
    }

    fn place(&self, link: LinkId) -> Option<usize> {
        self.lines.iter().position(|line| line.link() == Some(link))
    }

    fn opened(&mut self, now: Mono, place: usize, abilities: Abilities) {
        self.lines[place].opened(now);
        if place == 0 {
            self.was_in = true;
            self.abilities = abilities;
            self.beat_at = now;
            // What a server refused before may be welcome after it started anew.
            self.book.wake(Mono::from_nanos(u64::MAX));
            let fetchers = if abilities.bulk { 1 } else { (self.settings.slots as usize).clamp(1, MOST_LINES - 1) };
            while self.lines.len() < 1 + fetchers {
                self.lines.push(Line::new());
            }
        }
    }

    /// A line is no more: what it was asked has no answer.
    pub(super) fn broken(&mut self, now: Mono, place: usize, out: &mut Vec<Action<J, F>>) {
        if self.faults.has(Fault::EndsWithServer) {
            return self.end_with(false, out);
        }
        let at_once = self.faults.has(Fault::NoPause);
        for asked in self.lines[place].broken(now, &mut self.lots, at_once) {
            self.unask(now, asked);
        }
        if place == 0 {
            self.gate = self.book.last();
        }
        if self.faults.has(Fault::OneLineEndsAll) {
            for other in 0..self.lines.len() {
                if let Some(link) = self.lines[other].link() {
                    out.push(Action::Close(link));
                    self.lines[other].broken(now, &mut self.lots, at_once);
                }
            }
        }
    }

    fn unanswered(&mut self, now: Mono, id: DueId) {
        if self.book.get(id).is_some_and(|due| due.follower.is_some()) {
            // What follows under its name shows that it arrived.
            self.settled(now, id, Fate::Taken);
        } else if !self.faults.has(Fault::ResultForgotten) {
            self.book.unanswered(id);
        }
    }

    fn answered(&mut self, now: Mono, place: usize, answer: Answer<J, F>, out: &mut Vec<Action<J, F>>) {
        let Some(asked) = self.lines[place].answered(now) else { return };
        if matches!(answer, Answer::UnknownWorker) && !self.faults.has(Fault::NoHelloAgain) {
            // Whoever connects anew says who it is.
            if let Some(link) = self.lines[place].link() {
                out.push(Action::Close(link));
            }
            self.unask(now, asked);
            return self.broken(now, place, out);
        }
        self.lines[place].is_well();
        match (asked, answer) {
            (Asked::Fetch(_), Answer::Jobs(jobs)) => self.arrived(now, place, jobs),
            (Asked::Fetch(_), _) => self.lines[place].fetch_from = now.after(FETCH_PAUSE),
            (Asked::Done(ids), Answer::MootOf(moot)) => {
                for id in ids {
                    let is_moot = self.book.get(id).is_some_and(|due| moot.contains(&due.claim.jid));
                    self.settled(now, id, if is_moot { Fate::Moot } else { Fate::Taken });
                }
            }
            (Asked::Done(ids), answer) => ids.into_iter().for_each(|id| self.settled(now, id, fate(&answer))),
            (Asked::Due(id), answer) => self.settled(now, id, fate(&answer)),
            (Asked::Beat, Answer::Beat(Hint::Quiet)) => self.stage = self.stage.max(Stage::Quiet),
            (Asked::Beat, Answer::Beat(Hint::Terminate)) => {
                self.stop(now);
                if self.faults.has(Fault::TerminateFailsAtBeat) {
                    self.ending = Some(Ending::at_once(now));
                }
            }
            (Asked::Beat, _) => {}
        }
    }

    fn unask(&mut self, now: Mono, asked: Asked) {
        match asked {
            Asked::Fetch(_) | Asked::Beat => {}
            Asked::Done(ids) => ids.into_iter().for_each(|id| self.unanswered(now, id)),
            Asked::Due(id) => self.unanswered(now, id),
        }
    }

    fn arrived(&mut self, now: Mono, place: usize, jobs: Vec<Arrival<J, F>>) {
        self.lines[place].is_hot = !jobs.is_empty();
        if jobs.is_empty() && self.settings.until_empty {
            self.is_last = true;
        }
        for job in jobs {
            self.arrive(now, job);
        }
        if self.settings.most_jobs.is_some_and(|most| self.taken >= most) {
            self.is_last = true;
        }
    }

    /// One job, which may be here already: a server that lost a connection hands out again what it had sent there.
    fn arrive(&mut self, now: Mono, arrival: Arrival<J, F>) {
        let Arrival { claim, reserve, content } = arrival;
        let known = self.here.get(&claim.jid).copied().filter(|_| !self.faults.has(Fault::RunsTwice));
        if known.is_none()
            && let Some(what) = self.recall(&claim)
        {
            return self.owe(claim, what);
        }
        match (known, content) {
            (None, Ok(job)) => {
                self.taken += 1;
                self.hold(claim, reserve, job);
            }
            (None, Err(failure)) => {
                self.taken += 1;
                self.owe(claim, What::Failed(Blame::Handler(failure)));
            }
            (Some(Place::Held), _) => {
                if let Some(held) = self.held.iter_mut().find(|(held, ..)| held.jid == claim.jid) {
                    (held.0, held.1) = (claim, reserve);
                }
            }
            (Some(Place::Running(id)), _) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.claim = claim;
                    self.reserve(id, now.after(reserve));
                }
            }
            (Some(Place::Owed(id)), content) => self.arrive_owed(id, claim, reserve, content),
        }
    }

    /// A job whose name is on the book: the same one, or another after it.
    fn arrive_owed(&mut self, id: DueId, claim: Claim, reserve: Duration, content: Result<J, F>) {
        let is_same = self.book.get(id).is_some_and(|due| due.claim.version == claim.version);
        match content {
            Ok(job) if !is_same && !self.faults.has(Fault::NewIsOld) => {
                if self.book.is_waiting(id) {
                    // The older one is settled, or this one would not be here.
                    self.book.remove(id);
                    self.taken += 1;
                    self.hold(claim, reserve, job);
                } else {
                    self.book.follow(id, claim, reserve, job);
                }
            }
            Ok(_) | Err(_) => self.book.reclaim(id, claim),
        }
    }

    /// What a job came to here whose lease had ended: when it comes again it is not run again.
    fn recall(&mut self, claim: &Claim) -> Option<What<F>> {
        let is_it = |(past, _): &(Claim, What<F>)| past.jid == claim.jid && past.version == claim.version;
        let place = self.past.iter().position(is_it)?;
        self.past.remove(place).map(|(_, what)| what)
    }

    fn hold(&mut self, claim: Claim, reserve: Duration, job: J) {
        self.here.insert(Arc::clone(&claim.jid), Place::Held);
        self.held.push_back((claim, reserve, job));
    }

    pub(super) fn owe(&mut self, claim: Claim, what: What<F>) {
        let what =
            if matches!(what, What::Refund) && !self.abilities.refund { What::Failed(Blame::GivenBack) } else { what };
        let jid = Arc::clone(&claim.jid);
        // What is given back may come again at any time, and is then to be run.
        let is_settled = !matches!(what, What::Refund);
        let id = self.book.owe(claim, what);
        if is_settled {
            self.here.insert(jid, Place::Owed(id));
        } else {
            self.here.remove(&jid);
        }
    }

    fn settled(&mut self, now: Mono, id: DueId, fate: Fate) {
        let due = match fate {
            Fate::Refused if !self.faults.has(Fault::RefusedIsSettled) => self.book.refused(now, id),
            Fate::Taken | Fate::Moot | Fate::Refused => self.book.remove(id),
        };
        let Some(Due { claim, what, again, follower, .. }) = due else { return };
        if self.here.get(&claim.jid) == Some(&Place::Owed(id)) {
            self.here.remove(&claim.jid);
        }
        let is_moot = matches!(fate, Fate::Moot) && !matches!(what, What::Refund);
        match (again, follower) {
            (_, Some((claim, reserve, job))) => {
                self.taken += 1;
                self.hold(claim, reserve, job);
            }
            // The lease that was told of had ended; the one of this claim has not.
            (Some(claim), None) if is_moot && !self.faults.has(Fault::MootIsDone) => self.owe(claim, what),
            (Some(_), None) => {}
            (None, None) if is_moot && !self.faults.has(Fault::MootForgotten) => {
                if self.past.len() == MOST_PAST {
                    self.past.pop_front();
                }
                self.past.push_back((claim, what));
            }
            (None, None) => {}
        }
    }

    fn finished(&mut self, id: RunId, outcome: Outcome<F>) {
        let Some(run) = self.forget(id) else { return };
        let what = match outcome {
            Outcome::Done => What::Done,
            Outcome::Failed(failure) => What::Failed(Blame::Handler(failure)),
            Outcome::GivenBack => What::Refund,
        };
        self.owe(run.claim, what);
    }

    pub(super) fn forget(&mut self, id: RunId) -> Option<Run> {
        let run = self.runs.remove(&id)?;
        if let Some(until) = run.until {
            self.leases.remove(&(until, id));
        }
        Some(run)
    }

    pub(super) fn reserve(&mut self, id: RunId, until: Mono) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let Some(before) = run.until.replace(until) {
            self.leases.remove(&(before, id));
        }
        self.leases.insert((until, id));
    }

    pub(super) fn is_running(&mut self, id: RunId, claim: &Claim) {
        self.here.insert(Arc::clone(&claim.jid), Place::Running(id));
    }

    pub(super) fn stop(&mut self, now: Mono) {
        if self.ending.is_none() {
            self.stage = Stage::Terminating;
            let at_once = self.faults.has(Fault::FailsAtStop);
            self.ending = Some(if at_once { Ending::at_once(now) } else { Ending::graceful(now, &self.settings) });
            // The server hears of it at once.
            self.beat_at = now;
        }
    }
}

fn fate<J, F>(answer: &Answer<J, F>) -> Fate {
    match answer {
        Answer::Ok | Answer::Beat(_) | Answer::Jobs(_) => Fate::Taken,
        Answer::Moot | Answer::MootOf(_) => Fate::Moot,
        Answer::UnknownWorker | Answer::Refused => Fate::Refused,
    }
}
