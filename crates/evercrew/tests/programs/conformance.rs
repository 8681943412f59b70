//! The same service as a process, with several threads, as a foreign program, and embedded.

use std::net::SocketAddr;
use std::time::Duration;

use evercrew::Server;
use evercrew_e2e::Engine;

use crate::http::{begin, get};
use crate::{app, example};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where a listener of this engine is.
pub(crate) fn address(engine: &Engine, listener: &str) -> SocketAddr {
    let status = engine.status();
    let listeners = status["listeners"].as_array().expect("listeners");
    let found = listeners.iter().find(|entry| entry["name"] == listener).expect("the listener");
    found["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
}

#[test]
fn each_type_of_worker_serves_drains_and_is_replaced() {
    let mut engine = Engine::up(&example("conformance"), "");
    for service in ["process", "threads", "foreign"] {
        let address = address(&engine, service);
        assert_eq!(get(address, "/"), (200, "hello".to_owned()), "{service}");
        let before = get(address, "/pid").1;
        // What was begun before the stop is answered by the one that stops.
        let begun = begin(address, "GET", "/until-stop", "");
        let mut events = engine.events(0);
        engine.ok(&["restart", service]);
        assert_eq!(begun.end(), Some((200, "it was begun before the stop".to_owned())), "{service}");
        let ended =
            events.wait("exit", PATIENCE, |event| event["kind"] == "worker.exit" && event["service"] == service);
        assert_eq!(ended["code"], 0, "{service}: {ended}");
        // Only now: until its last thread has heard of the stop, it may take one connection more, and serves it.
        assert_ne!(get(address, "/pid").1, before, "{service}");
    }
    assert_eq!(engine.down(), 0);
    assert!(engine.nothing_left_within(PATIENCE));
}

#[test]
fn a_handler_that_spins_is_found_whatever_the_type_of_its_worker() {
    let mut engine = Engine::up(&example("conformance"), "");
    for service in ["process", "threads", "foreign"] {
        let address = address(&engine, service);
        let mut events = engine.events(0);
        let spinning = begin(address, "GET", "/spin", "");
        events
            .wait("silence", PATIENCE, |event| event["kind"] == "worker.heartbeat-lost" && event["service"] == service);
        assert_eq!(spinning.end(), None, "{service}");
        engine.ready();
        assert_eq!(get(address, "/"), (200, "hello".to_owned()), "{service}");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn embedded_it_serves_and_drains_without_an_engine() {
    for threads in [1, 3] {
        let server = Server::builder().listen("web", "127.0.0.1:0").service(app::service("web").threads(threads));
        let embedded = server.embedded().expect("it starts");
        let address = embedded.address("web").expect("its address");
        assert_eq!(get(address, "/"), (200, "hello".to_owned()));
        assert_eq!(get(address, "/pid").1, std::process::id().to_string());
        let begun = begin(address, "GET", "/until-stop", "");
        assert_eq!(get(address, "/"), (200, "hello".to_owned()));
        embedded.stop();
        assert_eq!(begun.end(), Some((200, "it was begun before the stop".to_owned())));
        assert_eq!(embedded.join(), [("web".to_owned(), 0)]);
    }
}
