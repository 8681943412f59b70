use std::time::Duration;

use super::{Action, Counts, Echo, Event, Failure, Introduction, Job, JobId, Kind, Outcome, Policy, Pool, Reply, Said};
use crate::Mono;
use crate::fleet::{Epoch, ExitStatus, WorkerId};

const INTRODUCTION: Introduction = Introduction { protocol: 1, concurrency: 1, starts: false, cancels: false };

struct Rig {
    pool: Pool,
    now: Mono,
    log: Vec<Action>,
    next: u64,
}

impl Rig {
    fn new(policy: Policy) -> Self {
        let mut rig = Self { pool: Pool::new(1), now: Mono::default(), log: Vec::new(), next: 0 };
        rig.send(Event::Defined { policy, epoch: Epoch(1) });
        rig
    }

    /// All children of it introduce themselves.
    fn ready(policy: Policy, introduction: Introduction) -> Self {
        let children = policy.crew.workers;
        let mut rig = Self::new(policy);
        for child in 1..=u64::from(children) {
            rig.boot(child, introduction);
        }
        rig.log.clear();
        rig
    }

    fn send(&mut self, event: Event) {
        self.pool.handle(self.now, event, &mut self.log);
    }

    fn boot(&mut self, child: u64, introduction: Introduction) {
        self.send(Event::Spawned(WorkerId(child)));
        self.send(Event::Said { child: WorkerId(child), said: Said::Ready(introduction) });
    }

    fn submit(&mut self, kind: u32) -> JobId {
        self.next += 1;
        let id = JobId(self.next);
        self.send(Event::Submitted(Job { id, kind: Kind(kind), key: 7, timeout: None, expires: None }));
        id
    }

    fn answer(&mut self, child: u64, job: JobId, reply: Reply) {
        self.send(Event::Said { child: WorkerId(child), said: Said::Answer(Echo::Job(job), reply) });
    }

    fn exit(&mut self, child: u64, unread: Vec<JobId>) {
        self.send(Event::Exited { child: WorkerId(child), status: ExitStatus::Code(1), unread });
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(at) = self.pool.deadline().filter(|at| *at <= until) {
            self.now = at;
            self.send(Event::Tick);
        }
        self.now = until;
    }

    /// What was handed to whom since the last look.
    fn hands(&mut self) -> Vec<(u64, JobId)> {
        let log = std::mem::take(&mut self.log);
        let hand = |action| match action {
            Action::Hand { child, job } => Some((child.0, job)),
            _ => None,
        };
        log.into_iter().filter_map(hand).collect()
    }
}

#[test]
fn a_job_never_waits_behind_a_busy_child_while_another_is_idle() {
    let mut rig = Rig::ready(Policy::basic(2), INTRODUCTION);
    let slow = rig.submit(0);
    assert_eq!(rig.hands(), [(1, slow)]);
    for _ in 0..10 {
        let fast = rig.submit(0);
        assert_eq!(rig.hands(), [(2, fast)]);
        rig.answer(2, fast, Reply::Ok);
    }
}

#[test]
fn the_child_that_was_used_last_is_used_next() {
    let mut rig = Rig::ready(Policy::basic(3), INTRODUCTION);
    let jobs = [rig.submit(0), rig.submit(0)];
    rig.answer(1, jobs[0], Reply::Ok);
    rig.answer(2, jobs[1], Reply::Ok);
    rig.log.clear();
    let next = rig.submit(0);
    assert_eq!(rig.hands(), [(2, next)]);
}

#[test]
fn as_many_jobs_are_in_hand_as_the_child_takes_and_each_answer_ends_its_own() {
    let mut rig = Rig::ready(Policy::basic(1), Introduction { concurrency: 3, ..INTRODUCTION });
    let jobs: Vec<JobId> = (0..4).map(|_| rig.submit(0)).collect();
    assert_eq!(rig.hands(), [(1, jobs[0]), (1, jobs[1]), (1, jobs[2])]);
    rig.answer(1, jobs[2], Reply::Error);
    let failed = Outcome::Failed { failure: Failure::Said, poison: false };
    assert!(rig.log.contains(&Action::Settled { job: jobs[2], outcome: failed, child: Some(WorkerId(1)) }));
    assert_eq!(rig.hands(), [(1, jobs[3])]);
}

#[test]
fn what_a_dead_child_never_read_is_handed_out_again_in_its_order_and_costs_nothing() {
    let mut rig = Rig::ready(Policy::basic(1), Introduction { concurrency: 3, ..INTRODUCTION });
    let jobs: Vec<JobId> = (0..3).map(|_| rig.submit(0)).collect();
    rig.exit(1, jobs[1..].to_vec());
    let died = Failure::Died(Some(ExitStatus::Code(1)));
    let outcome = Outcome::Failed { failure: died, poison: false };
    assert!(rig.log.contains(&Action::Settled { job: jobs[0], outcome, child: Some(WorkerId(1)) }));
    rig.log.clear();
    rig.boot(2, Introduction { concurrency: 3, ..INTRODUCTION });
    assert_eq!(rig.hands(), [(2, jobs[1]), (2, jobs[2])]);
    assert_eq!(rig.pool.counts(), Counts { taken: 3, failed: 1, ..Counts::default() });
}

#[test]
fn a_child_that_dies_idle_is_noticed_by_no_job() {
    let mut rig = Rig::ready(Policy::basic(1), INTRODUCTION);
    rig.exit(1, Vec::new());
    let job = rig.submit(0);
    rig.boot(2, INTRODUCTION);
    rig.answer(2, job, Reply::Ok);
    assert_eq!(rig.pool.counts(), Counts { taken: 1, done: 1, ..Counts::default() });
}

#[test]
fn a_broken_deploy_takes_no_job() {
    let mut rig = Rig::new(Policy::basic(2));
    let jobs: Vec<JobId> = (0..100).map(|_| rig.submit(0)).collect();
    for child in 1..=10 {
        rig.send(Event::Spawned(WorkerId(child)));
        rig.exit(child, Vec::new());
    }
    assert_eq!((rig.hands(), rig.pool.waiting(), rig.pool.room()), (vec![], jobs.len(), 0));
}

#[test]
fn kinds_share_by_weight_and_one_that_comes_late_has_nothing_to_catch_up_on() {
    let policy = Policy { weights: [(Kind(1), 3)].into(), ..Policy::basic(1) };
    let mut rig = Rig::ready(policy, INTRODUCTION);
    let first = rig.submit(0);
    for _ in 0..200 {
        rig.submit(0);
    }
    let mut current = first;
    let mut next = |rig: &mut Rig| {
        rig.log.clear();
        rig.answer(1, current, Reply::Ok);
        current = rig.hands()[0].1;
        current
    };
    for _ in 0..50 {
        next(&mut rig);
    }
    let late: Vec<JobId> = (0..100).map(|_| rig.submit(1)).collect();
    let served = (0..40).filter(|_| late.contains(&next(&mut rig))).count();
    assert!((29..=31).contains(&served), "three of four: {served} of 40");
}

#[test]
fn a_pool_that_stood_still_gives_its_jobs_time_to_be_heard() {
    let mut rig = Rig::ready(Policy { timeout: Duration::from_secs(10), ..Policy::basic(1) }, INTRODUCTION);
    let job = rig.submit(0);
    rig.now = rig.now.after(Duration::from_secs(60));
    rig.send(Event::Tick);
    rig.answer(1, job, Reply::Ok);
    assert_eq!(rig.pool.counts().done, 1);
    let job = rig.submit(0);
    rig.log.clear();
    rig.pass(Duration::from_secs(10));
    let failure = Failure::TimedOut(Duration::from_secs(10));
    let outcome = Outcome::Failed { failure, poison: false };
    assert!(rig.log.contains(&Action::Settled { job, outcome, child: Some(WorkerId(1)) }));
}

#[test]
fn a_child_that_leaves_finishes_what_it_has_and_its_successor_is_warm_first() {
    let mut rig = Rig::ready(Policy { jobs: Some(1), ..Policy::basic(1) }, INTRODUCTION);
    let first = rig.submit(0);
    rig.answer(1, first, Reply::Ok);
    let second = rig.submit(0);
    assert_eq!(rig.hands(), [(1, first), (1, second)], "the old one goes on until another is ready");
    rig.boot(2, INTRODUCTION);
    rig.pass(Duration::from_secs(3));
    assert!(!rig.log.contains(&Action::Close(WorkerId(1))), "it has a job in hand");
    let third = rig.submit(0);
    assert_eq!(rig.hands(), [(2, third)]);
    rig.answer(1, second, Reply::Ok);
    assert!(rig.log.contains(&Action::Close(WorkerId(1))));
}
