//! What a worker is told, and what it has done.

use std::sync::Arc;
use std::time::Duration;

use crate::Mono;

/// One attempt at a connection; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One run of a job; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// What a server can do beyond the protocol of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Many jobs are fetched, and many settled, with one question.
    pub bulk: bool,
    /// A job can be given back unused.
    pub refund: bool,
}

/// A job that was fetched, by name and lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Its name.
    pub jid: Arc<str>,
    /// The number of its lease, where the server gives such.
    pub lease: Option<u64>,
    /// The same as long as nobody has settled the job; another once it failed, or when its name comes again with a new
    /// job.
    pub version: u64,
}

/// A job as it arrives: `J` is what runs, `F` why it cannot be read.
#[derive(Clone, Debug)]
pub struct Arrival<J, F> {
    /// Which one.
    pub claim: Claim,
    /// For how long it is reserved.
    pub reserve: Duration,
    /// The job, or why it is none.
    pub content: Result<J, F>,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<F> {
    /// It is done.
    Done,
    /// It failed.
    Failed(F),
    /// It shall be run another time, as if it had not been begun.
    GivenBack,
}

/// Why a job is told as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame<F> {
    /// Its handler says so.
    Handler(F),
    /// The worker stops before it could be begun.
    NotBegun,
    /// The worker stops, and it did not end in time.
    Overdue,
    /// Its handler gives it back, which the server does not know.
    GivenBack,
}

/// Why a run is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its reservation is over: another worker may have the job.
    Lease,
    /// The worker stops.
    Stopping,
}

/// How far a worker is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It fetches.
    Running,
    /// It fetches nothing.
    Quiet,
    /// It ends.
    Terminating,
}

/// What a server asks for with the answer to a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    None,
    /// Fetch no more.
    Quiet,
    /// End.
    Terminate,
}

/// The answer to the oldest question of a link that has none yet.
#[derive(Clone, Debug)]
pub enum Answer<J, F> {
    /// It is so.
    Ok,
    /// What a beat is answered with.
    Beat(Hint),
    /// Jobs; none when there was none.
    Jobs(Vec<Arrival<J, F>>),
    /// The settled job is not this worker's any more, or not there.
    Moot,
    /// Of many settled jobs these are not this worker's any more.
    MootOf(Vec<Arc<str>>),
    /// The server does not know this worker.
    UnknownWorker,
    /// It cannot be done at present.
    Refused,
}

/// Why a link is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broke {
    /// Nobody answered, or not for long.
    Lost,
    /// The server does not let this worker in.
    Denied,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<J, F> {
    /// A link is open and the server knows who we are.
    Opened(LinkId, Abilities),
    /// A link is closed, or never opened.
    Broken(LinkId, Broke),
    /// The oldest question of a link has its answer.
    Answered(LinkId, Answer<J, F>),
    /// A run ended.
    Finished(RunId, Outcome<F>),
    /// The server reserves a job until this moment.
    Extended(RunId, Mono),
    /// Fetch nothing until told otherwise.
    Paused,
    /// Fetch again.
    Resumed,
    /// Finish what is begun, then end.
    Stopped,
    /// End at once.
    StoppedAtOnce,
    /// Time passed.
    Ticked,
}

/// The order in which a fetch names its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were given.
    AsGiven,
    /// By their places.
    Drawn(Vec<u16>),
}

/// What a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question<F> {
    /// Up to so many jobs.
    Fetch {
        /// How many; 1 where the server has no bulk.
        most: u32,
        /// How its queues are named.
        order: Order,
    },
    /// These are done; more than one only where the server has bulk.
    Done(Vec<Claim>),
    /// This one failed.
    Failed(Claim, Blame<F>),
    /// This one goes back.
    Refund(Claim),
    /// The worker lives, and is so far.
    Beat(Stage),
    /// Good-bye.
    End,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action<J, F> {
    /// Connect, and say who we are; `true` for the line that also asks what the server can do.
    Open(LinkId, bool),
    /// Send what was asked and disconnect. Nothing of this link counts any more.
    Close(LinkId),
    /// Ask, after what was asked before.
    Ask(LinkId, Question<F>),
    /// Run a job.
    Start(RunId, J),
    /// Tell a run to end.
    Cancel(RunId, Why),
    /// End a run by force, or let it go; it has been told as failed.
    Abandon(RunId),
    /// Nothing follows.
    End(End),
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Results that no server took.
    pub undelivered: usize,
    /// The server did not let it in.
    pub denied: bool,
}
