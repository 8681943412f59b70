//! `builtin = "hello"`: a small HTTP service that shows who answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::app::App;
use crate::body::Body;
use crate::http::HttpOptions;
use crate::life::Life;
use crate::process::serve_http;
use crate::stop::StopFlag;

/// Longest wait that `/slow` takes.
const LONGEST_WAIT: u64 = 60_000;

/// Runs the built-in worker in this process until a signal ends it, and returns its exit code: 0 after TERM, INT or
/// QUIT, 78 when no listener was inherited, 1 when one failed.
///
/// Answers `GET` and `HEAD` of `/` (greeting, worker and pid), `/pid`, `/slow?ms=N` (N up to 60,000) and `/healthz`
/// (503 while it drains). TERM and INT finish what is begun, QUIT ends at once.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn hello() -> u8 {
    serve_http(Life::default(), HttpOptions::default(), |context| {
        let pid = std::process::id();
        let name = Some(context.identity().name.as_str()).filter(|name| !name.is_empty()).unwrap_or("hello");
        Arc::new(Hello {
            greeting: Bytes::from(format!("Hello from Evercrew\nworker {name}\npid {pid}\n")),
            pid: Bytes::from(format!("{pid}\n")),
            stop: context.stop().clone(),
        })
    })
}

/// The answers, made once.
#[derive(Debug)]
struct Hello {
    greeting: Bytes,
    pid: Bytes,
    stop: StopFlag,
}

impl Hello {
    fn known(&self, path: &str, query: Option<&str>) -> Option<Reply> {
        match path {
            "/" => Some(Reply::now(StatusCode::OK, self.greeting.clone())),
            "/pid" => Some(Reply::now(StatusCode::OK, self.pid.clone())),
            "/slow" => Some(match wait(query) {
                Some(wait) => Reply { wait, ..Reply::now(StatusCode::OK, self.greeting.clone()) },
                None => Reply::now(StatusCode::BAD_REQUEST, "ms is a number of milliseconds up to 60000\n"),
            }),
            "/healthz" if self.stop.is_set() => Some(Reply::now(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
            "/healthz" => Some(Reply::now(StatusCode::OK, "ok\n")),
            _ => None,
        }
    }
}

impl App for Arc<Hello> {
    type Body = Full<Bytes>;

    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Full<Bytes>>> + Send + use<> {
        Self::clone(self).reply(request)
    }
}

impl Hello {
    async fn reply(self: Arc<Self>, request: Request<Body>) -> Response<Full<Bytes>> {
        let reply = match self.known(request.uri().path(), request.uri().query()) {
            None => Reply::now(StatusCode::NOT_FOUND, "not found\n"),
            Some(reply) if [Method::GET, Method::HEAD].contains(request.method()) => reply,
            Some(_) => Reply::now(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        };
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
    fn the_wait_of_slow_is_bounded() {
        assert_eq!(wait(None), Some(Duration::from_millis(100)));
        assert_eq!(wait(Some("a=b&ms=60000")), Some(Duration::from_secs(60)));
        for wrong in ["ms=60001", "ms=", "ms=-1", "ms=1e3", "ms=99999999999999999999"] {
            assert_eq!(wait(Some(wrong)), None, "{wrong}");
        }
    }
}
