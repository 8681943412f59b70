//! A manager that hangs without owing anything, and a control socket that nobody answers.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEP: &str = "[service.s]\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn an_idle_manager_that_hangs_is_replaced_as_soon_as_somebody_waits_for_it() {
    let mut engine = Engine::up(EVERCREW, SLEEP);
    let before = engine.pids("s");
    let manager = engine.manager();
    manager.signal(Signal::Stop);
    assert!(manager.stopped_within(SOON));
    let asked = Instant::now();
    let status = engine.status();
    assert_eq!(status["manager"]["generation"], 2);
    assert!(asked.elapsed() >= Duration::from_secs(5), "it has its time: {:?}", asked.elapsed());
    assert_eq!(engine.pids("s"), before, "no worker was touched");
    let manager = engine.manager();
    manager.signal(Signal::Stop);
    assert!(manager.stopped_within(SOON));
    assert_eq!(engine.down(), 0);
}

#[test]
fn down_signals_the_supervisor_where_the_control_socket_gives_no_answer() {
    for (arguments, signal) in
        [(&["down", "--timeout", "1s"][..], "SIGTERM"), (&["down", "--now", "--timeout", "1s"], "SIGQUIT")]
    {
        let mut engine = Engine::up(EVERCREW, SLEEP);
        let socket = engine.home().join(".evercrew/control.sock");
        std::fs::remove_file(&socket).expect("remove");
        let deaf = loop {
            match UnixListener::bind(&socket) {
                Ok(deaf) => break deaf,
                // The engine was faster.
                Err(_) => drop(std::fs::remove_file(&socket)),
            }
        };
        let pid = engine.supervisor().pid;
        let output = engine.run(arguments);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(
            output.stderr.contains(&format!("sending {signal} to its supervisor, process {pid}")),
            "{}",
            output.stderr
        );
        assert_eq!(engine.wait(SOON), 0);
        assert!(socket.exists(), "what is not the engine's own stays");
        drop(deaf);
    }
}
