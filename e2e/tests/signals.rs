//! What signals to the engine do, under its own table and under those of known systems.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::{Engine, Events};
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// Two workers that end on TERM, and one that was stopped by hand.
fn engine(preset: &str) -> (Engine, Events) {
    let engine = Engine::up(
        EVERCREW,
        &format!(
            "[engine]\nsignals = \"{preset}\"\n\
             [service.web]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\nrollout = {{ settle = \"0s\" }}\n\
             [service.resting]\ncommand = [\"sleep\", \"1000\"]\n"
        ),
    );
    engine.ok(&["stop", "resting"]);
    let mut events = engine.events(1);
    // From here on it is connected, and hears of an end that leaves no time to connect.
    events.wait("it rests", SOON, |event| of(event, "service.stopped", "resting"));
    (engine, events)
}

/// Sends it as another process, and waits until the engine says that it heard it; gives what it says.
fn send(engine: &Engine, events: &mut Events, signal: Signal) -> String {
    engine.supervisor().signal(signal);
    let name = signal.to_string();
    let heard = events.wait("it is heard", SOON, |event| event["kind"] == "engine.signal" && event["signal"] == name);
    assert_eq!(heard["pid"], std::process::id());
    let log = engine.log();
    let line = log.lines().rfind(|line| line.contains(&format!("{name} from pid"))).expect("a line of the log");
    line.to_owned()
}

fn of(event: &Value, kind: &str, service: &str) -> bool {
    event["kind"] == kind && event["service"] == service
}

/// Every worker is another one than before.
fn replaced(engine: &Engine, events: &mut Events, signal: Signal) {
    let before = engine.pids("web");
    send(engine, events, signal);
    events.wait("a rollout", SOON, |event| of(event, "rollout.finished", "web"));
    engine.ok(&["wait", "--ready", "web"]);
    let after = engine.pids("web");
    assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    assert_eq!(engine.workers("resting")[0].state, "stopped", "it was stopped by hand");
}

fn wanted(engine: &Engine) -> u64 {
    engine.status()["services"][0]["wanted"].as_u64().expect("a number")
}

fn ends(mut engine: Engine, mut events: Events, signal: Signal, words: &str) {
    let line = send(&engine, &mut events, signal);
    assert!(line.contains(words), "{line}");
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn the_server_engine_preset_restarts_detaches_and_dumps() {
    let (engine, mut events) = engine("server-engine");
    replaced(&engine, &mut events, Signal::Usr1);
    replaced(&engine, &mut events, Signal::Hup);
    // Under this preset INT stops nothing.
    replaced(&engine, &mut events, Signal::Int);
    send(&engine, &mut events, Signal::Cont);
    let dump = events.wait("a dump", SOON, |event| event["kind"] == "engine.dump");
    let text = std::fs::read_to_string(dump["file"].as_str().expect("a path")).expect("the dump");
    let dump: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(dump["processes"][0]["pid"], engine.supervisor().pid);
    assert!(send(&engine, &mut events, Signal::Ttin).contains("no meaning"));
    ends(engine, events, Signal::Term, "stopping");
}

#[test]
fn the_server_engine_preset_stops_at_once_on_quit() {
    let (engine, events) = engine("server-engine");
    ends(engine, events, Signal::Quit, "stopping at once");
}

#[test]
fn the_prefork_preset_stops_at_once_on_term_and_gracefully_on_quit() {
    for (signal, words) in
        [(Signal::Term, "stopping at once"), (Signal::Int, "stopping at once"), (Signal::Quit, "stopping")]
    {
        let (engine, events) = engine("prefork");
        ends(engine, events, signal, words);
    }
}

#[test]
fn the_prefork_preset_deploys_on_usr2_and_a_bad_file_deploys_nothing() {
    let (mut engine, mut events) = engine("prefork");
    replaced(&engine, &mut events, Signal::Usr2);
    let before = engine.pids("web");
    engine.configure("[service.web]\ncommand = 5\n");
    send(&engine, &mut events, Signal::Usr2);
    events.wait("it is refused", SOON, |event| event["kind"] == "reload.refused");
    assert_eq!(engine.pids("web"), before);
    assert_eq!(engine.down(), 0);
}

/// What signals mean is itself reloaded, and the supervisor goes by it when no manager answers.
#[test]
fn a_reload_changes_what_signals_mean() {
    let (engine, mut events) = engine("server-engine");
    engine.configure("[engine]\nsignals = \"prefork\"\n[service.web]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n");
    send(&engine, &mut events, Signal::Usr2);
    events.wait("it is in force", SOON, |event| event["kind"] == "reload.committed");
    let line = send(&engine, &mut events, Signal::Ttin);
    assert!(line.contains("one worker more"), "{line}");
    ends(engine, events, Signal::Int, "stopping at once");
}

#[test]
fn the_gunicorn_preset_stops_workers_and_not_itself_on_winch() {
    let (engine, mut events) = engine("gunicorn");
    send(&engine, &mut events, Signal::Ttin);
    assert_eq!(wanted(&engine), 3);
    send(&engine, &mut events, Signal::Ttou);
    assert_eq!(wanted(&engine), 2);
    replaced(&engine, &mut events, Signal::Hup);
    send(&engine, &mut events, Signal::Winch);
    events.wait("web is stopped", SOON, |event| of(event, "service.stopped", "web"));
    engine.ok(&["start", "web"]);
    ends(engine, events, Signal::Quit, "stopping at once");
}

#[test]
fn usr1_has_moved_log_files_opened_again() {
    for preset in ["native", "prefork", "gunicorn"] {
        let (mut engine, mut events) = engine(preset);
        let file = engine.home().join(".evercrew/logs/engine.log");
        let moved = file.with_extension("moved");
        std::fs::rename(&file, &moved).expect("move the file");
        send(&engine, &mut events, Signal::Usr1);
        // A worker's end is a line of the engine's own.
        engine.ok(&["scale", "web=1"]);
        let deadline = std::time::Instant::now() + SOON;
        while !file.exists() {
            assert!(std::time::Instant::now() < deadline, "{preset}: no new file");
            events.drain_until(std::time::Instant::now() + Duration::from_millis(20));
        }
        assert_eq!(engine.down(), 0);
    }
}

/// Each signal that is heard counts once; the kernel merges those that wait, so each is sent after the last was heard.
#[test]
fn many_signals_leave_the_right_number_and_no_zombie() {
    let (mut engine, mut events) = engine("native");
    let (mut more, mut less) = (0i64, 0i64);
    for round in 0..evercrew_e2e::volume(1000) {
        let signal = match round % 5 {
            0 | 1 => Signal::Ttin,
            2 => Signal::Ttou,
            3 => Signal::Usr1,
            _ => Signal::Cont,
        };
        // Never so many that starting them is the test.
        let signal = if more - less >= 6 && signal == Signal::Ttin { Signal::Ttou } else { signal };
        more += i64::from(signal == Signal::Ttin);
        less += i64::from(signal == Signal::Ttou);
        engine.supervisor().signal(signal);
        let name = signal.to_string();
        events.wait("it is heard", SOON, |event| event["kind"] == "engine.signal" && event["signal"] == name);
    }
    let expected = u64::try_from(2 + more - less).expect("not below none");
    assert_eq!(wanted(&engine), expected);
    engine.ok(&["wait", "--ready", "web"]);
    assert_eq!(engine.pids("web").len() as u64, expected);
    assert_eq!(engine.supervisor().zombies(), 0);
    assert_eq!(engine.down(), 0);
}

/// What the rows of the known systems say beside what the tests above ask.
#[test]
fn the_rest_of_each_row_holds_too() {
    let (mut one, mut events) = engine("server-engine");
    let file = one.home().join(".evercrew/logs/engine.log");
    std::fs::rename(&file, file.with_extension("moved")).expect("move the file");
    send(&one, &mut events, Signal::Usr2);
    events.wait("a reload", SOON, |event| event["kind"] == "reload.started");
    let until = std::time::Instant::now() + SOON;
    while !file.exists() {
        assert!(std::time::Instant::now() < until, "log files are not opened again");
        std::thread::yield_now();
    }
    assert_eq!(one.down(), 0);
    let (mut one, mut events) = engine("prefork");
    send(&one, &mut events, Signal::Ttin);
    assert_eq!(wanted(&one), 3);
    // Each one more that leaves, and never one that leaves already.
    for left in [2, 1, 0] {
        send(&one, &mut events, Signal::Ttou);
        assert_eq!(wanted(&one), left);
    }
    assert_eq!(one.down(), 0);
    for (signal, words) in [(Signal::Term, "stopping"), (Signal::Int, "stopping at once")] {
        let (one, events) = engine("gunicorn");
        ends(one, events, signal, words);
    }
}

/// No table has it, and whoever sent it hears so.
#[test]
fn a_real_time_signal_is_a_warning_and_nothing_else() {
    let (mut engine, _events) = engine("native");
    let pid = engine.supervisor().pid.to_string();
    let sent = std::process::Command::new("bash").args(["-c", "kill -RTMIN+3 $0", &pid]).status().expect("run bash");
    assert!(sent.success());
    let words = "real-time signal 37 from pid";
    let until = std::time::Instant::now() + SOON;
    while !engine.ok(&["logs", "engine"]).stdout.contains(words) {
        assert!(std::time::Instant::now() < until, "{}", engine.log());
    }
    assert!(engine.log().contains(words), "on standard error as well");
    assert_eq!(engine.down(), 0);
}

/// As fast as they can be sent: those that the kernel merged were one signal, and of the others each counts.
#[test]
fn a_burst_of_mixed_signals_leaves_the_number_that_was_heard_and_no_zombie() {
    let (mut engine, mut events) = engine("native");
    let supervisor = engine.supervisor();
    let before = events.position();
    for round in 0..1000 {
        supervisor.signal([Signal::Ttin, Signal::Hup, Signal::Usr1, Signal::Ttou, Signal::Usr2][round % 5]);
    }
    // Whatever waited is read before what is sent after the first one was heard. (CONT would take TTIN and TTOU back.)
    for _ in 0..2 {
        supervisor.signal(Signal::Tstp);
        events.wait("it is heard", SOON, |event| event["kind"] == "engine.signal" && event["signal"] == "SIGTSTP");
    }
    let heard = events.seen().filter(|event| event["seq"].as_u64() >= Some(before));
    let heard: Vec<&str> =
        heard.filter(|event| event["kind"] == "engine.signal").filter_map(|event| event["signal"].as_str()).collect();
    let expected = heard.iter().fold(2u64, |wanted, signal| match *signal {
        "SIGTTIN" => wanted + 1,
        "SIGTTOU" => wanted.saturating_sub(1),
        _ => wanted,
    });
    for signal in ["SIGTTIN", "SIGTTOU", "SIGHUP", "SIGUSR1", "SIGUSR2"] {
        assert!(heard.contains(&signal), "{signal} is lost: {heard:?}");
    }
    assert_eq!(wanted(&engine), expected, "{heard:?}");
    engine.ok(&["wait", "--ready", "web"]);
    assert_eq!(engine.pids("web").len() as u64, expected);
    assert_eq!(engine.supervisor().zombies(), 0);
    assert_eq!(engine.down(), 0);
    assert!(engine.nothing_left_within(SOON));
}
