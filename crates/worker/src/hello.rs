//! `builtin = "hello"`: a small HTTP service that shows who answers.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::connection::App;
use crate::drain::Drain;
use crate::notices;
use crate::process;

/// Longest wait that `/slow` takes.
const LONGEST_WAIT: u64 = 60_000;

/// Runs the built-in worker in this process until a signal ends it, and returns its exit code: 0 after TERM, INT or
/// QUIT, 78 when no listener was inherited, 1 when one failed.
///
/// Answers `GET` and `HEAD` of `/` (greeting, worker and pid), `/pid`, `/slow?ms=N` (N up to 60,000) and `/healthz`
/// (503 while it drains). TERM and INT finish what is begun, QUIT ends at once.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn hello() -> ExitCode {
    let outcome = process::run(|conventions, drain| {
        let pid = std::process::id();
        let name = if conventions.name.is_empty() { "hello" } else { &conventions.name };
        Hello {
            greeting: Bytes::from(format!("Hello from Evercrew\nworker {name}\npid {pid}\n")),
            pid: Bytes::from(format!("{pid}\n")),
            drain: drain.clone(),
            left: conventions.most_requests.map(Portion::new),
        }
        .shared()
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notices::line(format_args!("{error}"));
            error.exit_code()
        }
    }
}

/// The answers, made once.
#[derive(Debug)]
struct Hello {
    greeting: Bytes,
    pid: Bytes,
    drain: Drain,
    left: Option<Portion>,
}

/// How many requests a worker answers before it asks to be replaced. It answers on until it is told to leave.
#[derive(Debug)]
struct Portion {
    most: u64,
    answered: AtomicU64,
    told: AtomicBool,
}

impl Portion {
    fn new(most: u64) -> Self {
        Self { most, answered: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Counts one; `tell` is tried again with the next one where it was not heard.
    fn count(&self, tell: impl FnOnce() -> bool) {
        if self.answered.fetch_add(1, Ordering::Relaxed) + 1 >= self.most && !self.told.load(Ordering::Relaxed) {
            self.told.store(tell(), Ordering::Relaxed);
        }
    }
}

impl Hello {
    fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    fn known(&self, path: &str, query: Option<&str>) -> Option<Reply> {
        match path {
            "/" => Some(Reply::now(StatusCode::OK, self.greeting.clone())),
            "/pid" => Some(Reply::now(StatusCode::OK, self.pid.clone())),
            "/slow" => Some(match wait(query) {
                Some(wait) => Reply { wait, ..Reply::now(StatusCode::OK, self.greeting.clone()) },
                None => Reply::now(StatusCode::BAD_REQUEST, "ms is a number of milliseconds up to 60000\n"),
            }),
            "/healthz" if self.drain.begun() => Some(Reply::now(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
            "/healthz" => Some(Reply::now(StatusCode::OK, "ok\n")),
            _ => None,
        }
    }
}

impl App for Arc<Hello> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let reply = match self.known(request.uri().path(), request.uri().query()) {
            None => Reply::now(StatusCode::NOT_FOUND, "not found\n"),
            Some(reply) if [Method::GET, Method::HEAD].contains(request.method()) => reply,
            Some(_) => Reply::now(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        };
        if let Some(left) = self.left.as_ref().filter(|_| request.uri().path() != "/healthz") {
            left.count(notices::recycle);
        }
        if !reply.wait.is_zero() {
            tokio::time::sleep(reply.wait).await;
        }
        let mut response = Response::new(Full::new(reply.body));
        *response.status_mut() = reply.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if reply.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

struct Reply {
    status: StatusCode,
    body: Bytes,
    wait: Duration,
}

impl Reply {
    fn now(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), wait: Duration::ZERO }
    }
}

/// `ms` of a query; 100 ms without one, `None` when it is no number or too large.
fn wait(query: Option<&str>) -> Option<Duration> {
    let given = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("ms="));
    let millis = given.map_or(Ok(100), str::parse::<u64>).ok()?;
    (millis <= LONGEST_WAIT).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_once_its_portion_is_answered_and_again_only_where_it_was_not_heard() {
        let portion = Portion::new(3);
        let mut asked = Vec::new();
        for request in 1..=6 {
            portion.count(|| {
                asked.push(request);
                request > 3
            });
        }
        assert_eq!(asked, [3, 4]);
    }

    #[test]
    fn the_wait_of_slow_is_bounded() {
        assert_eq!(wait(None), Some(Duration::from_millis(100)));
        assert_eq!(wait(Some("a=b&ms=60000")), Some(Duration::from_secs(60)));
        for wrong in ["ms=60001", "ms=", "ms=-1", "ms=1e3", "ms=99999999999999999999"] {
            assert_eq!(wait(Some(wrong)), None, "{wrong}");
        }
    }
}
