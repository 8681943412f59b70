//! What programs hold.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evercrew_wire::faktory::{Reply, ask};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::{Batch, BatchStatus};
use super::error::ClientError;
use super::info::Info;
use super::job::Job;
use super::line::{self, Asked, Fate, MOST_WAITING};
use super::mutation::{Filter, Place};
use super::pretend::Pretence;
use super::tracking::Progress;
use crate::address::Address;
use crate::dial::Lost;
use crate::worker::Handlers;

/// How long a question waits for its answer, all attempts together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections of one client.
const LINES: usize = 2;
/// Jobs of one PUSHB.
const MOST_AT_ONCE: usize = 1000;
/// Bytes of one PUSHB.
const LARGEST_BULK: usize = 8 << 20;
/// Pauses between attempts to reach a server.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(300), Duration::from_secs(1)];

/// A client of a queue server. It can be cloned, and used by any number of tasks at once.
///
/// It connects when it is first asked something, sends what many tasks ask without waiting for answers in between, and
/// connects again when the connection was lost. Dropping it closes its connections, and waits for nothing.
///
/// # Examples
/// ```no_run
/// # async fn f() -> Result<(), evercrew_jobs::ClientError> {
/// let client = evercrew_jobs::Client::from_environment()?;
/// client.push(evercrew_jobs::Job::new("SendMail", ("ada@example.com",))).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: Address,
    patience: Duration,
    lines: [Mutex<Option<mpsc::Sender<Asked>>>; LINES],
    next: AtomicUsize,
    pretence: Option<Pretence>,
}

impl Client {
    /// A client of the server at this address. Nothing is connected yet.
    pub fn new(address: Address) -> Self {
        Self::with(address, PATIENCE, None)
    }

    /// A client whose questions wait so long for an answer.
    pub fn with_patience(address: Address, patience: Duration) -> Self {
        Self::with(address, patience, None)
    }

    /// A client of the server that the environment names: FAKTORY_PROVIDER names the variable with its URL, else
    /// FAKTORY_URL is it, else `tcp://localhost:7419`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn from_environment() -> Result<Self, ClientError> {
        Address::from_environment().map(Self::new).map_err(ClientError::Address)
    }

    /// A client of the server with this URL: `tcp://:password@host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn from_url(url: &str) -> Result<Self, ClientError> {
        Address::parse(url).map(Self::new).map_err(ClientError::Address)
    }

    /// For tests of a program: nothing is sent, and [`Client::pushed`] tells what would have been.
    pub fn fake() -> Self {
        Self::with(Address::nowhere(), PATIENCE, Some(Pretence::fake()))
    }

    /// For tests of a program: what is pushed is run at once by these handlers, and its failure is the push's.
    pub fn inline(handlers: Handlers) -> Self {
        Self::with(Address::nowhere(), PATIENCE, Some(Pretence::inline(handlers)))
    }

    fn with(address: Address, patience: Duration, pretence: Option<Pretence>) -> Self {
        let lines = Default::default();
        Self(Arc::new(Inner { address, patience, lines, next: AtomicUsize::new(0), pretence }))
    }

    /// The jobs that were pushed to a [`Client::fake`] or [`Client::inline`], first ones first; empties that list.
    pub fn pushed(&self) -> Vec<Job> {
        self.0.pretence.as_ref().map(Pretence::pushed).unwrap_or_default()
    }

    /// Pushes a job. It is on the server's disk when this returns, where the server promises that.
    ///
    /// # Errors
    /// [`ClientError`]. With [`ClientError::Unknown`] the job may have been taken; our own server refuses a second one
    /// of the same name.
    pub async fn push(&self, job: Job) -> Result<(), ClientError> {
        let text = job.to_json()?;
        if let Some(pretence) = &self.0.pretence {
            return pretence.push(self, job, &text).await;
        }
        let mut line = Vec::with_capacity(text.len() + 8);
        ask::words(&mut line, "PUSH", [text.as_str()]);
        self.ask(line, false).await.map(|_| ())
    }

    /// Pushes many jobs; gives those that were refused, by name, and why.
    ///
    /// # Errors
    /// [`ClientError`]; jobs before the one that failed may have been taken.
    pub async fn push_many(&self, jobs: impl IntoIterator<Item = Job>) -> Result<Vec<(String, String)>, ClientError> {
        let mut refused = Vec::new();
        let mut bulk = String::new();
        let mut count = 0;
        for job in jobs {
            let text = job.to_json()?;
            if let Some(pretence) = &self.0.pretence {
                pretence.push(self, job, &text).await?;
                continue;
            }
            if count == MOST_AT_ONCE || bulk.len() + text.len() > LARGEST_BULK {
                self.push_bulk(&mut bulk, &mut refused).await?;
                count = 0;
            }
            bulk.push(if count == 0 { '[' } else { ',' });
            bulk.push_str(&text);
            count += 1;
        }
        if count > 0 {
            self.push_bulk(&mut bulk, &mut refused).await?;
        }
        Ok(refused)
    }

    async fn push_bulk(&self, bulk: &mut String, refused: &mut Vec<(String, String)>) -> Result<(), ClientError> {
        bulk.push(']');
        let mut line = Vec::with_capacity(bulk.len() + 8);
        ask::words(&mut line, "PUSHB", [bulk.as_str()]);
        bulk.clear();
        let answer = self.json(self.ask(line, false).await?)?;
        let errors = answer.as_object().into_iter().flatten();
        refused.extend(errors.map(|(jid, why)| (jid.clone(), why.as_str().unwrap_or_default().to_owned())));
        Ok(())
    }

    /// How the server stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn info(&self) -> Result<Info, ClientError> {
        let reply = self.ask(b"INFO\r\n".to_vec(), true).await?;
        Ok(Info::of(self.json(reply)?))
    }

    /// Nothing is fetched from these queues, or from all with `*`, until they are resumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pause_queues(&self, queues: &[&str]) -> Result<(), ClientError> {
        self.queues("PAUSE", queues).await
    }

    /// As before the pause.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume_queues(&self, queues: &[&str]) -> Result<(), ClientError> {
        self.queues("RESUME", queues).await
    }

    /// Removes these queues with all jobs in them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_queues(&self, queues: &[&str]) -> Result<(), ClientError> {
        self.queues("REMOVE", queues).await
    }

    /// How long the oldest job of each of these queues has waited.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn latency(&self, queues: &[&str]) -> Result<Vec<(String, Duration)>, ClientError> {
        let mut line = Vec::new();
        ask::words(&mut line, "QUEUE LATENCY", queues.iter().copied());
        let answer = self.json(self.ask(line, true).await?)?;
        let seconds = |value: &Value| Duration::try_from_secs_f64(value.as_f64().unwrap_or(0.0)).unwrap_or_default();
        let latencies = answer.as_object().into_iter().flatten();
        Ok(latencies.map(|(queue, value)| (queue.clone(), seconds(value))).collect())
    }

    async fn queues(&self, verb: &str, queues: &[&str]) -> Result<(), ClientError> {
        if let Some(wrong) = queues.iter().find(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            return Err(ClientError::Unsendable(format!("`{wrong}` is no name of a queue")));
        }
        let mut line = Vec::new();
        ask::words(&mut line, "QUEUE", [verb].into_iter().chain(queues.iter().copied()));
        self.ask(line, true).await.map(|_| ())
    }

    /// Throws these jobs of a set away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn discard(&self, place: Place, filter: Filter) -> Result<(), ClientError> {
        self.mutate("discard", place, Some(&filter)).await
    }

    /// Makes these jobs of a set dead.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn kill(&self, place: Place, filter: Filter) -> Result<(), ClientError> {
        self.mutate("kill", place, Some(&filter)).await
    }

    /// Puts these jobs of a set into their queues.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn requeue(&self, place: Place, filter: Filter) -> Result<(), ClientError> {
        self.mutate("requeue", place, Some(&filter)).await
    }

    /// Throws all jobs of a set away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn clear(&self, place: Place) -> Result<(), ClientError> {
        self.mutate("clear", place, None).await
    }

    async fn mutate(&self, cmd: &str, target: Place, filter: Option<&Filter>) -> Result<(), ClientError> {
        self.told("MUTATE", &super::mutation::Mutation { cmd, target, filter }).await
    }

    /// Begins a batch: its callbacks are pushed once all its jobs are through. For servers that know batches.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn batch(&self, batch: &Batch) -> Result<String, ClientError> {
        let mut line = Vec::new();
        ask::line(&mut line, "BATCH NEW", batch);
        self.text(self.ask(line, false).await?)
    }

    /// Opens a batch for more jobs, from one of its own jobs or from outside.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_batch(&self, bid: &str) -> Result<(), ClientError> {
        let mut line = Vec::new();
        ask::words(&mut line, "BATCH OPEN", [bid]);
        self.ask(line, true).await.map(|_| ())
    }

    /// Pushes a job that belongs to a batch.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn push_in_batch(&self, bid: &str, job: Job) -> Result<(), ClientError> {
        self.push(job.in_batch(bid)).await
    }

    /// No more jobs come into this batch.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn commit_batch(&self, bid: &str) -> Result<(), ClientError> {
        let mut line = Vec::new();
        ask::words(&mut line, "BATCH COMMIT", [bid]);
        self.ask(line, true).await.map(|_| ())
    }

    /// How a batch stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn batch_status(&self, bid: &str) -> Result<BatchStatus, ClientError> {
        let mut line = Vec::new();
        ask::words(&mut line, "BATCH STATUS", [bid]);
        let answer = self.json(self.ask(line, true).await?)?;
        serde_json::from_value(answer).map_err(|error| self.foreign(error.to_string()))
    }

    /// How far a job is. For servers that track jobs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn progress(&self, jid: &str) -> Result<Progress, ClientError> {
        let mut line = Vec::new();
        ask::words(&mut line, "TRACK GET", [jid]);
        let answer = self.json(self.ask(line, true).await?)?;
        serde_json::from_value(answer).map_err(|error| self.foreign(error.to_string()))
    }

    /// Tells how far a job is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_progress(&self, progress: &Progress) -> Result<(), ClientError> {
        self.told("TRACK SET", progress).await
    }

    /// Removes everything from the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.ask(b"FLUSH\r\n".to_vec(), true).await.map(|_| ())
    }

    /// Sends one line of the protocol as it is, and gives what is answered: text, or none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn raw(&self, line: &str) -> Result<Option<String>, ClientError> {
        if line.contains(['\r', '\n']) {
            return Err(ClientError::Unsendable("a line of the protocol has no line end in it".to_owned()));
        }
        match self.ask(format!("{line}\r\n").into_bytes(), false).await? {
            Reply::Simple(text) | Reply::Bulk(text) => Ok(Some(text)),
            Reply::Nothing | Reply::Refused { .. } => Ok(None),
        }
    }

    async fn told(&self, verb: &str, json: &impl Serialize) -> Result<(), ClientError> {
        let mut line = Vec::new();
        ask::line(&mut line, verb, json);
        self.ask(line, true).await.map(|_| ())
    }
}

/// How questions get their answers.
impl Client {
    /// Asks until there is an answer, or it is late. What must not happen twice is asked once more only if it was not
    /// sent.
    async fn ask(&self, line: Vec<u8>, may_repeat: bool) -> Result<Reply, ClientError> {
        if self.0.pretence.is_some() {
            return Ok(Reply::Nothing);
        }
        let deadline = Instant::now() + self.0.patience;
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.ask_once(line.clone(), deadline).await? {
                Ok(Reply::Refused { code, text }) => return Err(ClientError::Refused(code, text)),
                Ok(reply) => return Ok(reply),
                Err(Fate::Foreign(why)) => return Err(self.foreign(why)),
                Err(Fate::NotSent(Lost::Denied(why))) => return Err(ClientError::Refused("ERR".to_owned(), why)),
                Err(Fate::NotSent(Lost::Foreign(why))) => return Err(self.foreign(why)),
                Err(Fate::NotSent(lost)) => ClientError::Unreachable(self.0.address.clone(), lost.to_string()),
                Err(Fate::Unknown(why)) => {
                    let error = ClientError::Unknown(self.0.address.clone(), why);
                    if !may_repeat {
                        return Err(error);
                    }
                    error
                }
            };
            let pause = pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1]);
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause).await;
        }
    }

    async fn ask_once(&self, line: Vec<u8>, deadline: Instant) -> Result<Result<Reply, Fate>, ClientError> {
        let (answer, answered) = oneshot::channel();
        let sender = self.line()?;
        let late = "nothing came in time".to_owned();
        match timeout_at(deadline, sender.send(Asked { line, answer })).await {
            Ok(Ok(())) => {}
            // Its runtime is no more; the next attempt has another line.
            Ok(Err(_)) => return Ok(Err(Fate::NotSent(Lost::Io(std::io::ErrorKind::NotConnected.into())))),
            Err(_) => return Err(ClientError::Unreachable(self.0.address.clone(), late)),
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Ok(Err(Fate::Unknown("its runtime ended".to_owned()))),
            Err(_) => Err(ClientError::Unknown(self.0.address.clone(), late)),
        }
    }

    /// A line that is at work; one is begun where there is none.
    fn line(&self) -> Result<mpsc::Sender<Asked>, ClientError> {
        let place = self.0.next.fetch_add(1, Ordering::Relaxed) % LINES;
        let Ok(mut line) = self.0.lines[place].lock() else { return Err(ClientError::NoRuntime) };
        if let Some(sender) = line.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let runtime = Handle::try_current().map_err(|_| ClientError::NoRuntime)?;
        let (sender, asked) = mpsc::channel(MOST_WAITING);
        runtime.spawn(line::run(self.0.address.clone(), self.0.patience, asked));
        *line = Some(sender.clone());
        Ok(sender)
    }

    fn json(&self, reply: Reply) -> Result<Value, ClientError> {
        match reply {
            Reply::Bulk(text) => serde_json::from_str(&text).map_err(|error| self.foreign(error.to_string())),
            Reply::Simple(_) | Reply::Nothing | Reply::Refused { .. } => Ok(Value::Null),
        }
    }

    fn text(&self, reply: Reply) -> Result<String, ClientError> {
        match reply {
            Reply::Bulk(text) | Reply::Simple(text) => Ok(text),
            Reply::Nothing | Reply::Refused { .. } => Err(self.foreign("an answer is empty".to_owned())),
        }
    }

    fn foreign(&self, why: String) -> ClientError {
        ClientError::Foreign(self.0.address.clone(), why)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.address)
    }
}
