//! A command's questions to the engine, by the client that programs use.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evercrew_control::{Client, Error, ErrorKind, Request, Upon};
use evercrew_sys::lock::{self, Holder};
use evercrew_wire::control::{Reply, ReplyStatus};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use crate::appearing::Appearing;
use crate::arguments::Global;
use crate::failure::{Failure, code};

/// How long a command that does not wait for workers waits for an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
const NONE: &str = "start it with `evercrew up`, or name its file with -c or its directory with --directory";
/// Between two looks for an engine that is starting.
const RETRY: Duration = Duration::from_millis(20);

/// Where the engine is.
#[derive(Debug)]
pub(crate) struct Engine {
    directory: PathBuf,
    global: Global,
    asking: OnceCell<Asking>,
}

/// What asks, made when something is asked.
#[derive(Debug)]
struct Asking {
    runtime: Runtime,
    client: Client,
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

impl Question {
    fn request(&self, timeout: Option<Duration>) -> Request {
        let upon = match self.lost {
            Lost::AskAgain => Upon::Repeat,
            Lost::Tell => Upon::Tell,
        };
        let request = Request::new(self.verb).with_all(self.args.clone()).upon(upon);
        let request = if self.prompt { request.at_once() } else { request };
        let request = if self.exact { request.exact() } else { request };
        match timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        }
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
        Self { directory, global: global.clone(), asking: OnceCell::new() }
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

    fn asking(&self) -> Result<&Asking, Failure> {
        if self.asking.get().is_none() {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::new(code::FAILURE, format!("cannot wait for an answer: {error}")))?;
            let client = Client::new(&self.directory).patience(ANSWER);
            // It was empty.
            let _ = self.asking.set(Asking { runtime, client });
        }
        self.asking.get().ok_or_else(|| Failure::new(code::FAILURE, "cannot ask"))
    }

    /// Waits until an engine runs.
    ///
    /// # Errors
    /// As [`Appearing::look`], and when the user's time is over.
    fn await_one(&self, appearing: &mut Appearing<'_>, until: Option<Instant>) -> Result<(), Failure> {
        loop {
            // Where there is no telling, the socket tells.
            let Ok(runs) = self.runs() else { return Ok(()) };
            appearing.look(runs, &self.directory)?;
            if runs {
                return Ok(());
            }
            let left = until.map_or(RETRY, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                let text = format!("no engine appeared in {}", self.directory.display());
                return Err(Failure::new(code::TIMEOUT, text).hint(NONE));
            }
            pause(RETRY.min(left));
        }
    }

    /// Asks and waits for the terminal reply; every other one goes to `progress`.
    ///
    /// # Errors
    /// Everything but a reply with status ok.
    pub(crate) fn ask(&self, question: &Question, progress: impl FnMut(&Reply)) -> Result<Reply, Failure> {
        fine(self.answer(question, progress)?)
    }

    /// As [`Engine::ask`]; `connected` sees each connection before anything is asked over it.
    ///
    /// # Errors
    /// As [`Engine::ask`].
    pub(crate) fn ask_over(
        &self,
        question: &Question,
        connected: impl Fn(BorrowedFd<'_>) + Send + Sync + 'static,
    ) -> Result<Reply, Failure> {
        let Asking { runtime, client } = self.asking()?;
        let asked = client.clone().on_connect(connected).request(question.request(question.timeout));
        fine(runtime.block_on(asked.into_future()).map_err(|error| failure(&error))?)
    }

    /// As [`Engine::ask`], but the terminal reply whatever its status.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn answer(&self, question: &Question, mut progress: impl FnMut(&Reply)) -> Result<Reply, Failure> {
        let until = question.timeout.map(|timeout| Instant::now() + timeout);
        let asking = self.asking()?;
        let mut appearing = question.appearing.then(|| Appearing::new(&self.global));
        loop {
            if let Some(appearing) = &mut appearing {
                self.await_one(appearing, until)?;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match Self::answered(asking, question, left, &mut progress) {
                // It ended meanwhile, or its socket is not there yet.
                Err(error) if error.kind() == ErrorKind::NotRunning && appearing.is_some() => pause(RETRY),
                reply => return reply.map_err(|error| failure(&error)),
            }
        }
    }

    fn answered(
        Asking { runtime, client }: &Asking,
        question: &Question,
        left: Option<Duration>,
        progress: &mut impl FnMut(&Reply),
    ) -> Result<Reply, Error> {
        let request = question.request(left);
        runtime.block_on(async {
            if question.prompt {
                return client.request(request).await;
            }
            let client = if question.appearing { client.clone().patience(FOREVER) } else { client.clone() };
            let mut answers = client.request(request).stream()?;
            while let Some(reply) = answers.next().await {
                progress(&reply);
            }
            answers.end().await
        })
    }

    /// Follows events, also across managers, until the engine ends or `each` says stop.
    ///
    /// # Errors
    /// When no engine runs or the request is refused, and what `each` says.
    pub(crate) fn follow(
        &self,
        question: &Question,
        mut each: impl FnMut(&Value) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let Asking { runtime, client } = self.asking()?;
        let client = client.clone().patience(question.timeout.unwrap_or(ANSWER));
        let request = question.request(None).upon(Upon::Resume);
        runtime.block_on(async {
            let mut answers = client.request(request).stream().map_err(|error| failure(&error))?;
            while let Some(Reply { content, .. }) = answers.next().await {
                if !content.is_null() && content.get("next").is_none() && !each(&content)? {
                    return Ok(());
                }
            }
            match answers.end().await {
                Ok(reply) => fine(reply).map(|_| ()),
                Err(error) if error.kind() == ErrorKind::Over => Ok(()),
                Err(error) => {
                    let late = error.kind() == ErrorKind::Silent && question.timeout.is_some();
                    let failure = failure(&error);
                    Err(if late { Failure { code: code::TIMEOUT, ..failure } } else { failure })
                }
            }
        })
    }
}

/// # Errors
/// A reply with another status than ok.
fn fine(reply: Reply) -> Result<Reply, Failure> {
    if reply.status == ReplyStatus::Ok {
        return Ok(reply);
    }
    let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message);
    Err(failure.hint(reply.hint.unwrap_or_default()))
}

fn failure(error: &Error) -> Failure {
    let failure = Failure::new(error.code(), error.message());
    failure.hint(if error.kind() == ErrorKind::NotRunning { NONE } else { error.help() })
}

pub(crate) fn forbidden(path: &Path) -> Failure {
    Failure::new(code::FORBIDDEN, format!("not permitted to use {}", path.display()))
        .hint("run the command as the engine's user or as root")
}

/// A command may wait for something that gives no sign: an engine that does not run yet.
#[allow(clippy::disallowed_methods, reason = "there is nothing to wait on before the engine's directory exists")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
