//! The queue server killed again and again while jobs are pushed and done: what was answered counts.

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs, volume};
use evercrew_jobs::Address;

use crate::EVERCREW;
use crate::history::{PATIENCE, Traffic};

/// P1 and P2: no answered push is lost, and no acknowledged job is handed out again.
#[test]
fn kills_lose_no_answered_push_and_repeat_no_acknowledged_job() {
    let port = programs::free_port();
    let engine = Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n"));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let traffic = Traffic::begin(&address, 4, 3);
    let mut events = engine.events(1);
    for _ in 0..volume(300) {
        traffic.until_pushed(volume(700) as u64);
        let pid = engine.pids("queue").first().copied().expect("a process");
        Process::open(pid).signal(Signal::Kill);
        engine.ok(&["start", "queue"]);
        events.wait("the next one is ready", PATIENCE, |event| {
            event["kind"] == "worker.ready" && event["service"] == "queue"
        });
    }
    traffic.until_pushed(volume(700) as u64);
    traffic.end().check();
}
