//! What a pool is made of.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::fleet::{Backoff, Heartbeat, Recycle, StartLimit};
use evercrew_core::pool::Policy;
use evercrew_wire::child::LONGEST_LINE;

use crate::log::Record;

/// Where jobs go to a child and answers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// Its standard input and output.
    #[default]
    Stdio,
    /// Its descriptors 3 and 4, so that nothing it prints is in the way. Its standard input is empty.
    Descriptors,
}

/// What a pool is made of. [`Config::new`] has the defaults.
pub struct Config {
    /// What it is called: children are `NAME.1`, `NAME.2`.
    pub name: String,
    /// The program and its arguments; a name without a slash is looked up in PATH.
    pub command: Vec<OsString>,
    /// Variables beside the inherited ones; one without a value is taken away.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The working directory.
    pub directory: Option<PathBuf>,
    /// How many children.
    pub size: u32,
    /// Where lines go.
    pub channel: Channel,
    /// How long a job may take.
    pub timeout: Duration,
    /// How long jobs of these kinds may take instead.
    pub timeouts: Vec<(String, Duration)>,
    /// How much of the children's time jobs of these kinds get while others wait; 1 for those that are not named.
    pub weights: Vec<(String, u32)>,
    /// How many jobs may wait for a child.
    pub waiting: usize,
    /// How long a child may take to get ready.
    pub ready_timeout: Duration,
    /// After so long a child that says nothing is ready; `None` waits for its first line.
    pub plain_after: Option<Duration>,
    /// How long a child that dies is waited with before its slot has another: not at all for the first.
    pub backoff: Backoff,
    /// How often a slot may start in which time before it is tried only once every `backoff.max`.
    pub start_limit: Option<StartLimit>,
    /// A child that owes signs of life and gives none for so long is ended.
    pub heartbeat: Option<Duration>,
    /// A child that prints anything that is no answer is ended.
    pub strict: bool,
    /// The longest line of a child, in bytes.
    pub longest_line: usize,
    /// How long a child that is replaced or stopped may go on with what it has begun.
    pub grace: Duration,
    /// How long a child may take to cancel a job, where it can.
    pub cancel_grace: Duration,
    /// After how many jobs a child is replaced.
    pub recycle_jobs: Option<u32>,
    /// At which age.
    pub recycle_age: Option<Duration>,
    /// After how long without a job, where it has had one.
    pub recycle_idle: Option<Duration>,
    /// With how much memory of its own, in bytes.
    pub recycle_memory: Option<u64>,
    /// By which share, 0 to 1, these are shortened at random.
    pub recycle_jitter: f64,
    /// How many children a job may end before it is not tried again.
    pub poison: u32,
    /// What is told of children's output and of children themselves; by default standard error, from `info` on. It runs in a thread of its own; what it is too slow for
    /// is dropped and counted.
    pub log: Box<dyn FnMut(Record) + Send>,
}

impl Config {
    /// A pool of one child of this command.
    pub fn new<A: Into<OsString>>(command: impl IntoIterator<Item = A>) -> Self {
        let policy = Policy::basic(1);
        Self {
            name: "pool".to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            directory: None,
            size: 1,
            channel: Channel::Stdio,
            timeout: policy.timeout,
            timeouts: Vec::new(),
            weights: Vec::new(),
            waiting: policy.waiting,
            ready_timeout: policy.crew.ready_timeout,
            plain_after: policy.plain_after,
            backoff: policy.crew.backoff,
            start_limit: policy.crew.start_limit,
            heartbeat: None,
            strict: false,
            longest_line: LONGEST_LINE,
            grace: Duration::from_secs(30),
            cancel_grace: policy.cancel_grace,
            recycle_jobs: None,
            recycle_age: None,
            recycle_idle: None,
            recycle_memory: None,
            recycle_jitter: 0.5,
            poison: policy.poison,
            log: Box::new(|record| {
                if record.level >= evercrew_core::Level::Info {
                    eprintln!("{record}");
                }
            }),
        }
    }

    /// What the core goes by.
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::basic(self.size);
        policy.waiting = self.waiting;
        policy.timeout = self.timeout;
        policy.plain_after = self.plain_after;
        // What stands where only answers may stand is a mistake, not something printed.
        policy.strict = self.strict || self.channel == Channel::Descriptors;
        policy.cancel_grace = self.cancel_grace;
        policy.jobs = self.recycle_jobs;
        policy.idle = self.recycle_idle;
        policy.poison = self.poison;
        policy.crew.ready_timeout = self.ready_timeout;
        policy.crew.backoff = self.backoff;
        policy.crew.start_limit = self.start_limit;
        policy.crew.recycle = Recycle { age: self.recycle_age, jitter: self.recycle_jitter };
        policy.crew.heartbeat =
            self.heartbeat.map(|timeout| Heartbeat { timeout, signal: evercrew_core::Signal::Kill });
        policy.crew.rollout.settle = Duration::from_millis(200);
        policy.crew.rollout.prove = Duration::from_secs(1);
        for step in &mut policy.crew.stop.steps {
            step.lasting = Some(self.grace);
        }
        policy
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("name", &self.name).field("command", &self.command).finish_non_exhaustive()
    }
}
