//! What answers requests: any service of tower or hyper.

use evercrew_core::Level;
use std::error::Error;
use std::future::{Future, poll_fn};

use bytes::{Buf, Bytes};
use http_body_util::{Either, Full};
use hyper::{Request, Response, StatusCode};
use tower_service::Service;

use crate::body::Body;
use crate::notices;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What answers requests. Each connection has a clone of its own.
///
/// Every `tower_service::Service` of requests with a [`Body`] is one by [`Tower`], `axum::Router` among them; every
/// service of hyper by [`Hyper`].
pub trait App: Clone + Send + 'static {
    /// The body of an answer.
    type Body: hyper::body::Body<Data: Buf + Send, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request.
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

/// A service of tower as what answers requests.
#[derive(Clone, Debug)]
pub struct Tower<S>(pub S);

impl<S, B> App for Tower<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = Either<B, Full<Bytes>>;

    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Self::Body>> + Send + use<S, B> {
        let mut service = self.0.clone();
        async move {
            let answered = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match answered.await {
                Ok(response) => response.map(Either::Left),
                Err(error) => failed(&error.into()),
            }
        }
    }
}

/// A service that failed has no answer: the client is told so, the log why.
fn failed<B>(error: &BoxError) -> Response<Either<B, Full<Bytes>>> {
    notices::line(Level::Error, format_args!("a request was not answered: {error}"));
    let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(b"internal error\n"))));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// A service of hyper as one of tower.
#[derive(Clone, Debug)]
pub struct Hyper<S>(pub S);

impl<S, R> Service<R> for Hyper<S>
where
    S: hyper::service::Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
