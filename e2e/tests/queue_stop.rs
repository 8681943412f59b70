//! The queue server stopped and started again under load: what was answered counts, and nobody is cut off in the middle.

use evercrew_e2e::{Engine, programs, volume};
use evercrew_jobs::Address;

use crate::EVERCREW;
use crate::history::Traffic;

/// P1 and P2 through SIGTERM, which `restart` sends.
#[test]
fn restarts_under_load_lose_no_answered_push_and_repeat_no_acknowledged_job() {
    let port = programs::free_port();
    let mut engine = Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n"));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let traffic = Traffic::begin(&address, 4, 3);
    for _ in 0..volume(50) {
        traffic.until_pushed(volume(700) as u64);
        engine.ok(&["restart", "queue"]);
    }
    traffic.until_pushed(volume(700) as u64);
    traffic.end().check();
    assert!(!engine.log().contains("SIGKILL"), "a stop took too long\n{}", engine.log());
    assert_eq!(engine.down(), 0);
}
