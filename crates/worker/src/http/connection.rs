//! One connection, from its first byte to a gentle close.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use evercrew_core::patience::Verdict;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::access::Entry;
use super::answer::Answer;
use super::gate::Refused;
use super::host::Host;
use super::io::Io;
use super::refusal::Refusal;
use super::request_id;
use super::state::{Owed, State};
use super::stream::Stream;
use crate::app::App;
use crate::body::Body;
use crate::drain::Stage;
use crate::notices;

/// How long a client may take to accept a refusal.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection that is turned away keeps the descriptor that is in reserve.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);

/// Serves requests until either side closes or the drain ends it. `word` is told of the first input.
pub(crate) async fn serve<A: App>(stream: Stream, host: Arc<Host>, app: A, word: Arc<Notify>) {
    let address = if host.crowd.counts_addresses() { stream.peer_ip() } else { None };
    let state = Arc::new(State::new(&host));
    let (_seat, fits) = host.crowd.join(&state, address);
    if !fits {
        host.statistics.refused(Refusal::Address);
        return refuse(Io::new(stream, state, host.gate()), Refusal::Address).await;
    }
    let client = if host.log.is_some() { stream.peer() } else { None };
    let visit = Visit { state: Arc::clone(&state), client, requests: AtomicU32::new(0) };
    let io = Io::new(stream, Arc::clone(&state), host.gate()).telling(word);
    let service = service_fn(move |request| visit.answer(&app, request));
    let mut protocol = host.protocol.serve_connection(TokioIo::new(io), service);
    let ended = poll_fn(|cx| {
        state.remember(cx.waker());
        // First what has come: a request that is there already is answered, whatever the order.
        let ended = Pin::new(&mut protocol).poll(cx);
        match Order::of(&state) {
            Order::GoOn => ended,
            _ if ended.is_ready() => ended,
            Order::Finish => {
                Pin::new(&mut protocol).graceful_shutdown();
                Pin::new(&mut protocol).poll(cx)
            }
            Order::Cut => Poll::Ready(Ok(())),
        }
    })
    .await;
    let io = protocol.into_parts().io.into_inner();
    match (state.refused.get(), ended) {
        (Some((Refused { refusal, in_body: false }, _)), _) => refuse(io, *refusal).await,
        // The protocol found what the gate let pass, and has answered it.
        (_, Err(error)) if error.is_parse() => {
            host.statistics.refused(Refusal::Malformed(""));
            io.close().await;
        }
        _ => io.close().await,
    }
}

/// Turns away a connection for which there is no descriptor but the one in reserve.
pub(crate) async fn turn_away(stream: Stream, host: &Arc<Host>) {
    host.statistics.refused(Refusal::Shortage);
    let io = Io::new(stream, Arc::new(State::new(host)), host.gate());
    let _ = timeout(LONGEST_FAREWELL, refuse(io, Refusal::Shortage)).await;
}

/// Tells the client why it gets no answer, and closes.
async fn refuse(mut io: Io, refusal: Refusal) {
    io.state.host.statistics.answered(refusal.status());
    let answer = refusal.answer(&httpdate::fmt_http_date(SystemTime::now()));
    // A client that does not even take this has gone, or is gone soon.
    if let Ok(Ok(())) = timeout(PATIENCE, io.stream.write_all(&answer)).await {
        io.close().await;
    }
}

/// What becomes of a connection.
enum Order {
    GoOn,
    /// The request under way is its last, and without one it ends.
    Finish,
    /// It ends.
    Cut,
}

impl Order {
    /// What drain and patience ask for.
    fn of(state: &State) -> Self {
        let stage = state.host.drain.stage();
        match state.verdict() {
            Some(Verdict::Reset) => Self::Cut,
            _ if stage == Stage::Cutting && !state.owes() => Self::Cut,
            Some(Verdict::Close) => Self::Finish,
            _ if stage >= Stage::Closing => Self::Finish,
            Some(Verdict::HeadTime | Verdict::BodyRate) | None => Self::GoOn,
        }
    }
}

/// The requests of one connection.
struct Visit {
    state: Arc<State>,
    client: Option<SocketAddr>,
    requests: AtomicU32,
}

impl Visit {
    /// Has a request answered by the service, and what has to stand in the answer put there.
    fn answer<A: App>(
        &self,
        app: &A,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answer<A::Body>>, Infallible>> + Send + use<A> {
        let owed = Owed::new(&self.state);
        let host = &*self.state.host;
        let number = self.requests.load(Relaxed) + 1;
        self.requests.store(number, Relaxed);
        let is_last = host.options.requests.is_some_and(|most| u64::from(number) >= most);
        // The target counts when it names a host of its own.
        if let Some(authority) = request.uri().authority()
            && let Ok(authority) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, authority);
        }
        let id = host.ids.as_ref().map(|ids| ids.of(request.headers().get(request_id::NAME)));
        if let Some(id) = &id {
            request.headers_mut().insert(request_id::NAME, id.clone());
        }
        let mut entry = None;
        if (host.log.is_some() || host.portion.is_some()) && !host.options.is_health(request.uri().path()) {
            if let Some(portion) = &host.portion {
                portion.count(notices::recycle);
            }
            if host.log.is_some() {
                entry = Some(Box::new(Entry::new(&self.state.host, self.client, &request)));
            }
        }
        let answer = app.answer(request.map(Body::new));
        async move {
            let (mut head, body) = answer.await.into_parts();
            let state = &owed.0;
            let mut body = Some(body);
            if let Some((Refused { refusal, in_body: true }, of)) = state.refused.get()
                && *of == number
            {
                head = Response::new(()).into_parts().0;
                head.status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
                body = None;
            // Who has sent more requests already, in good faith, has them answered.
            } else if is_last || (state.host.drain.begun() && state.heads() <= number) {
                head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some(id) = id {
                head.headers.insert(request_id::NAME, id);
            }
            state.host.statistics.answered(head.status.as_u16());
            if let Some(entry) = &mut entry {
                entry.set_status(head.status.as_u16());
            }
            Ok(Response::from_parts(head, Answer::new(body, entry, owed)))
        }
    }
}
