//! What must hold after each event, whatever submitters, children and operators do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{DrainReason, Notice, WorkerId};
use evercrew_core::pool::{Action, Doom, Echo, Event, Failure, JobId, Kind, Outcome, Policy, Refusal, Reply, Said};

use super::account::{Child, Held, Open, Shares};

/// Longer than anything that ends by itself in good weather.
const SOON: Duration = Duration::from_secs(60);

/// The account, and what it is held against.
#[derive(Debug)]
pub(super) struct Oracle {
    pub(super) policy: Policy,
    pub(super) open: BTreeMap<JobId, Open>,
    pub(super) children: BTreeMap<WorkerId, Child>,
    order: BTreeMap<Kind, Vec<JobId>>,
    suspects: BTreeMap<u64, u32>,
    shares: Shares,
    uses: u64,
    /// Versions of which a child introduced itself.
    pub(super) speaking: BTreeSet<u64>,
    pub(super) stopping: bool,
    /// Nothing goes wrong since then.
    pub(super) good: Option<Mono>,
    /// How late the pool was told the time at most, when it stood still.
    pub(super) stood: Duration,
    pub(super) settled: u64,
    pub(super) over: bool,
}

/// What one event must lead to.
#[derive(Debug, Default)]
struct Due {
    /// Each of these is over, and how.
    settled: BTreeMap<JobId, Outcome>,
    kill: Option<WorkerId>,
    requeued: Vec<JobId>,
}

impl Oracle {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            open: BTreeMap::new(),
            children: BTreeMap::new(),
            order: BTreeMap::new(),
            suspects: BTreeMap::new(),
            shares: Shares::default(),
            uses: 0,
            speaking: BTreeSet::new(),
            stopping: false,
            good: None,
            stood: Duration::ZERO,
            settled: 0,
            over: false,
        }
    }

    /// Judges what was done about an event. `meant` is the job that a line was really for.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(
        &mut self,
        now: Mono,
        event: &Event,
        meant: Option<JobId>,
        actions: &[Action],
    ) -> Result<(), String> {
        self.ripen(now);
        let mut due = self.take(now, event, meant, actions)?;
        for action in actions {
            self.check(now, event, action, &mut due)?;
        }
        if let Some((job, outcome)) = due.settled.first_key_value() {
            return Err(format!("{job:?} should be over as {outcome:?}"));
        }
        if let Some(child) = due.kill {
            return Err(format!("{child:?} should be ended"));
        }
        if let Some(job) = due.requeued.first() {
            return Err(format!("{job:?} should wait again"));
        }
        let waiting = self.open.values().filter(|open| open.waits).count();
        let waits = |job: &JobId| self.open.get(job).is_some_and(|open| open.waits);
        if matches!(event, Event::Submitted(job) if waits(&job.id)) && waiting > self.policy.waiting {
            return Err(format!("{waiting} wait, {} may", self.policy.waiting));
        }
        self.sweep(now)
    }

    /// Children that have been silent for long are plain.
    fn ripen(&mut self, now: Mono) {
        let Some(after) = self.policy.plain_after else { return };
        for child in self.children.values_mut() {
            let ripe = child.spawned.is_some_and(|at| at.after(after) <= now);
            if ripe && !child.ready && !child.leaving && child.killed.is_none() && !child.expected {
                (child.ready, child.takes) = (true, 1);
            }
        }
    }

    fn take(&mut self, now: Mono, event: &Event, meant: Option<JobId>, actions: &[Action]) -> Result<Due, String> {
        let mut due = Due::default();
        match event {
            Event::Submitted(job) => {
                let refused =
                    actions.iter().any(|action| matches!(action, Action::Refused { job: id, .. } if *id == job.id));
                if !refused {
                    self.open.insert(job.id, Open { job: *job, returns: 0, waits: true });
                    self.order.entry(job.kind).or_default().push(job.id);
                }
                if !refused && job.expires.is_some_and(|at| at <= now) {
                    due.settled.insert(job.id, Outcome::Expired);
                }
            }
            Event::Cancelled(job) => self.cancelled(*job, actions, &mut due)?,
            Event::Recalled => self.recalled(&mut due),
            Event::Stopped { .. } => {
                self.stopping = true;
                self.recalled(&mut due);
            }
            Event::Spawned(child) => {
                if let Some(child) = self.children.get_mut(child) {
                    child.spawned = Some(now);
                    child.expected = self.speaking.contains(&child.epoch);
                }
                self.ripen(now);
            }
            Event::SpawnFailed { child, .. } => {
                self.children.remove(child);
            }
            Event::Said { child, said } => self.said(now, *child, *said, meant, &mut due),
            Event::Exited { child, unread, .. } => self.exited(now, *child, unread, &mut due),
            Event::Defined { policy, .. } => self.policy = policy.clone(),
            Event::Tick | Event::Scaled(_) | Event::Restarted { .. } | Event::Outgrown(_) => {}
        }
        Ok(due)
    }

    fn cancelled(&mut self, job: JobId, actions: &[Action], due: &mut Due) -> Result<(), String> {
        let Some(open) = self.open.get(&job) else { return Ok(()) };
        if open.waits {
            due.settled.insert(job, Outcome::Cancelled);
            return Ok(());
        }
        let held = |child: &Child| child.hands.iter().position(|held| held.job == job);
        let found = self.children.iter_mut().find_map(|(id, child)| held(child).map(|at| (*id, at, child)));
        let Some((id, at, child)) = found else { return Err(format!("{job:?} is nowhere")) };
        if std::mem::replace(&mut child.hands[at].cancelled, true) || child.killed.is_some() {
            return Ok(());
        }
        if child.speaks.is_some_and(|said| said.cancels) {
            let asked = actions.contains(&Action::AskCancel { child: id, job });
            return if asked { Ok(()) } else { Err(format!("{id:?} was not asked to cancel {job:?}")) };
        }
        due.kill = Some(id);
        due.settled.insert(job, Outcome::Cancelled);
        Ok(())
    }

    fn recalled(&mut self, due: &mut Due) {
        let waits = self.open.iter().filter(|(_, open)| open.waits);
        due.settled.extend(waits.map(|(job, _)| (*job, Outcome::Returned { begun: false })));
    }

    fn said(&mut self, now: Mono, id: WorkerId, said: Said, meant: Option<JobId>, due: &mut Due) {
        let Some(child) = self.children.get_mut(&id).filter(|child| child.killed.is_none()) else { return };
        match said {
            Said::Ready(said) if child.speaks.is_none() && child.jobs == 0 => {
                if said.protocol != 1 || said.concurrency == 0 {
                    due.kill = Some(id);
                    return;
                }
                child.speaks = Some(said);
                self.speaking.insert(child.epoch);
                (child.ready, child.takes) = (true, said.concurrency);
                for held in &mut child.hands {
                    held.due = now.after(held.timeout);
                }
            }
            Said::Started(echo) | Said::Progress(echo) => {
                let Some(job) = named(child, echo, meant) else { return due.kill = Some(id) };
                child.hands.iter_mut().filter(|held| held.job == job).for_each(|held| held.started = true);
            }
            Said::Answer(echo, reply) => {
                let Some(job) = named(child, echo, meant) else { return due.kill = Some(id) };
                let cancelled = child.hands.iter().any(|held| held.job == job && held.cancelled);
                child.hands.retain(|held| held.job != job);
                child.jobs += 1;
                child.idle = now;
                if self.policy.jobs.is_some_and(|most| child.jobs >= most) {
                    child.worn.get_or_insert(now);
                }
                if echo == Echo::Missing && self.policy.doubt > Duration::ZERO {
                    child.doubted = Some(now.after(self.policy.doubt));
                }
                due.settled.insert(job, outcome(reply, cancelled, &self.policy));
            }
            Said::Noise if self.policy.strict => due.kill = Some(id),
            Said::Garbage => due.kill = Some(id),
            Said::Ready(_) | Said::Noise | Said::Beat | Said::Log => {}
        }
    }

    fn exited(&mut self, now: Mono, id: WorkerId, unread: &[JobId], due: &mut Due) {
        let Some(child) = self.children.remove(&id) else { return };
        let silent = !child.speaks.is_some_and(|said| said.starts);
        for held in child.hands.iter().rev() {
            let begun = held.started || (silent && !unread.contains(&held.job));
            let Some(open) = self.open.get_mut(&held.job) else { continue };
            if held.cancelled {
                due.settled.insert(held.job, Outcome::Cancelled);
            } else if child.killed == Some(Doom::Stopped) {
                due.settled.insert(held.job, Outcome::Returned { begun });
            } else if begun && !matches!(child.killed, None | Some(Doom::Stayed)) {
                due.settled.insert(held.job, Outcome::Failed { failure: Failure::Bystander, poison: false });
            } else if begun {
                let count = self.suspects.entry(open.job.key).or_default();
                *count += 1;
                let poison = *count >= self.policy.poison;
                if poison {
                    self.suspects.remove(&open.job.key);
                }
                due.settled.insert(held.job, Outcome::Failed { failure: Failure::Died(None), poison });
            } else if self.stopping {
                due.settled.insert(held.job, Outcome::Returned { begun: false });
            } else if open.returns == self.policy.returns {
                due.settled.insert(held.job, Outcome::Failed { failure: Failure::NeverBegun, poison: false });
            } else if open.job.expires.is_some_and(|at| at <= now) {
                due.settled.insert(held.job, Outcome::Expired);
            } else {
                due.requeued.push(held.job);
            }
        }
    }

    fn check(&mut self, now: Mono, event: &Event, action: &Action, due: &mut Due) -> Result<(), String> {
        match action {
            Action::Spawn { child, epoch, .. } => {
                let fresh = Child { epoch: epoch.0, idle: now, ..Child::default() };
                if self.children.insert(*child, fresh).is_some() {
                    return Err(format!("{child:?} was there before"));
                }
                Ok(())
            }
            Action::Hand { child, job } => self.handed(now, *child, *job),
            Action::Settled { job, outcome, child } => self.ended(now, *job, *outcome, *child, due),
            Action::Refused { why, job } => {
                let waiting = self.open.values().filter(|open| open.waits).count();
                match why {
                    Refusal::Full if waiting >= self.policy.waiting => Ok(()),
                    Refusal::Stopping if self.stopping => Ok(()),
                    _ => Err(format!("{job:?} was refused as {why:?} with {waiting} waiting")),
                }
            }
            Action::Requeued(job) => self.requeued(*job, due),
            Action::Close(child) => {
                let Some(child) = self.children.get_mut(child) else { return Err(format!("{child:?} is not there")) };
                child.closed = Some(now);
                let fine = child.leaving && child.hands.is_empty();
                if fine { Ok(()) } else { Err(format!("the input of {child:?} was closed")) }
            }
            Action::Kill { child, why } => self.killed(now, event, *child, *why, due),
            Action::Crew(Notice::WorkerDraining { worker, reason: DrainReason::Asked(_) }) => {
                if let Some(child) = self.children.get_mut(worker) {
                    child.leaving = true;
                }
                Ok(())
            }
            Action::Over => {
                self.over = true;
                let left = self.open.len() + self.children.len();
                if left == 0 { Ok(()) } else { Err(format!("over with {left} jobs and children left")) }
            }
            Action::AskCancel { .. } | Action::Signal { .. } | Action::Began { .. } | Action::Relay { .. } => Ok(()),
            Action::Noise { .. } | Action::Disregarded(_) | Action::Crew(_) => Ok(()),
        }
    }

    fn handed(&mut self, now: Mono, id: WorkerId, job: JobId) -> Result<(), String> {
        let Some(child) = self.children.get(&id) else { return Err(format!("{id:?} is not there")) };
        if !child.free(now) {
            return Err(format!("{job:?} was handed to {id:?}, which is not free: {child:?}"));
        }
        let better = |other: &Child| {
            let key = |child: &Child| (child.hands.len(), std::cmp::Reverse(child.used));
            other.free(now) && key(other) < key(child)
        };
        if let Some((other, _)) = self.children.iter().find(|(_, other)| better(other)) {
            return Err(format!("{job:?} was handed to {id:?} instead of {other:?}"));
        }
        let Some(open) = self.open.get_mut(&job).filter(|open| open.waits) else {
            return Err(format!("{job:?} does not wait"));
        };
        open.waits = false;
        let (kind, timeout) = (open.job.kind, open.job.timeout.unwrap_or(self.policy.timeout));
        let line = self.order.entry(kind).or_default();
        if line.first() != Some(&job) {
            return Err(format!("{job:?} was handed out before {:?}", line.first()));
        }
        let waiting: Vec<Kind> =
            self.order.iter().filter(|(_, line)| !line.is_empty()).map(|(kind, _)| *kind).collect();
        self.shares.serve(kind, &waiting, &self.policy)?;
        self.order.entry(kind).or_default().remove(0);
        self.uses += 1;
        let Some(child) = self.children.get_mut(&id) else { return Ok(()) };
        child.used = self.uses;
        child.hands.push(Held { job, due: now.after(timeout), timeout, started: false, cancelled: false });
        Ok(())
    }

    fn ended(
        &mut self,
        now: Mono,
        job: JobId,
        outcome: Outcome,
        child: Option<WorkerId>,
        due: &mut Due,
    ) -> Result<(), String> {
        let Some(open) = self.open.remove(&job) else { return Err(format!("{job:?} was over before: {outcome:?}")) };
        let line = self.order.entry(open.job.kind).or_default();
        let waited = line.len();
        line.retain(|other| *other != job);
        if line.is_empty() && waited > 0 {
            self.shares = Shares::default();
        }
        self.settled += 1;
        if outcome == Outcome::Done {
            self.suspects.remove(&open.job.key);
        }
        if let Some(expected) = due.settled.remove(&job) {
            return if alike(expected, outcome) {
                Ok(())
            } else {
                Err(format!("{job:?} is {outcome:?}, not {expected:?}"))
            };
        }
        // What time alone does.
        let held = child.and_then(|id| self.children.get_mut(&id));
        let held = held.and_then(|child| {
            let at = child.hands.iter().position(|held| held.job == job)?;
            Some(child.hands.remove(at))
        });
        match outcome {
            Outcome::Expired if open.waits && open.job.expires.is_some_and(|at| at <= now) => Ok(()),
            Outcome::Failed { failure: Failure::TimedOut(_), poison: false }
                if held.is_some_and(|held| held.due <= now) =>
            {
                Ok(())
            }
            Outcome::Cancelled if held.is_some_and(|held| held.cancelled) => Ok(()),
            _ => Err(format!("{job:?} ended as {outcome:?} for no reason")),
        }
    }

    fn requeued(&mut self, job: JobId, due: &mut Due) -> Result<(), String> {
        let Some(at) = due.requeued.iter().position(|known| *known == job) else {
            return Err(format!("{job:?} waits again for no reason"));
        };
        due.requeued.remove(at);
        let Some(open) = self.open.get_mut(&job) else { return Err(format!("{job:?} is over")) };
        open.waits = true;
        open.returns += 1;
        let kind = open.job.kind;
        self.order.entry(kind).or_default().insert(0, job);
        Ok(())
    }

    fn killed(&mut self, now: Mono, event: &Event, id: WorkerId, why: Doom, due: &mut Due) -> Result<(), String> {
        let Some(child) = self.children.get_mut(&id) else { return Err(format!("{id:?} is not there")) };
        if child.killed.replace(why).is_some() {
            return Err(format!("{id:?} was ended twice"));
        }
        let late = |job: JobId| child.hands.iter().any(|held| held.job == job && held.due <= now);
        let ready_timeout = self.policy.crew.ready_timeout;
        let fine = match why {
            Doom::TimedOut(job) => late(job),
            Doom::Cancelled(job) => child.hands.iter().any(|held| held.job == job && held.cancelled),
            Doom::OutOfStep | Doom::Garbage | Doom::Foreign => due.kill == Some(id),
            // It became plain only while the pool stood still, for longer than it may take to get ready.
            Doom::Stayed if child.used == 0 && child.spawned.is_some_and(|at| at.after(ready_timeout) <= now) => true,
            Doom::Stayed => !child.ready || child.closed.is_some_and(|at| at.after(self.policy.leave) <= now),
            Doom::Stopped => child.leaving || self.stopping,
        };
        if due.kill == Some(id) {
            due.kill = None;
        }
        if fine { Ok(()) } else { Err(format!("{id:?} was ended as {why:?} by {event:?}: {child:?}")) }
    }

    /// What holds at any time.
    fn sweep(&mut self, now: Mono) -> Result<(), String> {
        let waiting = self.open.values().filter(|open| open.waits).count();
        if let Some((id, child)) = self.children.iter().find(|(_, child)| waiting > 0 && child.free(now)) {
            return Err(format!("{waiting} wait, and {id:?} is free: {child:?}"));
        }
        let overdue = |held: &&Held| held.due.after(self.stood + Duration::from_millis(1200)) < now;
        for (id, child) in self.children.iter().filter(|(_, child)| child.killed.is_none()) {
            if let Some(held) = child.hands.iter().find(overdue) {
                return Err(format!("{id:?} has had {:?} for too long", held.job));
            }
            let Some(good) = self.good.filter(|_| child.ready && !child.leaving && !self.stopping) else { continue };
            if child.worn.is_some_and(|at| at.max(good).after(SOON) < now) {
                return Err(format!("{id:?} has had {} jobs and is not replaced", child.jobs));
            }
            let idle = self.policy.idle.filter(|_| child.jobs > 0 && child.hands.is_empty());
            if idle.is_some_and(|idle| child.idle.max(good).after(idle + SOON) < now) {
                return Err(format!("{id:?} is idle for long and is not replaced"));
            }
        }
        let expired = |open: &&Open| open.waits && open.job.expires.is_some_and(|at| at.after(self.stood) < now);
        match self.open.values().find(expired) {
            Some(open) => Err(format!("{:?} waits for longer than it may", open.job)),
            None => Ok(()),
        }
    }
}

/// Which job a line is for, as the child's hands say. `meant` is the truth about a line without a name.
fn named(child: &mut Child, echo: Echo, meant: Option<JobId>) -> Option<JobId> {
    let has = |job: JobId| child.hands.iter().any(|held| held.job == job);
    match echo {
        Echo::Job(job) if has(job) => {
            child.echoes = true;
            Some(job)
        }
        Echo::Missing if child.speaks.is_none() && !child.echoes && child.hands.len() == 1 => {
            meant.filter(|job| has(*job))
        }
        Echo::Missing | Echo::Job(_) | Echo::Stranger => None,
    }
}

fn outcome(reply: Reply, cancelled: bool, policy: &Policy) -> Outcome {
    match reply {
        Reply::Ok => Outcome::Done,
        Reply::Error | Reply::Cancelled if cancelled => Outcome::Cancelled,
        Reply::Error | Reply::Cancelled => Outcome::Failed { failure: Failure::Said, poison: false },
        Reply::Throttled(after) => Outcome::Throttled(after.unwrap_or(policy.throttle)),
        Reply::Discard => Outcome::Discarded,
        Reply::Unknown => Outcome::Unknown,
    }
}

/// How a child died, and for which fault it was ended, are the machine's own words.
fn alike(expected: Outcome, outcome: Outcome) -> bool {
    match (expected, outcome) {
        (
            Outcome::Failed { failure: Failure::Died(_), poison: a },
            Outcome::Failed { failure: Failure::Died(_), poison: b },
        ) => a == b,
        (
            Outcome::Failed { failure: Failure::Bystander, .. },
            Outcome::Failed { failure: Failure::OutOfStep | Failure::Garbage | Failure::Bystander, poison: false },
        ) => true,
        (a, b) => a == b,
    }
}
