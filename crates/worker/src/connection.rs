//! One connection, from its first byte to a gentle close.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::drain::{Drain, Stage};
use crate::socket::{Io, Owed, Socket};

/// Request line and headers up to this size are always read. The buffer may grow to twice of it, so that up to 64 KiB
/// may pass, and never more.
const HEAD_LIMIT: usize = 32 * 1024;
/// How long a head may take to arrive, counted from the end of the request before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What answers requests.
pub(crate) trait App: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves requests until either side closes or the drain ends it.
pub(crate) async fn serve(socket: Arc<Socket>, app: impl App, drain: Drain) {
    let service = service_fn(|request| {
        let owed = Owed::new(&socket);
        let (app, drain) = (app.clone(), drain.clone());
        async move {
            let mut response = app.answer(request).await;
            if drain.begun() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Answer { body, _owed: owed }))
        }
    });
    let protocol = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(Io(Arc::clone(&socket))), service);
    let mut protocol = pin!(protocol);
    let mut stages = drain.watch();
    // What the stage is at the start must be acted on as well.
    stages.mark_changed();
    loop {
        tokio::select! {
            biased;
            // An error is the client's: it went away, or spoke something else and was told so.
            _ = protocol.as_mut() => break,
            Ok(()) = stages.changed() => match *stages.borrow_and_update() {
                Stage::Serving | Stage::Announcing => {}
                Stage::Closing => protocol.as_mut().graceful_shutdown(),
                Stage::Cutting => {
                    protocol.as_mut().graceful_shutdown();
                    if !socket.owes() {
                        break;
                    }
                }
            },
        }
    }
    socket.close_gently().await;
}

/// A body that keeps its request owed until it was handed out.
struct Answer {
    body: Full<Bytes>,
    _owed: Owed,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
