//! A worker with answers of every size and kind; the tests of this crate run it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evercrew_worker::{App, Body, HttpOptions, serve_app};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use hyper::{Request, Response, StatusCode};

/// Bytes in each piece of a body: every piece begins alike.
const PIECE: u64 = 251 * 256;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(serve_app(HttpOptions::default(), Answers))
}

#[derive(Clone)]
struct Answers;

impl App for Answers {
    type Body = Pattern;

    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Pattern>> + Send + use<> {
        answer(request)
    }
}

async fn answer(request: Request<Body>) -> Response<Pattern> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let number = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    match request.uri().path() {
        "/bytes" => Response::new(Pattern::new(number("n"), true)),
        "/chunks" => Response::new(Pattern::new(number("n"), false)),
        "/upload" => {
            let mut body = request.into_body();
            let mut count = 0;
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => count += frame.data_ref().map_or(0, Bytes::len),
                    Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
                }
            }
            text(StatusCode::OK, format!("{count}\n"))
        }
        "/early" => text(StatusCode::PAYLOAD_TOO_LARGE, "too large for me\n".to_owned()),
        // Holds the runtime, as a handler does that computes.
        "/block" => {
            let until = Instant::now() + Duration::from_millis(number("ms"));
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            text(StatusCode::OK, format!("{}\n", std::process::id()))
        }
        "/wait" => {
            tokio::time::sleep(Duration::from_millis(number("ms"))).await;
            text(StatusCode::OK, format!("{}\n", std::process::id()))
        }
        "/id" => {
            let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
            text(
                StatusCode::OK,
                format!("{} {}\n", header("x-request-id").unwrap_or("-"), header("host").unwrap_or("-")),
            )
        }
        _ => text(StatusCode::OK, format!("{}\n", std::process::id())),
    }
}

fn text(status: StatusCode, text: String) -> Response<Pattern> {
    let mut response = Response::new(Pattern { text: Some(Bytes::from(text)), ..Pattern::new(0, true) });
    *response.status_mut() = status;
    response
}

/// A body whose byte at place n is n modulo 251, or a text.
struct Pattern {
    text: Option<Bytes>,
    at: u64,
    end: u64,
    is_sized: bool,
    piece: Bytes,
}

impl Pattern {
    fn new(end: u64, is_sized: bool) -> Self {
        let piece = (0..end.min(PIECE)).map(|place| (place % 251) as u8).collect();
        Self { text: None, at: 0, end, is_sized, piece }
    }
}

impl hyper::body::Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let length = PIECE.min(self.end - self.at);
        self.at += length;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..length as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none() && self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        match &self.text {
            Some(text) => SizeHint::with_exact(text.len() as u64),
            None if self.is_sized => SizeHint::with_exact(self.end - self.at),
            None => SizeHint::default(),
        }
    }
}
