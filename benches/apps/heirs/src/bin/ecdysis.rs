//! HUP makes another process that inherits the listener.

use std::net::SocketAddr;

use ecdysis::tokio_ecdysis::{SignalKind, StopOnShutdown, TokioEcdysisBuilder};
use futures::StreamExt;
use hyper_util::server::graceful::GracefulShutdown;

#[tokio::main]
async fn main() {
    let mut builder = TokioEcdysisBuilder::new(SignalKind::hangup()).expect("a builder");
    builder.stop_on_signal(SignalKind::terminate()).expect("TERM stops it");
    builder.set_pid_file("./pid");
    let address = SocketAddr::from(([127, 0, 0, 1], heirs::port()));
    let mut listener = builder
        .build_listen_tcp(StopOnShutdown::Yes, address, |socket, address| {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(1024)?;
            Ok(socket.into())
        })
        .expect("a listener");
    let (_ecdysis, ended) = builder.ready().expect("ready");
    let graceful = GracefulShutdown::new();
    let accepting = async {
        while let Some(stream) = listener.next().await {
            if let Ok(stream) = stream {
                heirs::serve(stream, &graceful);
            }
        }
    };
    let _ = futures::future::join(ended, accepting).await;
    graceful.shutdown().await;
}
