//! The pool as others hold it.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, Thread};

use evercrew_core::pool::{JobId, Refusal};

use crate::cancel::Cancel;
use crate::config::Config;
use crate::dispatcher::Dispatcher;
use crate::error::Error;
use crate::inbox::{Done, Inbox, Request};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::statistics::Statistics;

/// Warm children of one command. Dropping it stops them: what is in hand has the grace to end.
#[derive(Debug)]
pub struct Pool {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Pool {
    /// Starts the children and waits until all of them are ready.
    ///
    /// # Errors
    /// [`Error`]: a configuration that cannot be, or the first child that could not be started or did not get ready; none is
    /// left then.
    ///
    /// # Examples
    /// ```
    /// use evercrew_pool::{Cancel, Config, Job, Outcome, Pool};
    ///
    /// let script = r#"echo '{"ready":true}'; while read -r line; do echo '{"id":"1","status":"ok"}'; done"#;
    /// let pool = Pool::spawn(Config::new(["sh", "-c", script]))?;
    /// assert!(matches!(pool.run(Job::new("1", "{}"), &Cancel::new()), Outcome::Done(_)));
    /// # Ok::<(), evercrew_pool::Error>(())
    /// ```
    pub fn spawn(config: Config) -> Result<Self, Error> {
        let (told, ready) = channel();
        let pool = Self::start(config, Some(told))?;
        match ready.recv() {
            Ok(Ok(())) => Ok(pool),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Refused("the pool ended while it started".to_owned())),
        }
    }

    /// Starts the children and does not wait for them: those that fail are tried again, with growing waits.
    ///
    /// # Errors
    /// A configuration that cannot be.
    pub fn open(config: Config) -> Result<Self, Error> {
        Self::start(config, None)
    }

    fn start(config: Config, ready: Option<std::sync::mpsc::Sender<Result<(), Error>>>) -> Result<Self, Error> {
        check(&config)?;
        let inbox = Arc::new(Inbox::new().map_err(|error| Error::Io("no descriptor for a pool", error))?);
        let name = config.name.clone();
        let mut dispatcher = Dispatcher::new(config, Arc::clone(&inbox), ready)?;
        let thread = Builder::new().name(name).spawn(move || dispatcher.run());
        let thread = thread.map_err(|error| Error::Io("no thread for a pool", error))?;
        Ok(Self { inbox, thread: Mutex::new(Some(thread)) })
    }

    /// Has a child do the job, and waits for what comes of it; for room before that, where as many jobs wait as may.
    pub fn run(&self, job: Job, cancel: &Cancel) -> Outcome {
        let mut seen = None;
        loop {
            let (id, answer) = self.begin(job.clone());
            cancel.follow(&self.inbox, id);
            let outcome = answer.wait();
            cancel.unfollow();
            if outcome != Outcome::Refused(Refusal::Full) || cancel.is_cancelled() {
                if seen.is_some() {
                    self.inbox.looked();
                }
                return outcome;
            }
            match seen {
                // It is tried once more with somebody looking, so that no room is missed.
                None => seen = Some(self.inbox.look()),
                Some(before) => seen = Some(self.inbox.wait(before)),
            }
        }
    }

    fn begin(&self, job: Job) -> (JobId, Arc<Answer>) {
        let answer = Arc::new(Answer { outcome: Mutex::new(None), waiter: std::thread::current() });
        let teller = Teller(Arc::clone(&answer));
        let id = self.submit(job, move |outcome| teller.0.tell(outcome));
        (id, answer)
    }

    /// Has a child do the job; `done` is told what came of it, in a thread of the pool's: it must not wait. A pool in which as
    /// many jobs wait as may refuses it.
    pub fn submit(&self, job: Job, done: impl FnOnce(Outcome) + Send + 'static) -> JobId {
        let (id, done): (JobId, Done) = (self.inbox.number(), Box::new(done));
        self.inbox.send(Request::Submit(id, job, done));
        id
    }

    /// Takes a job back.
    pub fn cancel(&self, job: JobId) {
        self.inbox.send(Request::Cancel(job));
    }

    /// Gives back all jobs that wait.
    pub fn recall(&self) {
        self.inbox.send(Request::Recall);
    }

    /// So many children are wanted.
    pub fn scale(&self, children: u32) {
        self.inbox.send(Request::Scale(children));
    }

    /// Replaces the children one by one, each by one that is ready, and waits until that is done. With a slot only that one.
    ///
    /// # Errors
    /// Why it ended before: a new child did not get ready, and the old ones stay.
    pub fn restart(&self, slot: Option<u32>) -> Result<(), String> {
        let (told, done) = channel();
        self.inbox.send(Request::Restart(slot, told));
        done.recv().unwrap_or_else(|_| Err("the pool has stopped".to_owned()))
    }

    /// How it stands; `None` once it has stopped.
    pub fn statistics(&self) -> Option<Statistics> {
        let (told, statistics) = channel();
        self.inbox.send(Request::Statistics(told));
        statistics.recv().ok()
    }

    /// Stops: what waits is given back, what is in hand has the grace to end; with `now` it has none. Returns when no child is
    /// left.
    pub fn stop(&self, now: bool) {
        self.inbox.send(Request::Stop { now });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panic was told where it happened.
            let _ = thread.join();
        }
    }
}

/// What one thread waits for. A channel would spin and give up the processor before it sleeps, which on a busy one costs
/// whole slices of time.
#[derive(Debug)]
struct Answer {
    outcome: Mutex<Option<Outcome>>,
    waiter: Thread,
}

impl Answer {
    fn tell(&self, outcome: Outcome) {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(outcome);
        self.waiter.unpark();
    }

    fn wait(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return outcome;
            }
            std::thread::park();
        }
    }
}

/// Tells whoever waits, at the latest when the dispatcher is gone.
struct Teller(Arc<Answer>);

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.tell(Outcome::Returned { begun: false });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop(false);
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::Refused(why.to_owned()));
    match config.command.first() {
        None => return refused("the command is empty: it needs a program at least"),
        Some(program) if program.is_empty() => return refused("the program has no name"),
        Some(_) => {}
    }
    if config.size == 0 {
        return refused("a pool has one child at least");
    }
    if config.timeout.is_zero() {
        return refused("with a timeout of 0 no job could be done");
    }
    if config.longest_line < 64 {
        return refused("a line of a child needs 64 bytes at least");
    }
    Ok(())
}
