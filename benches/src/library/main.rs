//! What a program with the engine in it costs those whom it serves: through rollouts, beside hostile clients, and when a
//! worker is killed.
//!
//! **What it does.** Is such a program itself, started as one, and measures it. Stretches with and without what disturbs
//! are taken in turn, so that what else the machine does hits both alike.
//! `cargo build --release && cargo run --release -p evercrew-benches --bin library [kept] [crowd] [revival]`
//!
//! **Where to start.** `main`; a file for each figure, and docs/measurements/http.md has the last ones.
//!
//! **What it must never know.** A bound: it measures, a reader judges.
//!
//! **How it is tested.** By its reader; what may not be lost holds `kept.rs` of the end-to-end tests, what each limit does
//! `limits.rs` of the worker's.

mod crowd;
mod kept;
mod revival;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use evercrew::{Server, http};
use evercrew_e2e::Engine;
use evercrew_e2e::programs::free_port;

const FIGURES: [(&str, fn()); 3] = [("kept", kept::measure), ("crowd", crowd::measure), ("revival", revival::measure)];

fn main() -> evercrew::Result<()> {
    evercrew::init();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if !wanted.iter().all(|name| FIGURES.iter().any(|(known, _)| known == name)) {
        return program();
    }
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure();
        }
    }
    Ok(())
}

/// The program that is measured.
fn program() -> evercrew::Result<()> {
    let app = || {
        let bytes = |Path(count): Path<usize>| async move { vec![b'a'; count] };
        Router::new().route("/", get(|| async { "hello\n" })).route("/bytes/{count}", get(bytes))
    };
    Server::builder().listen("web", "127.0.0.1:0").service(http("web", app).workers(2)).main()
}

/// The program, started.
fn start(settings: &str) -> (Engine, SocketAddr) {
    let port = free_port();
    let own = std::env::current_exe().expect("our own path");
    let own = own.to_str().expect("UTF-8");
    let text = format!("[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\n{settings}");
    (Engine::up(own, &text), SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The value in the middle.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
