//! The service that is run under each type of worker.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use evercrew::{HttpOptions, Service, http_with};

/// Says hello, takes its time, or blocks its thread for ever.
pub(crate) fn service(name: &str) -> Service {
    http_with(name, HttpOptions::default(), |context| {
        let stop = context.stop().clone();
        Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/pid", get(|| async { std::process::id().to_string() }))
            .route(
                "/until-stop",
                get(move || {
                    let stop = stop.clone();
                    async move {
                        stop.wait().await;
                        "it was begun before the stop".to_owned()
                    }
                }),
            )
            .route("/spin", get(|| async { spin() }))
    })
    .heartbeat(Duration::from_millis(500), Duration::from_secs(2))
}

fn spin() -> &'static str {
    loop {
        std::hint::spin_loop();
    }
}
