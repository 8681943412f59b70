use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use evercrew_pool::{Cancel, Config, Done, Failed, Job, Outcome, Pool, Record};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A pool of `child.py`, and what it tells.
pub(crate) struct Rig {
    pub(crate) pool: Pool,
    log: Mutex<Receiver<Record>>,
}

/// Children that behave in these ways.
pub(crate) fn children(modes: &[&str]) -> Config {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pool/child.py");
    let mut config = Config::new(["python3", script].iter().chain(modes).copied());
    config.name = "mailer".to_owned();
    config.timeout = PATIENCE;
    // Python is up long before; where it is not its jobs wait in its pipe.
    let speaks = modes.iter().any(|mode| ["ready", "crash", "foreign"].contains(mode));
    config.plain_after = (!speaks).then_some(Duration::from_millis(500));
    config
}

impl Rig {
    pub(crate) fn new(mut config: Config) -> Self {
        let (tell, log) = channel();
        config.log = Box::new(move |record| drop(tell.send(record)));
        Self { pool: Pool::spawn(config).expect("a pool"), log: Mutex::new(log) }
    }

    pub(crate) fn run(&self, id: &str, payload: &str) -> Outcome {
        self.pool.run(Job::new(id, payload), &Cancel::new())
    }

    /// Has a job done and gives its result.
    pub(crate) fn done(&self, id: &str, payload: &str) -> String {
        match self.run(id, payload) {
            Outcome::Done(Done { result, .. }) => result.unwrap_or_default(),
            other => panic!("{id}: {other:?}"),
        }
    }

    pub(crate) fn failed(&self, id: &str, payload: &str) -> Failed {
        match self.run(id, payload) {
            Outcome::Failed(failed) => failed,
            other => panic!("{id}: {other:?}"),
        }
    }

    /// Begins a job; its outcome comes over the channel.
    pub(crate) fn begin(&self, id: &str, payload: &str) -> Receiver<Outcome> {
        let (tell, outcome) = channel();
        self.pool.submit(Job::new(id, payload), move |outcome| drop(tell.send(outcome)));
        outcome
    }

    /// The first record from here on that is meant.
    pub(crate) fn record(&self, meant: impl Fn(&Record) -> bool) -> Record {
        let until = Instant::now() + PATIENCE;
        let log = self.log.lock().expect("no panic");
        loop {
            match log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(record) if meant(&record) => return record,
                Ok(_) => {}
                Err(error @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("no record: {error}")
                }
            }
        }
    }

    /// All that was told by now.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.log.lock().expect("no panic").try_iter().collect()
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let (_never, pause) = channel::<()>();
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        let _ = pause.recv_timeout(Duration::from_millis(5));
    }
}

/// Whether the process of the number in the file lives; a zombie does not.
pub(crate) fn lives(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).expect("the grandchild's number");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}
