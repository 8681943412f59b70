//! `PORT SOCKET restart` makes the one that listens at the socket start another process. The library hands no listener on:
//! both share the port.

use std::net::SocketAddr;

use hyper_util::server::graceful::GracefulShutdown;
use shellflip::RestartConfig;
use shellflip::lifecycle::NullLifecycleHandler;
use tokio::net::TcpSocket;

#[tokio::main]
async fn main() {
    let socket = std::env::args().nth(2).expect("a socket");
    let config = RestartConfig {
        enabled: true,
        coordination_socket_path: socket.into(),
        lifecycle_handler: Box::new(NullLifecycleHandler),
        ..RestartConfig::default()
    };
    if std::env::args().nth(3).as_deref() == Some("restart") {
        println!("{}", config.request_restart().await.expect("a restart"));
        return;
    }
    let listener = TcpSocket::new_v4().expect("a socket");
    listener.set_reuseport(true).expect("a shared port");
    listener.bind(SocketAddr::from(([127, 0, 0, 1], heirs::port()))).expect("bind");
    let listener = listener.listen(1024).expect("listen");
    let restarted = config.try_into_restart_task().expect("a restart task");
    tokio::pin!(restarted);
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    heirs::serve(stream, &graceful);
                }
            }
            _ = &mut restarted => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
}
