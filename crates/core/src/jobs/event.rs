//! What happened, and what a shell has to do about it.

use std::sync::Arc;
use std::time::Duration;

use super::change::Change;
use super::number::{Asker, BatchNumber, JobNumber, LeaseNumber};
use super::record::{Failure, Record};
use super::wall::Wall;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A producer wants this job to be done.
    Pushed(NewJob),
    /// A worker wants jobs.
    Fetched(Fetch),
    /// Whoever waited does so no more.
    Left(Asker),
    /// A job is done; with its result, if it has one.
    Done(Claim, Option<Arc<str>>),
    /// A job has failed.
    Failed(Claim, Box<Failure>),
    /// A job was never begun: it is as if it had not been fetched.
    Refunded(Claim),
    /// What was granted under this lease did not reach the worker.
    Undelivered(LeaseNumber),
    /// What was granted under this lease cannot be handed out: the store does not have its text.
    Damaged(LeaseNumber),
    /// A job shall not be run, or not again.
    Cancelled(Arc<str>),
    /// A worker says who it is.
    Greeted(Greeting),
    /// A worker lives; what it says of its state, and the memory it uses in KiB.
    Beat(Arc<str>, Stage, u64),
    /// A worker wants to know which jobs are its own no more.
    Watched(Watch),
    /// This process of a worker has ended; another one may go by the same name.
    Died(Arc<str>, i64),
    /// These workers, or all of them, shall come to this stage.
    Steered(Option<Vec<Arc<str>>>, Stage),
    /// Nothing is handed out of these queues, or all of them; or again.
    Paused(Option<Vec<Arc<str>>>, bool),
    /// These queues, or all of them, with every job in them.
    QueuesRemoved(Option<Vec<Arc<str>>>),
    /// A change of jobs that are scheduled, tried again or dead.
    Mutated(Mutation, Vec<JobNumber>),
    /// Everything is gone.
    Flushed,
    /// What was changed since the last time is committed together.
    Sealed,
    /// It is on disk.
    Committed(BatchNumber),
    /// Nothing of it is.
    Refused(BatchNumber),
    /// A deadline has come.
    Ticked,
}

/// A job that a producer wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What it is called.
    pub jid: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// Its type.
    pub kind: Arc<str>,
    /// Seconds that a worker may keep it.
    pub reserve_for: u32,
    /// As in [`Record`].
    pub retry: i32,
    /// As in [`Record`].
    pub backtrace: u32,
    /// Not before this time.
    pub at: Option<Wall>,
}

/// A worker wants jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Who waits.
    pub asker: Asker,
    /// Which worker.
    pub wid: Arc<str>,
    /// Its process, as it said.
    pub pid: i64,
    /// From these queues, the first ones first.
    pub queues: Vec<Arc<str>>,
    /// At most so many.
    pub most: u32,
    /// How long it waits when there is none.
    pub wait: Duration,
}

/// A worker wants to know which jobs are its own no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who waits.
    pub asker: Asker,
    /// Which worker.
    pub wid: Arc<str>,
    /// Its process, as it said.
    pub pid: i64,
    /// What it has, as it would speak of it.
    pub held: Vec<Claim>,
    /// How long it waits while all are.
    pub wait: Duration,
}

/// Somebody says what became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which one.
    pub jid: Arc<str>,
    /// Under which lease, if it is told.
    pub lease: Option<LeaseNumber>,
    /// Which worker, if it is one.
    pub wid: Option<Arc<str>>,
}

/// A worker says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// What it calls itself.
    pub wid: Arc<str>,
    /// Where it runs.
    pub host: String,
    /// Its process there.
    pub pid: i64,
    /// Its labels.
    pub labels: Vec<String>,
}

/// How far a worker is on its way to its end; there is no way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It fetches.
    #[default]
    Running,
    /// It finishes what it has.
    Quiet,
    /// It ends.
    Terminating,
}

/// What is done with jobs of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Into their queue, at once.
    Requeue,
    /// To the dead ones.
    Kill,
    /// Away.
    Discard,
}

/// What the shell does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep this, with the next commit.
    Keep(Change),
    /// Hand these jobs to whoever asked.
    Grant(Asker, Vec<Grant>),
    /// Tell whoever asked that there is nothing.
    Nothing(Asker),
    /// Tell whoever asked which of its jobs are its own no more.
    Ended(Asker, Vec<Arc<str>>),
    /// This job is done, and that is on disk. It is as it was; its result, if it has one.
    Finished(Box<Record>, Option<Arc<str>>),
    /// The text of this job is needed no more.
    Forget(JobNumber),
    /// The text of no job below this number is.
    ForgetBelow(JobNumber),
}

/// A job that a worker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which one.
    pub number: JobNumber,
    /// Under which lease.
    pub lease: LeaseNumber,
    /// When it was put into its queue.
    pub enqueued_at: Wall,
    /// How it failed last.
    pub failure: Option<Box<Failure>>,
}

/// What came of an event, for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It is once the open batch is committed.
    OnCommit,
    /// It is once this batch is committed, which is on its way.
    OnCommitOf(BatchNumber),
    /// As this, which is taken in under this number once the open batch is committed.
    Taken(JobNumber),
    /// It waits: a grant or nothing follows.
    Waits,
    /// There is a job of this name already.
    Duplicate,
    /// There are as many jobs, queues or workers as there may be.
    Full(&'static str),
    /// No job, or no worker, is called so.
    Unknown,
    /// It is somebody else's by now; nothing was changed.
    Stale,
    /// What the worker is asked to come to; `None` when nothing.
    Asked(Option<Stage>),
    /// The batch that was sealed; `None` when nothing was changed.
    Batch(Option<BatchNumber>),
}

/// What was found in a store, for the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The jobs, in any order.
    pub records: Vec<Record>,
    /// Queues that nothing is handed out of.
    pub paused: Vec<Arc<str>>,
    /// The highest number that a job ever had.
    pub highest: u64,
}
