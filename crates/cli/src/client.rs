//! A command's connection to the engine.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evercrew_sys::listener;
use evercrew_sys::lock::{self, Holder};
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use serde_json::{Map, Value, json};

use crate::appearing::Appearing;
use crate::arguments::Global;
use crate::failure::{Failure, code};

/// How long a command that does not wait for workers waits for an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// At most this much of a deadline is left for the engine's answer that it was not met.
const MOST_MARGIN: Duration = Duration::from_millis(200);
/// How much longer an answer of that moment is waited for.
const EXACT_MARGIN: Duration = Duration::from_secs(1);
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
const SILENT: &str = "its supervisor's log says why";
const NONE: &str = "start it with `evercrew up`, or name its file with -c or its directory with --directory";
/// Between two looks for an engine that is starting.
const RETRY: Duration = Duration::from_millis(20);

/// Where the engine is.
#[derive(Debug)]
pub(crate) struct Engine {
    directory: PathBuf,
    global: Global,
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
    /// Whether an engine is waited for where none runs.
    pub(crate) appearing: bool,
    /// Whether the engine answers at the deadline itself, with everything that came by then: it is left a moment for it.
    pub(crate) exact: bool,
}

impl Question {
    /// One that changes nothing and is answered at once.
    pub(crate) fn look(verb: &'static str, args: Map<String, Value>, timeout: Option<Duration>) -> Self {
        Self { verb, args, timeout, prompt: true, lost: Lost::AskAgain, appearing: false, exact: false }
    }

    /// One that is answered when what it asks for has come to be.
    pub(crate) fn change(verb: &'static str, args: Map<String, Value>, timeout: Option<Duration>) -> Self {
        Self { verb, args, timeout, prompt: false, lost: Lost::Tell, appearing: false, exact: false }
    }
}

/// How long something may take, and whose bound that is.
#[derive(Clone, Copy, Debug)]
struct Patience {
    until: Instant,
    users: bool,
}

impl Patience {
    fn of(timeout: Option<Duration>, started: Instant, usual: Duration) -> Self {
        Self { until: started + timeout.unwrap_or(usual), users: timeout.is_some() }
    }

    fn over(self, text: String) -> Failure {
        Failure::new(if self.users { code::TIMEOUT } else { code::UNAVAILABLE }, text)
    }
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
        Self { directory, global: global.clone() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
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

    /// The supervisor's process, where there is no doubt which it is.
    pub(crate) fn supervisor(&self) -> Option<(u32, OwnedFd)> {
        lock::holding_process(&self.directory.join("lock")).ok().flatten()
    }

    /// Whether nobody holds the directory any more within this time: for a supervisor that is not to be seen from here.
    ///
    /// # Errors
    /// As [`Engine::runs`].
    pub(crate) fn ends_within(&self, patience: Duration) -> Result<bool, Failure> {
        let until = Instant::now() + patience;
        while self.runs()? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            pause(RETRY.min(left));
        }
        Ok(true)
    }

    /// Connects; waits while an engine is starting or changing its manager, and with `appearing` for one to appear.
    ///
    /// # Errors
    /// [`code::UNAVAILABLE`] when none runs or it does not answer, [`code::TIMEOUT`] when that is the user's deadline,
    /// [`code::FORBIDDEN`] when it is another user's.
    fn connect(&self, patience: Patience, mut appearing: Option<&mut Appearing<'_>>) -> Result<UnixStream, Failure> {
        loop {
            let error = match listener::call(&self.socket()) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(forbidden(&self.socket()));
                }
                Err(error) => error,
            };
            let runs = self.runs()?;
            match &mut appearing {
                None if !runs => return Err(none_runs(&self.directory, &error)),
                Some(appearing) => appearing.look(runs, &self.directory)?,
                None => {}
            }
            if Instant::now() >= patience.until {
                let directory = self.directory.display();
                return Err(if runs {
                    patience.over(format!("the engine in {directory} does not answer: {error}")).hint(SILENT)
                } else {
                    patience.over(format!("no engine appeared in {directory}")).hint(NONE)
                });
            }
            pause(RETRY.min(patience.until.saturating_duration_since(Instant::now())));
        }
    }

    /// Asks and waits for the terminal reply; every other one goes to `progress`.
    ///
    /// # Errors
    /// Everything but a reply with status ok.
    pub(crate) fn ask(&self, question: &Question, progress: impl FnMut(&Reply)) -> Result<Reply, Failure> {
        self.ask_over(question, |_| {}, progress)
    }

    /// As [`Engine::ask`]; `connected` sees each connection before anything is asked over it.
    ///
    /// # Errors
    /// As [`Engine::ask`].
    pub(crate) fn ask_over(
        &self,
        question: &Question,
        connected: impl FnMut(&UnixStream),
        progress: impl FnMut(&Reply),
    ) -> Result<Reply, Failure> {
        let reply = self.answer(question, connected, progress)?;
        if reply.status == ReplyStatus::Ok {
            return Ok(reply);
        }
        let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message);
        Err(failure.hint(reply.hint.unwrap_or_default()))
    }

    /// As [`Engine::ask_over`], but the terminal reply whatever its status.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn answer(
        &self,
        question: &Question,
        mut connected: impl FnMut(&UnixStream),
        mut progress: impl FnMut(&Reply),
    ) -> Result<Reply, Failure> {
        let started = Instant::now();
        let mut answer = Patience::of(question.timeout, started, ANSWER);
        if question.exact {
            answer.until += EXACT_MARGIN;
        }
        let mut appearing = question.appearing.then(|| Appearing::new(&self.global));
        // Waiting for an engine to appear has no other bound than the user's.
        let appear = if question.appearing { Patience::of(question.timeout, started, FOREVER) } else { answer };
        loop {
            let stream = self.connect(appear, appearing.as_mut())?;
            if let Some(appearing) = &mut appearing {
                appearing.found();
            }
            connected(&stream);
            let bounded = question.prompt || question.timeout.is_some();
            let all = question.timeout.map(|timeout| if question.exact { timeout } else { told(timeout) });
            let left = all.map(|all| all.saturating_sub(started.elapsed()));
            match exchange(&stream, question, left, bounded.then_some(answer.until), &mut progress) {
                Ok(reply) => return Ok(reply),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let text = format!("the engine in {} does not answer", self.directory.display());
                    return Err(answer.over(text).hint(SILENT));
                }
                Err(_) if question.lost == Lost::AskAgain && Instant::now() < appear.until => pause(RETRY),
                Err(_) => {
                    let text = "the outcome is unknown: the manager ended meanwhile";
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
            let stream = match self.connect(Patience::of(question.timeout, Instant::now(), ANSWER), None) {
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

/// What the engine is told of the user's deadline: a little less, so that its answer, which says how far it is, comes in
/// time. The user's own deadline is kept in any case.
fn told(timeout: Duration) -> Duration {
    timeout - (timeout / 10).min(MOST_MARGIN)
}

pub(crate) fn forbidden(path: &Path) -> Failure {
    Failure::new(code::FORBIDDEN, format!("not permitted to use {}", path.display()))
        .hint("run the command as the engine's user or as root")
}

fn none_runs(directory: &Path, error: &io::Error) -> Failure {
    let text = format!("no engine runs in {} (control.sock: {error})", directory.display());
    Failure::unavailable(text).hint(NONE)
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
