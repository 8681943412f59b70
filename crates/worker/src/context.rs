//! What a worker is told, and what it can tell.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use evercrew_core::{Level, Word};
use evercrew_sys::notify;
use serde_json::Value;
use tokio::sync::watch;

use crate::commands::{Asked, CommandPipe, Commands};
use crate::conventions::Conventions;
use crate::http::{Figures, Statistics};
use crate::notices;
use crate::stop::{Stop, StopFlag};

/// What a worker is told, and what it can tell. Clones are the same.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    directory: Option<PathBuf>,
    stop: StopFlag,
    reloads: watch::Sender<u64>,
    on_reload: OnceLock<Box<dyn Fn() + Send + Sync>>,
    listeners: Mutex<Vec<(String, OwnedFd)>>,
    statistics: Mutex<Vec<Arc<Statistics>>>,
    /// Until the pipe is listened on.
    commands: Mutex<Option<Commands>>,
    pipe: OnceLock<CommandPipe>,
    progress: Progress,
}

/// Which worker this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// `web.1`; empty outside an engine.
    pub name: String,
    /// `web`; empty outside an engine.
    pub service: String,
    /// Its place in the service, from 1; 0 outside an engine.
    pub slot: u32,
    /// How many processes had this place, with this one; 0 outside an engine.
    pub generation: u32,
}

/// When a beat was last sent by hand.
#[derive(Debug)]
struct Progress {
    begun: Instant,
    period: Option<Duration>,
    last: AtomicU64,
}

impl Context {
    pub(crate) fn new(conventions: &Conventions, listeners: Vec<(String, OwnedFd)>, stop: StopFlag) -> Self {
        Self {
            shared: Arc::new(Shared {
                identity: conventions.identity(),
                directory: conventions.directory().map(Path::to_owned),
                stop,
                reloads: watch::Sender::new(0),
                on_reload: OnceLock::new(),
                listeners: Mutex::new(listeners),
                statistics: Mutex::default(),
                commands: Mutex::new(Some(Commands::new())),
                pipe: OnceLock::new(),
                progress: Progress {
                    begun: Instant::now(),
                    period: conventions.heartbeat,
                    last: AtomicU64::new(u64::MAX),
                },
            }),
        }
    }

    /// Which worker this is.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// The engine's directory, where its control socket is; none outside an engine.
    pub fn directory(&self) -> Option<&Path> {
        self.shared.directory.as_deref()
    }

    /// Whether this worker is asked to stop.
    pub fn stop(&self) -> &StopFlag {
        &self.shared.stop
    }

    /// Says that the work has come on: a heartbeat, where the engine waits for them, at most as often as it does. A
    /// worker with a runtime beats by itself; one that runs in a thread of its own has to call this, or
    /// [`wait_for_set`](Self::wait_for_set), more often than its timeout.
    pub fn progress(&self) {
        let progress = &self.shared.progress;
        let Some(period) = progress.period else { return };
        let now = u64::try_from(progress.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let last = progress.last.load(Relaxed);
        let is_due = last == u64::MAX || Duration::from_nanos(now.saturating_sub(last)) >= period / 2;
        if is_due && progress.last.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            notices::beat();
        }
    }

    /// Announces a step that takes longer than the heartbeat's timeout: the engine waits `by` longer, an hour at most.
    pub fn extend(&self, by: Duration) {
        let _ = notify::send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// Waits in this thread until a stop is asked for, at most for `timeout`; whether it is. It is progress as long as
    /// it waits.
    pub fn wait_for_set(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        loop {
            self.progress();
            let left = until.map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            let slice = self.shared.progress.period.map_or(left, |period| left.min(period));
            if self.stop().wait_for_set(slice) {
                return true;
            }
            if slice == left && until.is_some() {
                return false;
            }
        }
    }

    /// Takes the inherited listeners with their names, in the order of the service's `listen`. The second call finds
    /// none. They are shared with every other worker: never change their flags.
    pub fn take_listeners(&self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when the next reload is asked for.
    pub async fn reloaded(&self) {
        let mut reloads = self.shared.reloads.subscribe();
        let _ = reloads.changed().await;
    }

    /// How often a reload was asked for.
    pub fn reloads(&self) -> u64 {
        *self.shared.reloads.borrow()
    }

    /// Answers operators who ask this worker for `verb`: `evercrew call NAME VERB JSON`. An error is the reason of a
    /// failure, and so is a panic. Verbs are answered in a thread of their own, one after the other.
    ///
    /// Whether it will be: only before the worker is ready, as in its `initialize`, can one be added.
    pub fn on(
        &self,
        verb: impl Into<String>,
        answer: impl Fn(&Asked<'_>) -> Result<Value, String> + Send + 'static,
    ) -> bool {
        let mut commands = self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = commands.take() else { return false };
        *commands = Some(known.on(verb, move |asked| {
            let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(asked)));
            answered.unwrap_or_else(|_| Err("what answers this verb has panicked".to_owned()))
        }));
        true
    }

    /// Hears of each level of the log that operators set for this worker: `evercrew log-level web=debug`. What it is at any
    /// time tells [`log_level`](crate::log_level). Whether it will be heard: only before the worker is ready.
    pub fn on_log_level(&self, heard: impl Fn(Level) + Send + 'static) -> bool {
        let mut commands = self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = commands.take() else { return false };
        *commands = Some(known.on_log_level(heard));
        true
    }

    /// The worker's end of its command pipe, for events, metrics and questions to the engine; none outside an engine, and
    /// before the worker is ready.
    pub fn pipe(&self) -> Option<&CommandPipe> {
        self.shared.pipe.get()
    }

    /// What connections and requests came to, over all threads of this worker.
    pub fn figures(&self) -> Figures {
        let statistics = self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        statistics.iter().map(|statistics| statistics.figures()).fold(Figures::default(), Figures::plus)
    }

    pub(crate) fn count(&self, statistics: Arc<Statistics>) {
        self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner).push(statistics);
    }

    pub(crate) fn when_reloaded(&self, hook: Box<dyn Fn() + Send + Sync>) {
        let _ = self.shared.on_reload.set(hook);
    }

    pub(crate) fn reload(&self) {
        if let Some(hook) = self.shared.on_reload.get() {
            hook();
        }
        self.shared.reloads.send_modify(|count| *count += 1);
    }

    /// A line for who wants to know what this worker does.
    pub(crate) fn dump(&self) -> String {
        let Figures { connections, busy, requests, .. } = self.figures();
        let stop = self.stop().asked();
        format!("{connections} connections, {busy} requests under way, {requests} answered, stop: {stop:?}")
    }

    /// From here on words and questions are heard.
    ///
    /// # Errors
    /// When no thread can be started for them.
    pub(crate) fn listen(&self, pipe: OwnedFd) -> io::Result<()> {
        let commands = self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(commands) = commands else { return Ok(()) };
        let context = self.clone();
        let pipe = commands.on_word(move |word| context.hear(word)).listen(pipe)?;
        // Nobody else sets it.
        let _ = self.shared.pipe.set(pipe);
        Ok(())
    }

    fn hear(&self, word: &str) {
        match word.parse::<Word>() {
            Ok(Word::GracefulStop | Word::Detach | Word::GracefulRestart) => self.stop().set(Stop::Graceful),
            Ok(Word::ImmediateStop | Word::ImmediateRestart) => self.stop().set(Stop::Immediate),
            Ok(Word::Reload) => self.reload(),
            Ok(Word::Dump) => notices::always(format_args!("{}", self.dump())),
            Err(()) => {}
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { identity, stop, .. } = &*self.shared;
        f.debug_struct("Context").field("identity", identity).field("stop", &stop.asked()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use serde_json::json;

    use super::*;

    fn context() -> Context {
        Context::new(&Conventions::default(), Vec::new(), StopFlag::new())
    }

    #[test]
    fn questions_are_answered_and_words_heard_whatever_a_handler_does() {
        let (engine, worker) = UnixStream::pair().expect("a pair");
        let mut engine = BufReader::new(engine);
        let context = context();
        assert!(context.on("double", |asked| Ok(json!(asked.args()["n"].as_u64().ok_or("n is a number")? * 2))));
        assert!(context.on("die", |_| panic!("as asked")));
        context.listen(worker.into()).expect("it listens");
        assert!(!context.on("late", |_| Ok(Value::Null)));
        let mut ask = |question: &str| {
            engine.get_ref().write_all(format!("{question}\n").as_bytes()).expect("asked");
            let mut line = String::new();
            engine.read_line(&mut line).expect("a line");
            serde_json::from_str::<Value>(&line).expect("JSON")
        };
        assert_eq!(ask(r#"{"id":"1","verb":"double","args":{"n":21}}"#)["content"], 42);
        assert_eq!(ask(r#"{"id":"2","verb":"double"}"#)["message"], "n is a number");
        assert_eq!(ask(r#"{"id":"3","verb":"die"}"#)["message"], "what answers this verb has panicked");
        assert_eq!(ask("RELOAD\n{\"id\":\"4\",\"verb\":\"double\",\"args\":{\"n\":1}}")["content"], 2);
        assert_eq!(context.reloads(), 1);
        engine.get_ref().write_all(b"GRACEFUL_STOP\n").expect("told");
        assert!(context.wait_for_set(Duration::from_secs(60)));
    }

    #[test]
    fn a_reload_is_told_to_the_hook_and_counted() {
        let context = context();
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        context.when_reloaded(Box::new(move || {
            count.fetch_add(1, Relaxed);
        }));
        context.reload();
        context.reload();
        assert_eq!((told.load(Relaxed), context.reloads()), (2, 2));
    }

    #[test]
    fn a_wait_ends_with_its_time_or_a_stop() {
        let context = context();
        assert!(!context.wait_for_set(Duration::from_millis(3)));
        context.stop().set(Stop::Graceful);
        assert!(context.wait_for_set(Duration::from_secs(3600)));
    }
}
