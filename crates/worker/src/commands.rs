//! The command pipe from inside a worker: verbs of its own, events, metrics, and a look at the engine.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evercrew_core::Level;
use evercrew_sys::{exec, stream};
use evercrew_wire::command_pipe::{
    Answer, Event, LOG_LEVEL, MAX_LINE, MAX_WRITTEN, Metric, Metrics, Question, json_line,
};
use serde_json::{Value, json};

use crate::level;

/// Says which descriptor the pipe is.
const VARIABLE: &str = "EVERCREW_COMMAND_FD";
/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Handler = Box<dyn Fn(&Asked<'_>) -> Result<Value, String> + Send>;
type WordHandler = Box<dyn Fn(&str) + Send>;
type LevelHandler = Box<dyn Fn(Level) + Send>;

/// What a worker can be asked.
///
/// ```no_run
/// use serde_json::json;
/// let pipe = evercrew_worker::Commands::new()
///     .on("flush-cache", |asked| Ok(json!({"all": asked.args()["all"]})))
///     .start()?;
/// if let Some(pipe) = &pipe {
///     pipe.event("cache-cold", "nothing is cached", json!(null))?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Commands {
    verbs: BTreeMap<String, Handler>,
    word: Option<WordHandler>,
    level: Option<LevelHandler>,
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("verbs", &self.verbs.keys()).finish_non_exhaustive()
    }
}

/// One question, as its handler sees it.
#[derive(Debug)]
pub struct Asked<'a> {
    question: &'a Question,
    came: Instant,
    pipe: &'a CommandPipe,
}

impl Asked<'_> {
    /// What it was asked with; null where that is nothing.
    pub fn args(&self) -> &Value {
        &self.question.args
    }

    /// How much longer its asker waits, where that has an end.
    pub fn time_left(&self) -> Option<Duration> {
        let all = Duration::from_millis(self.question.deadline_ms?);
        Some(all.saturating_sub(self.came.elapsed()))
    }

    /// Tells its asker how far it is.
    ///
    /// # Errors
    /// When the engine is gone.
    pub fn progress(&self, content: Value) -> io::Result<()> {
        self.pipe.answer(&self.question.id, "processing", String::new(), content)
    }
}

impl Commands {
    /// Nothing can be asked.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers this verb; an error is the reason of a failure. Handlers run one after the other, in a thread of their own.
    #[must_use]
    pub fn on(
        mut self,
        verb: impl Into<String>,
        handler: impl Fn(&Asked<'_>) -> Result<Value, String> + Send + 'static,
    ) -> Self {
        self.verbs.insert(verb.into(), Box::new(handler));
        self
    }

    /// Hears words: `RELOAD`, `GRACEFUL_STOP`, `DUMP`, …
    #[must_use]
    pub fn on_word(mut self, handler: impl Fn(&str) + Send + 'static) -> Self {
        self.word = Some(Box::new(handler));
        self
    }

    /// Hears of each level that operators set: `evercrew log-level web=debug`. The question itself is answered by the pipe,
    /// which knows the level as [`log_level`](crate::log_level); a verb `log-level` of one's own takes its place.
    #[must_use]
    pub fn on_log_level(mut self, handler: impl Fn(Level) + Send + 'static) -> Self {
        self.level = Some(Box::new(handler));
        self
    }

    /// Listens on the pipe that the engine gave this process; `None` where it gave none (`command_pipe = true` gives one).
    ///
    /// # Errors
    /// The kernel's: no thread or descriptor is left.
    pub fn start(self) -> io::Result<Option<CommandPipe>> {
        let number = std::env::var(VARIABLE).ok().and_then(|number| number.parse().ok());
        number.and_then(exec::take_descriptor).map(|pipe| self.listen(pipe)).transpose()
    }

    /// Listens on this pipe until its end.
    ///
    /// # Errors
    /// As [`Commands::start`].
    pub fn listen(self, pipe: OwnedFd) -> io::Result<CommandPipe> {
        let stream = UnixStream::from(pipe);
        let reader = stream.try_clone()?;
        let pipe = CommandPipe(Arc::new(Shared { stream: Mutex::new(stream), owed: Mutex::default() }));
        let ours = pipe.clone();
        std::thread::Builder::new().name("commands".to_owned()).spawn(move || self.serve(reader, &ours))?;
        Ok(pipe)
    }

    /// Until end of file: then the engine is gone, and nobody asks any more.
    fn serve(self, reader: UnixStream, pipe: &CommandPipe) {
        let mut lines = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = u64::try_from(MAX_LINE + 1).unwrap_or(u64::MAX);
            match lines.by_ref().take(most).read_until(b'\n', &mut line) {
                Ok(1..) if line.ends_with(b"\n") => {}
                Ok(_) | Err(_) => return,
            }
            if line.starts_with(b"{") {
                self.hear(&line, pipe);
            } else if let Some(handler) = &self.word {
                handler(String::from_utf8_lossy(&line).trim_end());
            }
        }
    }

    fn hear(&self, line: &[u8], pipe: &CommandPipe) {
        if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
            return pipe.0.answered(answer);
        }
        let Ok(question) = serde_json::from_slice::<Question>(line) else { return };
        let asked = Asked { question: &question, came: Instant::now(), pipe };
        let outcome = match self.verbs.get(&question.verb) {
            Some(handler) => handler(&asked),
            None if question.verb == LOG_LEVEL => level::answer(&question.args, |level| {
                if let Some(handler) = &self.level {
                    handler(level);
                }
            }),
            None => {
                let known: Vec<&str> = self.verbs.keys().map(String::as_str).collect();
                Err(format!("unknown verb `{}`: this worker knows {}", question.verb, known.join(", ")))
            }
        };
        // The engine is gone where this fails, and its asker with it.
        let _ = match outcome {
            Ok(content) => pipe.answer(&question.id, "ok", String::new(), content),
            Err(reason) => pipe.answer(&question.id, "failure", reason, Value::Null),
        };
    }
}

#[derive(Debug)]
struct Shared {
    stream: Mutex<UnixStream>,
    /// Who waits for the engine's answers, in the order in which they asked.
    owed: Mutex<VecDeque<SyncSender<Answer>>>,
}

impl Shared {
    fn answered(&self, answer: Answer) {
        if let Some(asker) = locked(&self.owed).pop_front() {
            // One that waits no longer has let it fall.
            let _ = asker.try_send(answer);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker's end of its command pipe; clones are the same one.
#[derive(Clone, Debug)]
pub struct CommandPipe(Arc<Shared>);

impl CommandPipe {
    /// Publishes an event.
    ///
    /// # Errors
    /// `WouldBlock` when more is said than the engine reads (100 lines a second), `InvalidInput` when it is longer than
    /// 32 KiB; when the engine is gone.
    pub fn event(&self, name: &str, message: &str, content: Value) -> io::Result<()> {
        self.say(&json_line(&Event { event: name.to_owned(), message: message.to_owned(), content }))
    }

    /// Tells how far these series are since this process began.
    ///
    /// # Errors
    /// As [`CommandPipe::event`].
    pub fn metrics(&self, metrics: Vec<Metric>) -> io::Result<()> {
        self.say(&json_line(&Metrics { metrics }))
    }

    /// Asks the engine how services stand, all without `names`. Not from a handler: answers come after it returned.
    ///
    /// # Errors
    /// As [`CommandPipe::event`]; when the engine does not answer within 10 s or refuses.
    pub fn status(&self, names: &[&str]) -> io::Result<Value> {
        let (sender, answer) = sync_channel(1);
        let question = Question {
            id: "status".to_owned(),
            verb: "status".to_owned(),
            args: json!({"names": names}),
            deadline_ms: None,
        };
        {
            // Both at once: answers come in the order of the questions.
            let mut owed = locked(&self.0.owed);
            self.say(&json_line(&question))?;
            owed.push_back(sender);
        }
        let answer = answer.recv_timeout(PATIENCE).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        if answer.status == "ok" { Ok(answer.content) } else { Err(io::Error::other(answer.message)) }
    }

    fn answer(&self, id: &str, status: &str, message: String, content: Value) -> io::Result<()> {
        let answer = Answer { id: Some(json!(id)), status: status.to_owned(), message, content };
        locked(&self.0.stream).write_all(&json_line(&answer))
    }

    /// Whole or not at all, and at once.
    fn say(&self, line: &[u8]) -> io::Result<()> {
        if line.len() > MAX_WRITTEN {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        stream::send_line(&*locked(&self.0.stream), line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's end, and the worker's.
    fn pair(commands: Commands) -> (BufReader<UnixStream>, CommandPipe) {
        let (engine, worker) = UnixStream::pair().expect("a pair");
        engine.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (BufReader::new(engine), commands.listen(worker.into()).expect("it listens"))
    }

    fn line(engine: &mut BufReader<UnixStream>) -> Value {
        let mut line = String::new();
        engine.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    #[test]
    fn each_question_has_its_answer_and_words_are_heard() {
        let (heard, words) = sync_channel(4);
        let commands = Commands::new()
            .on("add", |asked| {
                asked.progress(json!("half")).map_err(|error| error.to_string())?;
                let sum = asked.args().as_array().into_iter().flatten().filter_map(Value::as_i64).sum::<i64>();
                Ok(json!({"sum": sum, "hurried": asked.time_left().is_some()}))
            })
            .on("fail", |_| Err("not today".to_owned()))
            .on_word(move |word| heard.send(word.to_owned()).expect("heard"));
        let (mut engine, _pipe) = pair(commands);
        engine
            .get_ref()
            .write_all(
                b"RELOAD\n{\"id\":\"7\",\"verb\":\"add\",\"args\":[1,2],\"deadline_ms\":60000}\n{\"id\":\"8\",\"verb\":\"fail\"}\n\
                  {broken\n{\"id\":\"9\",\"verb\":\"x\"}\n",
            )
            .expect("asked");
        assert_eq!(words.recv_timeout(PATIENCE).expect("a word"), "RELOAD");
        assert_eq!(line(&mut engine)["content"], "half");
        let sum = line(&mut engine);
        assert_eq!((&sum["id"], &sum["content"]), (&json!("7"), &json!({"sum": 3, "hurried": true})));
        let failed = line(&mut engine);
        assert_eq!((&failed["status"], &failed["message"]), (&json!("failure"), &json!("not today")));
        let unknown = line(&mut engine);
        assert_eq!(unknown["message"], "unknown verb `x`: this worker knows add, fail");
    }

    #[test]
    fn it_tells_and_asks_and_never_waits_for_one_that_does_not_read() {
        let (mut engine, pipe) = pair(Commands::new());
        pipe.event("cold", "", json!(1)).expect("told");
        assert_eq!(line(&mut engine), json!({"event": "cold", "message": "", "content": 1}));
        let asking = std::thread::spawn({
            let pipe = pipe.clone();
            move || pipe.status(&["web"])
        });
        assert_eq!(line(&mut engine)["args"], json!({"names": ["web"]}));
        engine.get_ref().write_all(b"{\"id\":\"status\",\"status\":\"ok\",\"content\":[3]}\n").expect("answered");
        assert_eq!(asking.join().expect("an end").expect("an answer"), json!([3]));
        let refused = loop {
            if let Err(error) = pipe.event("again", &"x".repeat(1000), Value::Null) {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(
            pipe.event("long", &"x".repeat(40_000), Value::Null).expect_err("too long").kind(),
            io::ErrorKind::InvalidInput
        );
        drop(engine);
        assert_eq!(pipe.event("gone", "", Value::Null).expect_err("gone").kind(), io::ErrorKind::BrokenPipe);
    }
}
