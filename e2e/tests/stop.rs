//! Stopping, at every moment of an engine's life.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEPERS: &str = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nworkers = 3\n";

#[test]
fn term_every_ten_milliseconds_from_exec_on_ends_cleanly() {
    for round in 0..volume(200) {
        let mut engine = Engine::new(EVERCREW, SLEEPERS);
        engine.start();
        let up = engine.supervisor();
        let began = Instant::now();
        while !up.gone_within(Duration::from_millis(10)) {
            up.signal(Signal::Term);
            assert!(began.elapsed() < SOON, "round {round} does not end");
        }
        let code = engine.wait(SOON);
        assert!(code == 0 || code == 128 + 15, "round {round}: exit {code}");
        assert!(engine.nothing_left_within(Duration::ZERO), "round {round}: {:?}", engine.processes());
        if code != 0 {
            assert!(!engine.log().contains("ready"), "killed by the signal after something was started");
        }
    }
}

/// TERM: gone in time, with nothing started after it was heard.
fn stopped_in(mut engine: Engine, bound: Duration) {
    let up = engine.supervisor();
    up.signal(Signal::Term);
    assert!(up.gone_within(bound), "not gone within {bound:?}\n{}", engine.log());
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
    let log = engine.log();
    let after = log.split_once("SIGTERM from").map(|(_, after)| after);
    assert!(after.is_some_and(|after| !after.contains("ready after")), "started after the stop\n{log}");
}

#[test]
fn a_stop_during_backoff_starts_nothing() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.crash]\ncommand = [\"false\"]\nbackoff = { min = \"500ms\", max = \"500ms\", stable = \"10s\" }\nstart_limit = false\n",
    );
    engine.start();
    engine.events(1).worker("worker.backoff", "crash.1", SOON);
    stopped_in(engine, Duration::from_secs(1));
}

#[test]
fn a_stop_during_a_staggered_start_starts_no_further_worker() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nworkers = 50\nstart_delay = \"200ms\"\n",
    );
    engine.start();
    engine.events(1).worker("worker.ready", "sleep.2", SOON);
    stopped_in(engine, Duration::from_secs(1));
}

#[test]
fn a_stop_during_a_rollout_starts_no_further_worker() {
    let engine = Engine::up(EVERCREW, &format!("{SLEEPERS}rollout = {{ settle = \"1s\" }}\n"));
    let mut client =
        std::os::unix::net::UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
    std::io::Write::write_all(&mut client, b"{\"id\":\"r\",\"verb\":\"restart\",\"args\":{\"names\":[\"sleep\"]}}\n")
        .expect("ask");
    engine.events(1).wait("rollout", SOON, |event| event["kind"] == "rollout.started");
    stopped_in(engine, Duration::from_secs(1));
}

#[test]
fn quit_stops_at_once_and_a_second_term_after_a_second_as_well() {
    let stubborn =
        "[service.s]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]\nworkers = 2\n";
    stopped_by(stubborn, |up| up.signal(Signal::Quit));
    stopped_by(stubborn, |up| {
        up.signal(Signal::Term);
        assert!(!up.gone_within(Duration::from_millis(1200)), "TERM alone waits for the grace");
        up.signal(Signal::Term);
    });
}

fn stopped_by(configuration: &str, stop: impl Fn(&Process)) {
    let mut engine = Engine::up(EVERCREW, configuration);
    let up = engine.supervisor();
    stop(&up);
    assert!(up.gone_within(Duration::from_secs(2)), "{}", engine.log());
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn an_immediate_stop_still_shows_the_last_lines() {
    let script = "i=0; while :; do i=$((i+1)); echo line $i; echo $i > last.new; mv last.new last; done";
    let mut engine = Engine::up(EVERCREW, &format!("[service.s]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let wait = engine.home().join("last");
    let began = Instant::now();
    while !wait.exists() {
        assert!(began.elapsed() < SOON);
        std::thread::yield_now();
    }
    engine.supervisor().signal(Signal::Quit);
    assert_eq!(engine.wait(SOON), 0);
    let last: u64 = std::fs::read_to_string(wait).expect("a number").trim().parse().expect("a number");
    let log = std::fs::read_to_string(engine.home().join(".evercrew/logs/s.1.log")).expect("its file");
    let lines: Vec<&str> = log.lines().filter_map(|line| line.split_once(" line ")).map(|(_, n)| n).collect();
    let numbers: Vec<u64> = lines.iter().filter_map(|n| n.parse().ok()).collect();
    assert!(
        numbers.last() >= Some(&last),
        "line {last} was written and is not in the file, which ends with {:?}",
        numbers.last()
    );
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "lines are missing");
}

#[test]
fn a_stop_that_no_manager_acknowledges_is_carried_out_by_the_supervisor() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    engine.manager().signal(Signal::Stop);
    let up = engine.supervisor();
    up.signal(Signal::Term);
    assert!(!up.gone_within(Duration::from_millis(4500)), "the manager has five seconds");
    assert!(up.gone_within(Duration::from_secs(5)), "{}", engine.log());
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn a_signal_to_the_manager_itself_changes_nothing() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let manager = engine.manager();
    manager.signal(Signal::Term);
    let ignored = engine.events(1).wait("it is told", SOON, |event| event["kind"] == "engine.signal-ignored");
    assert_eq!(ignored["number"], 15);
    assert!(manager.lives());
    assert_eq!(engine.down(), 0);
}

#[test]
fn ttin_and_ttou_scale_the_first_service() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let mut events = engine.events(1);
    engine.supervisor().signal(Signal::Ttin);
    events.worker("worker.ready", "sleep.4", SOON);
    engine.supervisor().signal(Signal::Ttou);
    events.worker("worker.exit", "sleep.4", SOON);
    assert_eq!(engine.pids("sleep").len(), 3);
    assert_eq!(engine.down(), 0);
}
