//! What must hold of a worker, from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::work::{BEAT, LinkId, MOST_LINES, Outcome, Question, RunId, Settings, Stage, Why};

use super::server::{Job, Oops};

/// A server that says nothing is noticed in this time.
const NOTICED: Duration = Duration::from_secs(10);
/// Attempts at connections in one second.
const MOST_OPENED: usize = 40;
/// How much later than its time something may be.
const LATE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Link {
    is_up: bool,
    /// The jobs that each question without answer asks for.
    asked: VecDeque<u32>,
    since: Mono,
}

/// What is known of one job.
#[derive(Debug, Default)]
struct Past {
    runs: u32,
    done: bool,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    links: BTreeMap<LinkId, Link>,
    opened: VecDeque<Mono>,
    running: BTreeMap<RunId, Job>,
    past: BTreeMap<Job, Past>,
    cancelled: BTreeSet<RunId>,
    stopped: Option<(Mono, bool)>,
    is_quiet: bool,
    beat: Option<Mono>,
    reporting: Option<LinkId>,
}

type Verdict = Result<(), String>;

fn hold(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(why()) }
}

impl Oracle {
    pub(super) fn open(&mut self, now: Mono, link: LinkId, reports: bool) -> Verdict {
        self.links.insert(link, Link::default());
        self.opened.push_back(now);
        if reports {
            self.reporting = Some(link);
        }
        while self.opened.front().is_some_and(|at| now.since(*at) > Duration::from_secs(1)) {
            self.opened.pop_front();
        }
        hold(self.opened.len() <= MOST_OPENED, || format!("{} connections in a second", self.opened.len()))?;
        hold(self.links.len() <= MOST_LINES, || format!("{} connections at once", self.links.len()))
    }

    pub(super) fn up(&mut self, now: Mono, link: LinkId) {
        if let Some(open) = self.links.get_mut(&link) {
            (open.is_up, open.since) = (true, now);
        }
        if self.reporting == Some(link) {
            self.beat = Some(now);
        }
    }

    pub(super) fn close(&mut self, link: LinkId) {
        self.links.remove(&link);
        if self.reporting == Some(link) {
            (self.reporting, self.beat) = (None, None);
        }
    }

    pub(super) fn ask(&mut self, now: Mono, link: LinkId, question: &Question<Oops>) -> Verdict {
        let Some(open) = self.links.get_mut(&link).filter(|open| open.is_up) else {
            return Err(format!("{link:?} is asked and not open"));
        };
        if open.asked.is_empty() {
            open.since = now;
        }
        let most = if let Question::Fetch { most, .. } = question { *most } else { 0 };
        match question {
            Question::Fetch { .. } => {
                hold(self.stopped.is_none(), || "a worker that stops fetches".to_owned())?;
                let reports = self.reporting.and_then(|link| self.links.get(&link)).is_some_and(|link| link.is_up);
                hold(reports, || "it fetches while it cannot tell what came of jobs".to_owned())?;
                hold(!self.is_quiet, || "a quiet worker fetches".to_owned())?;
            }
            Question::Beat(stage) => {
                self.beat = Some(now);
                let is_ending = self.stopped.is_some();
                hold(!is_ending || *stage == Stage::Terminating, || "the beat tells an old stage".to_owned())?;
            }
            Question::End => return Ok(()),
            Question::Done(_) | Question::Failed(..) | Question::Refund(_) => {}
        }
        if let Some(open) = self.links.get_mut(&link) {
            open.asked.push_back(most);
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, now: Mono, link: LinkId) {
        if let Some(open) = self.links.get_mut(&link) {
            open.asked.pop_front();
            open.since = now;
        }
    }

    pub(super) fn quiet(&mut self) {
        self.is_quiet = true;
    }

    pub(super) fn stop(&mut self, now: Mono, at_once: bool) {
        if at_once || self.stopped.is_none() {
            self.stopped = Some((now, at_once));
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopped.is_some()
    }

    pub(super) fn start(&mut self, settings: &Settings, run: RunId, job: Job, failures: u32) -> Verdict {
        hold(!self.running.values().any(|other| other.number == job.number), || format!("{job:?} runs already"))?;
        let past = self.past.entry(job).or_default();
        past.runs += 1;
        hold(!past.done, || format!("{job:?} is done, and runs again"))?;
        hold(past.runs <= failures + 1, || format!("{job:?} runs once more than it failed, {} times", past.runs))?;
        self.running.insert(run, job);
        hold(self.running.len() <= settings.slots as usize, || format!("{} jobs at once", self.running.len()))
    }

    pub(super) fn finish(&mut self, run: RunId, outcome: &Outcome<Oops>) {
        let Some(job) = self.running.remove(&run) else { return };
        let past = self.past.entry(job).or_default();
        match outcome {
            Outcome::Done => past.done = true,
            Outcome::GivenBack => past.runs = past.runs.saturating_sub(1),
            Outcome::Failed(_) => {}
        }
    }

    pub(super) fn cancel(&mut self, now: Mono, settings: &Settings, run: RunId, why: Why) -> Verdict {
        hold(why == Why::Stopping, || format!("{run:?} is told that its lease is over"))?;
        hold(self.running.contains_key(&run), || format!("{run:?} is told to end and does not run"))?;
        self.cancelled.insert(run);
        let Some((since, at_once)) = self.stopped else { return Err("a job is told to end without a stop".to_owned()) };
        hold(at_once || now.since(since) >= settings.grace, || "a job is told to end before its grace".to_owned())
    }

    pub(super) fn abandon(&mut self, now: Mono, settings: &Settings, run: RunId) -> Verdict {
        self.running.remove(&run);
        hold(self.cancelled.contains(&run), || format!("{run:?} is let go without having been told"))?;
        let Some((since, at_once)) = self.stopped else { return Err("a job is let go without a stop".to_owned()) };
        let least = settings.grace + settings.last_words;
        hold(at_once || now.since(since) >= least, || "a job is let go too early".to_owned())
    }

    /// What holds at any time; `room` is what the worker has and asked for beside what runs.
    pub(super) fn look(&self, now: Mono, settings: &Settings, held: usize, deadline: Option<Mono>) -> Verdict {
        hold(deadline.is_none_or(|at| at > now), || "its deadline is in the past".to_owned())?;
        let fetching: u32 = self.links.values().flat_map(|link| &link.asked).sum();
        let all = self.running.len() + held + fetching as usize;
        let most = (settings.slots + settings.prefetch) as usize;
        hold(all <= most, || format!("{all} jobs are here or fetched, there is room for {most}"))?;
        for (link, open) in self.links.iter().filter(|(_, open)| open.is_up && !open.asked.is_empty()) {
            hold(now.since(open.since) <= NOTICED, || format!("{link:?} says nothing, and nobody notices"))?;
        }
        if let Some(beat) = self.beat {
            hold(now.since(beat) <= BEAT + LATE, || format!("no beat for {:?}", now.since(beat)))?;
        }
        let Some((since, at_once)) = self.stopped else { return Ok(()) };
        let (cancel, abandon) = if at_once {
            (Duration::ZERO, Duration::ZERO)
        } else {
            (settings.grace, settings.grace + settings.last_words)
        };
        let late = |after: Duration| now.since(since) > after + LATE;
        let told = self.running.keys().all(|run| self.cancelled.contains(run));
        hold(!late(cancel) || told, || "a job is not told that the worker stops".to_owned())?;
        hold(!late(abandon) || self.running.is_empty(), || "a job is not let go".to_owned())?;
        hold(!late(abandon + Duration::from_secs(5)), || "the worker does not end".to_owned())
    }
}
