//! A client that keeps its connection and asks every 50 ms, through one rollout after the other.

use std::net::SocketAddr;
use std::time::Duration;

use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, volume};
use evercrew_load::Load;

use crate::EVERCREW;

/// Clients, each with a connection of its own.
const CLIENTS: usize = 4;
/// Requests of each a second.
const RATE: f64 = 20.0;
/// Rollouts at full volume.
const ROLLOUTS: usize = 100;
const SOON: Duration = Duration::from_secs(30);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(1800);

#[test]
fn a_kept_connection_ends_only_after_an_answer_that_said_so() {
    let port = free_port();
    let engine = Engine::up(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nrollout = {{ settle = \"50ms\" }}\n"
        ),
    );
    let load = Load::builder(SocketAddr::from(([127, 0, 0, 1], port))).pids().rate(RATE).keep_alive(1);
    let start = |_| load.clone().duration(LONGEST).start_thread().expect("a load");
    let clients: Vec<_> = (0..CLIENTS).map(start).collect();
    let ready = || -> Vec<u32> {
        engine
            .workers("web")
            .into_iter()
            .filter(|worker| worker.state == "ready")
            .filter_map(|worker| worker.pid)
            .collect()
    };
    let mut before = ready();
    for rollout in 0..volume(ROLLOUTS) {
        engine.ok(&["restart", "web"]);
        let after = ready();
        assert!(
            after.len() == 2 && after.iter().all(|pid| !before.contains(pid)),
            "rollout {rollout}: {before:?}, {after:?}"
        );
        // Each client has come to a new worker before the next rollout begins.
        for client in &clients {
            let is_new = |pid: &u32| after.contains(pid);
            assert!(client.wait_until(SOON, |report| report.servers.keys().any(is_new)), "{}", client.report());
        }
        before = after;
    }
    for client in clients {
        let report = client.stop();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.idle_closes + report.idle_resets, 0, "connections ended unannounced\n{report}");
        // Each connection but the last one has ended by such an answer, one in each rollout at least.
        assert_eq!(report.announced_closes + 1, report.connections, "{report}");
        assert!(report.announced_closes >= volume(ROLLOUTS) as u64, "{report}");
    }
}
