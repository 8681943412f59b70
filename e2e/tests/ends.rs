//! When the engine ends by itself, and with which code.

use std::time::Duration;

use evercrew_e2e::Engine;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// The engine's exit code, and what it printed.
fn end(exit: &str, services: &str) -> (i32, String) {
    let mut engine = Engine::new(EVERCREW, &format!("[engine]\nexit = \"{exit}\"\n{services}"));
    engine.start();
    let code = engine.wait(SOON);
    assert!(engine.nothing_left_within(Duration::ZERO));
    (code, engine.log())
}

const GOOD: &str = "[service.good]\ncommand = [\"true\"]\nrestart = \"never\"\n";
const BAD: &str = "[service.bad]\ncommand = [\"sh\", \"-c\", \"exit 5\"]\nrestart = \"never\"\n";
const STAYS: &str = "[service.stays]\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn a_program_that_failed_and_is_not_started_again_makes_it_1() {
    let (code, log) = end("all-done", &format!("{GOOD}{BAD}"));
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("every service has ended; bad.1 failed"), "{log}");
    let (code, log) = end("any-failed", &format!("{STAYS}{BAD}"));
    assert_eq!(code, 1, "{log}");
}

#[test]
fn with_no_service_there_is_nothing_to_wait_for() {
    let (code, log) = end("all-done", "");
    assert_eq!(code, 0, "{log}");
}

#[test]
fn an_unrecoverable_code_ends_it_beside_workers_that_serve() {
    let script = "if [ $EVERCREW_SLOT = 2 ]; then exit 42; fi; exec sleep 1000";
    let service = format!(
        "[service.s]\ncommand = [\"sh\", \"-c\", {script:?}]\nworkers = 3\nunrecoverable_exit_codes = [42]\n{STAYS}"
    );
    assert_eq!(end("any-failed", &service).0, 42);
}

#[test]
fn all_done_waits_for_the_last_and_keeps_the_unrecoverable_code() {
    let services = format!(
        "{BAD}[service.first]\ncommand = [\"sh\", \"-c\", \"exit 42\"]\nunrecoverable_exit_codes = [42]\nready = \"notify\"\n\
         [service.never]\ncommand = [\"true\"]\nafter = [\"first\"]\n\
         [service.last]\ncommand = [\"sh\", \"-c\", \"sleep 0.5; echo last words\"]\nrestart = \"never\"\n"
    );
    let (code, log) = end("all-done", &services);
    assert_eq!(code, 42, "{log}");
    assert!(log.contains("last words"), "{log}");
}

#[test]
fn status_tells_a_failed_program_from_one_that_finished() {
    let mut engine = Engine::new(EVERCREW, &format!("{GOOD}{BAD}"));
    engine.start();
    let mut events = engine.events(1);
    let failed = |event: &serde_json::Value| event["kind"] == "service.failed" && event["service"] == "bad";
    events.wait("finished", SOON, |event| event["kind"] == "service.finished" && event["service"] == "good");
    // Either may be first.
    if !events.seen().any(failed) {
        events.wait("failed", SOON, failed);
    }
    assert_eq!(engine.run(&["status", "good"]).code, 0);
    assert_eq!(engine.run(&["status", "bad"]).code, 1);
    assert_eq!(engine.workers("bad")[0].state, "failed");
    assert_eq!(engine.down(), 0);
}
