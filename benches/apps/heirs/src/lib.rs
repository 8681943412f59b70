//! What both answer: `/pid`, and `/slow?ms=N`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let millis = request.uri().query().and_then(|query| query.strip_prefix("ms=")?.parse().ok());
    if let Some(millis) = millis {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    Ok(Response::new(Full::new(Bytes::from(format!("{}\n", std::process::id())))))
}

/// Serves a connection until it ends, or until all are asked to end.
pub fn serve(stream: TcpStream, graceful: &GracefulShutdown) {
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that leaves is no failure of the server's.
        let _ = watched.await;
    });
}

/// The port to listen at.
pub fn port() -> u16 {
    std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port")
}
