//! A command's connection to the engine.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evercrew_sys::lock::{self, Holder};
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::failure::{Failure, code};

/// How long a command that does not wait for workers waits for an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// What the engine gets beyond a deadline to say that it was not met.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks for an engine that is starting.
const RETRY: Duration = Duration::from_millis(20);

/// Where the engine is.
#[derive(Debug)]
pub(crate) struct Engine {
    directory: PathBuf,
}

/// What to do when the connection ends before the answer (the manager changed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Ask again: asking changes nothing.
    AskAgain,
    /// Say that the outcome is not known.
    Tell,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) verb: &'static str,
    pub(crate) args: Map<String, Value>,
    /// The user's own, which the engine obeys.
    pub(crate) timeout: Option<Duration>,
    /// Whether the answer comes at once (else as long as the user likes).
    pub(crate) prompt: bool,
    pub(crate) lost: Lost,
}

impl Engine {
    /// The engine that the global options mean.
    pub(crate) fn of(global: &Global) -> Self {
        let directory = evercrew_config::engine_directory(
            &global.config,
            &global.set,
            evercrew_config::environment(),
            global.directory.as_deref(),
        );
        Self { directory }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// Whether a supervisor holds the directory. Only asks: many may ask while one starts.
    ///
    /// # Errors
    /// [`code::FORBIDDEN`] when it is another user's, so that there is no telling.
    pub(crate) fn runs(&self) -> Result<bool, Failure> {
        let path = self.directory.join("lock");
        match lock::holder(&path) {
            Ok(Holder::Nobody) => Ok(false),
            Ok(Holder::Somebody(_)) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(forbidden(&path)),
            Err(error) => Err(Failure::unavailable(format!("cannot look at {}: {error}", path.display()))),
        }
    }

    /// Connects; waits while an engine is starting or changing its manager, `patience` at most.
    ///
    /// # Errors
    /// [`code::UNAVAILABLE`] when none runs, [`code::FORBIDDEN`] when it is another user's.
    fn connect(&self, until: Instant, wait_for_engine: bool) -> Result<UnixStream, Failure> {
        loop {
            match UnixStream::connect(self.socket()) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(forbidden(&self.socket()));
                }
                Err(error) => {
                    if !wait_for_engine && !self.runs()? {
                        return Err(none_runs(&self.directory, &error));
                    }
                    if Instant::now() >= until {
                        let text = format!("the engine at {} does not answer: {error}", self.socket().display());
                        return Err(Failure::unavailable(text).hint("its supervisor's log says why"));
                    }
                    pause(RETRY);
                }
            }
        }
    }

    /// Asks and waits for the terminal reply; every other one goes to `progress`.
    ///
    /// # Errors
    /// Everything but a reply with status ok.
    pub(crate) fn ask(&self, question: &Question, mut progress: impl FnMut(&Reply)) -> Result<Reply, Failure> {
        let patience = question.timeout.unwrap_or(ANSWER) + GRACE;
        let wait_for_engine = question.verb == "wait";
        let until = Instant::now() + patience;
        // Waiting for an engine to appear has no other bound than the user's.
        let appear = match (wait_for_engine, question.timeout) {
            (true, None) => Instant::now() + Duration::from_secs(u64::from(u32::MAX)),
            (true, Some(timeout)) => Instant::now() + timeout,
            (false, _) => until,
        };
        let started = Instant::now();
        loop {
            let stream = self.connect(appear, wait_for_engine).map_err(|failure| match question.timeout {
                Some(_) if wait_for_engine && failure.code == code::UNAVAILABLE => {
                    Failure::new(code::TIMEOUT, "no engine appeared in time")
                }
                _ => failure,
            })?;
            let bounded = question.prompt || question.timeout.is_some();
            let left = question.timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            match exchange(&stream, question, left, bounded.then_some(until), &mut progress) {
                Ok(reply) if reply.status == ReplyStatus::Ok => return Ok(reply),
                Ok(reply) => {
                    let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message);
                    return Err(failure.hint(reply.hint.unwrap_or_default()));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let text = format!("the engine at {} does not answer", self.socket().display());
                    let code = if question.timeout.is_some() { code::TIMEOUT } else { code::UNAVAILABLE };
                    return Err(Failure::new(code, text));
                }
                Err(_) if question.lost == Lost::AskAgain && Instant::now() < appear => pause(RETRY),
                Err(_) => {
                    let text = "the outcome is unknown: the manager restarted meanwhile";
                    return Err(Failure::new(code::FAILURE, text).hint("`evercrew status` shows how things stand"));
                }
            }
        }
    }

    /// Follows events, also across managers, until the engine ends or `each` says stop.
    ///
    /// # Errors
    /// When no engine runs or the request is refused, and what `each` says.
    pub(crate) fn follow(
        &self,
        question: &mut Question,
        mut each: impl FnMut(&Value) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        loop {
            let stream = match self.connect(Instant::now() + ANSWER, false) {
                Ok(stream) => stream,
                Err(failure) if failure.code == code::FORBIDDEN => return Err(failure),
                Err(_) if question.args.contains_key("since") && !self.runs()? => return Ok(()),
                Err(failure) => return Err(failure),
            };
            if send(&stream, question, None).is_err() {
                continue;
            }
            for line in BufReader::new(&stream).lines() {
                let Some(reply) = line.ok().and_then(|line| serde_json::from_str::<Reply>(&line).ok()) else { break };
                if reply.status == ReplyStatus::Failure {
                    let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message);
                    return Err(failure.hint(reply.hint.unwrap_or_default()));
                }
                if let Some(next) = reply.content["next"].as_u64() {
                    question.args.insert("since".into(), json!(next));
                    continue;
                }
                if let Some(seq) = reply.content["seq"].as_u64() {
                    question.args.insert("since".into(), json!(seq + 1));
                }
                if !reply.content.is_null() && !each(&reply.content)? {
                    return Ok(());
                }
            }
        }
    }
}

pub(crate) fn forbidden(path: &Path) -> Failure {
    Failure::new(code::FORBIDDEN, format!("not permitted to use {}", path.display()))
        .hint("run the command as the engine's user or as root")
}

fn none_runs(directory: &Path, error: &io::Error) -> Failure {
    let text = format!("no engine runs in {} (control.sock: {error})", directory.display());
    Failure::unavailable(text)
        .hint("start it with `evercrew up`, or name its file with -c or its directory with --directory")
}

fn send(mut stream: &UnixStream, question: &Question, left: Option<Duration>) -> io::Result<()> {
    let request = Request {
        id: "1".to_owned(),
        verb: question.verb.to_owned(),
        args: question.args.clone(),
        deadline_ms: left.map(|left| left.as_millis().try_into().unwrap_or(u64::MAX)),
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn exchange(
    stream: &UnixStream,
    question: &Question,
    left: Option<Duration>,
    until: Option<Instant>,
    progress: &mut impl FnMut(&Reply),
) -> io::Result<Reply> {
    send(stream, question, left)?;
    let mut lines = BufReader::new(stream);
    loop {
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        }
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let reply: Reply = serde_json::from_str(&line).map_err(io::Error::other)?;
        if reply.status == ReplyStatus::Processing {
            progress(&reply);
        } else {
            return Ok(reply);
        }
    }
}

/// A command may wait for something that gives no sign: an engine that does not run yet.
#[allow(clippy::disallowed_methods, reason = "there is nothing to wait on before the engine's directory exists")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
