//! What a worker does once it has taken in what happened.

use super::book::What;
use super::event::{Action, Blame, End, LinkId, Question, RunId, Stage, Why};
use super::fault::Fault;
use super::line::{Asked, Phase};
use super::machine::{BEAT, Run, Worker};
use crate::Mono;

/// Fetches under way on one line of a server without bulk, while jobs come.
const DEPTH: u32 = 4;
/// Most jobs of one fetch.
const MOST_FETCHED: u32 = 1000;
/// Questions with many results that are under way at once: what ends meanwhile is the next one.
const MOST_BULKS: usize = 2;
/// Results under way at once.
const MOST_SETTLING: usize = 256;
/// Results in one question.
const MOST_AT_ONCE: usize = 1000;
/// Nothing is fetched while so many results more than slots are owed.
const MOST_OWED: usize = 4096;

impl<J, F: Clone> Worker<J, F> {
    /// Gives up lines that say nothing, and tells runs whose lease is over.
    pub(super) fn watch(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        for place in 0..self.lines.len() {
            let line = &mut self.lines[place];
            if line.fetch_from <= now {
                line.fetch_from = Mono::default();
            }
            let is_late = line.deadline().is_some_and(|deadline| deadline <= now);
            if let Some(link) = line.link().filter(|_| is_late && !self.faults.has(Fault::WaitsForEver)) {
                out.push(Action::Close(link));
                self.broken(now, place, out);
            }
        }
        while let Some((at, id)) = self.leases.first().copied().filter(|(at, _)| *at <= now) {
            self.leases.remove(&(at, id));
            if let Some(run) = self.runs.get_mut(&id) {
                run.until = None;
                out.push(Action::Cancel(id, Why::Lease));
            }
        }
        self.book.wake(now);
    }

    /// Has jobs end when the worker does.
    pub(super) fn end_jobs(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        if self.is_last && self.is_idle() {
            self.stop(now);
        }
        let Some(mut ending) = self.ending else { return };
        if !ending.cancelled && ending.cancel_at <= now {
            ending.cancelled = true;
            if !self.faults.has(Fault::NoToken) {
                out.extend(self.runs.keys().map(|id| Action::Cancel(*id, Why::Stopping)));
            }
        }
        if self.abilities.refund || ending.cancelled {
            while let Some((claim, ..)) = self.held.pop_front() {
                match (self.faults.has(Fault::HeldForgotten), self.abilities.refund) {
                    (true, _) => {}
                    (false, true) => self.owe(claim, What::Refund),
                    (false, false) => self.owe(claim, What::Failed(Blame::NotBegun)),
                }
            }
        }
        if ending.cancelled && !ending.abandoned && ending.abandon_at <= now {
            ending.abandoned = true;
            let never = self.faults.has(Fault::NeverAbandons);
            let runs: Vec<RunId> = self.runs.keys().copied().filter(|_| !never).collect();
            for id in runs {
                if let Some(run) = self.forget(id) {
                    out.push(Action::Abandon(id));
                    self.owe(run.claim, What::Failed(Blame::Overdue));
                }
            }
        }
        self.ending = Some(ending);
    }

    /// Begins jobs while there are slots.
    pub(super) fn start(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        while self.runs.len() < self.settings.slots as usize || self.faults.has(Fault::TakesTooMany) {
            let Some((claim, reserve, job)) = self.held.pop_front() else { return };
            let id = RunId(self.next_run);
            self.next_run += 1;
            self.is_running(id, &claim);
            self.runs.insert(id, Run { claim, until: None });
            self.reserve(id, now.after(reserve));
            out.push(Action::Start(id, job));
        }
    }

    /// Whether a line that is down is to be opened.
    pub(super) fn wants(&self, place: usize) -> bool {
        match (place, self.ending) {
            (0, None) => true,
            (0, Some(_)) => self.book.len() > 0 || !self.runs.is_empty(),
            (_, None) => self.lines[0].up().is_some(),
            (_, Some(_)) => false,
        }
    }

    pub(super) fn open(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        for place in 0..self.lines.len() {
            let is_due = matches!(self.lines[place].phase, Phase::Down { until } if until <= now);
            if is_due && self.wants(place) {
                let link = LinkId(self.next_link);
                self.next_link += 1;
                self.lines[place].open(now, link, self.settings.open_patience);
                out.push(Action::Open(link, place == 0));
            }
        }
    }

    /// Beats, and tells what is owed.
    pub(super) fn report(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        let Some(link) = self.lines[0].up() else { return };
        if self.beat_at <= now {
            self.beat_at = now.after(BEAT);
            if self.ending.is_none() || !self.faults.has(Fault::SilentWhileStopping) {
                self.lines[0].ask(now, Asked::Beat);
                out.push(Action::Ask(link, Question::Beat(self.stage)));
            }
        }
        let (mut settling, mut bulks) = (0, 0);
        for asked in self.lines[0].asked() {
            settling += usize::from(!matches!(asked, Asked::Beat));
            bulks += usize::from(matches!(asked, Asked::Done(_)));
        }
        while let Some(is_done) = self.book.next_is_done() {
            let is_bulk = is_done && self.abilities.bulk;
            if settling >= MOST_SETTLING || (is_bulk && bulks >= MOST_BULKS) {
                return;
            }
            settling += 1;
            bulks += usize::from(is_bulk);
            if is_done {
                self.tell_done(now, link, if is_bulk { MOST_AT_ONCE } else { 1 }, out);
            } else if let Some((id, claim, what)) = self.book.take() {
                self.lines[0].ask(now, Asked::Due(id));
                let question = match what {
                    What::Done => Question::Done(vec![claim]),
                    What::Failed(blame) => Question::Failed(claim, blame),
                    What::Refund => Question::Refund(claim),
                };
                out.push(Action::Ask(link, question));
            }
        }
    }

    fn tell_done(&mut self, now: Mono, link: LinkId, most: usize, out: &mut Vec<Action<J, F>>) {
        let (mut ids, mut claims) = (Vec::new(), Vec::new());
        while ids.len() < most && self.book.next_is_done() == Some(true) {
            let Some((id, claim, _)) = self.book.take() else { break };
            ids.push(id);
            claims.push(claim);
        }
        self.lines[0].ask(now, Asked::Done(ids));
        out.push(Action::Ask(link, Question::Done(claims)));
    }

    /// Asks for as many jobs as there is room for.
    pub(super) fn fetch(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        if self.gate.is_some_and(|gate| self.book.first().is_none_or(|first| first > gate)) {
            self.gate = None;
        }
        let is_quiet = self.stage != Stage::Running && !self.faults.has(Fault::QuietIgnored);
        let is_owing = self.gate.is_some() || self.lines[0].up().is_none();
        let is_owing = is_owing && !self.faults.has(Fault::OwedLater);
        let is_full = self.book.len() >= MOST_OWED + self.settings.slots as usize;
        if is_quiet || is_owing || is_full || self.is_paused || self.is_last || self.ending.is_some() {
            return;
        }
        let mut room = self.room();
        let depth = if self.abilities.bulk { 1 } else { DEPTH };
        for wanted in 1..=depth {
            for place in 1..self.lines.len() {
                let line = &self.lines[place];
                let Some(link) = line.up().filter(|_| line.fetch_from <= now && room > 0) else { continue };
                let under_way = line.asked().count();
                if under_way >= wanted as usize || (wanted > 1 && !line.is_hot) {
                    continue;
                }
                let most = if self.abilities.bulk { room.min(MOST_FETCHED) } else { 1 };
                room -= most;
                let order = self.queues.order(&mut self.lots);
                self.lines[place].ask(now, Asked::Fetch(most));
                out.push(Action::Ask(link, Question::Fetch { most, order }));
            }
        }
    }

    fn room(&self) -> u32 {
        let fetching: u32 = self.lines.iter().map(super::line::Line::fetching).sum();
        let most = self.settings.slots.saturating_add(self.settings.prefetch);
        let most = if self.faults.has(Fault::TakesTooMany) { most.saturating_mul(2) } else { most };
        let here = u32::try_from(self.runs.len() + self.held.len() + self.book.followers()).unwrap_or(u32::MAX);
        let room = most.saturating_sub(here).saturating_sub(fetching);
        let left = self.settings.most_jobs.map(|most| most.saturating_sub(self.taken + u64::from(fetching)));
        left.map_or(room, |left| room.min(u32::try_from(left).unwrap_or(u32::MAX)))
    }

    /// Nothing runs, and nothing can come that would.
    fn is_idle(&self) -> bool {
        let fetching = self.lines.iter().any(|line| line.fetching() > 0);
        self.runs.is_empty() && self.held.is_empty() && (!fetching || self.faults.has(Fault::LeavesFetch))
    }

    /// Ends when all is told, or it is time.
    pub(super) fn finish(&mut self, now: Mono, out: &mut Vec<Action<J, F>>) {
        let Some(ending) = self.ending else { return };
        if (self.is_idle() && self.book.len() == 0) || ending.end_at <= now {
            self.end_with(false, out);
        }
    }

    pub(super) fn end_with(&mut self, denied: bool, out: &mut Vec<Action<J, F>>) {
        for line in &self.lines {
            if let Some(link) = line.up() {
                out.push(Action::Ask(link, Question::End));
            }
            out.extend(line.link().map(Action::Close));
        }
        let end = End { undelivered: self.book.len() + self.book.given_up, denied };
        self.end = Some(end);
        out.push(Action::End(end));
    }
}
