//! Describing a load.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::LoadError;
use crate::exchange::Request;
use crate::expect::{Body, Expect};
use crate::lane::{self, Lane, Plan};
use crate::running::Running;
use crate::schedule::Schedule;
use crate::tally::Tally;
use crate::target::Target;
use crate::thread::LoadThread;

/// Bounds of what can be asked for.
const MOST_LANES: usize = 20_000;
const HIGHEST_RATE: f64 = 1e6;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The entrance to this crate.
#[derive(Debug)]
pub struct Load;

impl Load {
    /// Begins to describe a load on `target`. Without further words: one kept connection, closed loop, `GET /`, status
    /// 200 with any body, 10 s.
    pub fn builder(target: impl Into<Target>) -> Builder {
        Builder {
            settings: Settings {
                target: target.into(),
                timeout: Duration::from_secs(10),
                connect_timeout: Duration::from_secs(5),
                late: Duration::from_secs(1),
                pids: false,
                expect: Expect { status: 200, body: Body::Any },
            },
            rate: None,
            requests: None,
            duration: Duration::from_secs(10),
            keep_alive: 0,
            fresh: 0,
            any_address: false,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// What lanes need to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) late: Duration,
    pub(crate) pids: bool,
    pub(crate) expect: Expect,
}

/// A load that is being described. Every load has an end, by [`Builder::duration`] at the latest.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
    rate: Option<f64>,
    requests: Option<u64>,
    duration: Duration,
    keep_alive: usize,
    fresh: usize,
    any_address: bool,
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Builder {
    /// Open loop: so many requests a second over all connections, whatever the server does (up to 1,000,000). The
    /// connections bound how many are under way at once.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Closed loop: each connection sends its next request when it has the answer. The default.
    pub fn closed_loop(mut self) -> Self {
        self.rate = None;
        self
    }

    /// So many lanes keep their connection between requests.
    pub fn keep_alive(mut self, lanes: usize) -> Self {
        self.keep_alive = lanes;
        self
    }

    /// So many lanes open a connection for each request and ask the server to close it.
    pub fn fresh(mut self, lanes: usize) -> Self {
        self.fresh = lanes;
        self
    }

    /// Ends after so many requests.
    pub fn requests(mut self, count: u64) -> Self {
        self.requests = Some(count);
        self
    }

    /// Ends after this time, at most a day.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// How long a request may take before it counts as [`crate::Fault::Timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long connecting may take.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Right answers that come later than this after the intended moment are counted as late.
    pub fn late(mut self, threshold: Duration) -> Self {
        self.settings.late = threshold;
        self
    }

    /// The path and query of `GET`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Another method than GET.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = method.into();
        self
    }

    /// The header Host; `localhost` otherwise.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A body, sent with its Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status a right answer has; 200 otherwise.
    pub fn expect_status(mut self, status: u16) -> Self {
        self.settings.expect.status = status;
        self
    }

    /// The body a right answer has, to the byte.
    pub fn expect_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.settings.expect.body = Body::Exactly(body.as_ref().into());
        self
    }

    /// What the body of a right answer starts with.
    pub fn expect_prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.settings.expect.body = Body::StartsWith(prefix.as_ref().into());
        self
    }

    /// A check of the body. It runs for each answer: keep it short.
    pub fn expect(mut self, check: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.settings.expect.body = Body::Passes(Arc::new(check));
        self
    }

    /// Counts answers by the pid their body names: a line `pid 123`, or a body that is only the number.
    pub fn pids(mut self) -> Self {
        self.settings.pids = true;
        self
    }

    /// Allows addresses that are not loopback, for test hosts in network namespaces.
    pub fn any_address(mut self) -> Self {
        self.any_address = true;
        self
    }

    /// Starts it on the current runtime. To drop the result ends it.
    ///
    /// # Errors
    /// When the settings make no load, or the address is not on this machine.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and io.
    pub fn start(mut self) -> Result<Running, LoadError> {
        if self.keep_alive.saturating_add(self.fresh) == 0 {
            self.keep_alive = 1;
        }
        self.check()?;
        let (kept, fresh) = (self.request(false), self.request(true));
        let schedule = Schedule::new(self.rate, self.requests, self.duration, self.settings.timeout);
        let lanes = self.keep_alive + self.fresh;
        let kept_lanes = self.keep_alive;
        let tally = Tally::new(schedule.start(), lanes);
        let plan = Arc::new(Plan { settings: self.settings, kept, fresh, schedule, tally });
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for lane in 0..lanes {
            tasks.spawn(lane::run(Lane::new(&plan), lane < kept_lanes, stop.subscribe()));
        }
        Ok(Running::new(plan, stop, tasks))
    }

    /// Starts it in a thread of its own, with a runtime of its own.
    ///
    /// # Errors
    /// As [`Builder::start`], and when the thread cannot be started.
    pub fn start_thread(self) -> Result<LoadThread, LoadError> {
        LoadThread::start(self)
    }

    fn check(&self) -> Result<(), LoadError> {
        if let Target::Tcp(address) = self.settings.target
            && !self.settings.target.is_local()
            && !self.any_address
        {
            return Err(LoadError::Remote(address));
        }
        let wrong = |text| Err(LoadError::Settings(text));
        if self.keep_alive.saturating_add(self.fresh) > MOST_LANES {
            return wrong("more than 20,000 connections: use fewer");
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= HIGHEST_RATE)) {
            return wrong("the rate is not between 0 and 1,000,000 a second");
        }
        if self.duration > LONGEST || self.settings.timeout > LONGEST || self.settings.connect_timeout > LONGEST {
            return wrong("a duration or timeout of more than a day: a load has to end by itself");
        }
        let token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let line = |text: &str| !text.contains(['\r', '\n', '\0']);
        if !self.path.starts_with('/') || !token(&self.path) || !token(&self.method) || !token(&self.host) {
            return wrong("the method, path (from / on) and host are printable ASCII without spaces");
        }
        if !self.headers.iter().all(|(name, value)| token(name) && line(value)) {
            return wrong("a header has a name without spaces and a value of one line");
        }
        Ok(())
    }

    fn request(&self, close: bool) -> Request {
        let Self { method, path, host, .. } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        Request { bytes, is_head: method == "HEAD" }
    }
}
