//! Which lines each process writes, changed while everything runs.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;
use serde_json::{Value, json};

use crate::EVERCREW;
use crate::calls::document;

const SOON: Duration = Duration::from_secs(20);

fn engine() -> Engine {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/apps/hub.py");
    let (web, queue) = (free_port(), free_port());
    Engine::up(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{web}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\nworkers = 2\n\
             [service.s]\ncommand = [\"python3\", {app:?}]\ncommand_pipe = true\nready = {{ output = \"^ready\" }}\n\
             stop = {{ grace = \"100ms\" }}\n[queue]\nlisten = \"127.0.0.1:{queue}\"\nstore = \"memory\"\n"
        ),
    )
}

fn levels(engine: &Engine, arguments: &[&str]) -> Value {
    document(&engine.ok(&[&["log-level", "--json"], arguments].concat()))
}

#[test]
fn each_process_has_a_level_that_is_set_while_it_runs_and_outlives_it() {
    let mut engine = engine();
    let all = |level: &str| json!({"manager": level, "supervisor": level, "logger": level, "web.1": level, "web.2": level, "queue.1": level});
    assert_eq!(levels(&engine, &[]), json!({"filter": "info", "processes": all("info")}));
    let some = levels(&engine, &["web=debug,web.2=trace,logger=error,queue=error,s=warn"]);
    let mut expected = all("info");
    let differ = [("web.1", "debug"), ("web.2", "trace"), ("logger", "error"), ("queue.1", "error"), ("s.1", "warn")];
    for (name, level) in differ {
        expected[name] = json!(level);
    }
    let filter = "info,logger=error,queue=error,s=warn,web=debug,web.2=trace";
    assert_eq!(some, json!({"filter": filter, "processes": expected}));
    // Those that come later have it too, also from a manager that comes later.
    engine.manager().signal(Signal::Kill);
    engine.ready();
    let mut events = engine.events(1);
    Process::open(engine.workers("web")[1].pid.expect("a process")).signal(Signal::Kill);
    events.wait("its successor", SOON, |event| {
        event["kind"] == "worker.ready" && event["worker"] == "web.2" && event["generation"] == 2
    });
    engine.ok(&["restart", "queue"]);
    assert_eq!(levels(&engine, &[]), json!({"filter": filter, "processes": expected}));
    // What is below it is not written: the second queue server says nothing of where it serves.
    let said = engine.ok(&["logs", "queue"]).stdout;
    assert_eq!(said.matches("serves on").count(), 1, "{said}");
    // A level for all takes the place of every other one; a foreign program is asked where it is named.
    assert_eq!(levels(&engine, &["info"]), json!({"filter": "info", "processes": all("info")}));
    assert_eq!(levels(&engine, &["s.1=fatal"])["processes"]["s.1"], "fatal");
    assert_eq!(engine.down(), 0);
}

#[test]
fn one_that_does_not_answer_is_named_and_what_is_wrong_is_refused() {
    let mut engine = engine();
    let stopped = Process::open(engine.workers("web")[0].pid.expect("a process"));
    stopped.signal(Signal::Stop);
    assert!(stopped.stopped_within(SOON));
    let told = levels(&engine, &["web=debug", "--timeout", "1s"]);
    assert_eq!(told["processes"]["web.2"], "debug", "{told}");
    assert_eq!(
        (&told["unanswered"][0]["name"], &told["unanswered"][0]["outcome"]),
        (&json!("web.1"), &json!("timeout"))
    );
    stopped.signal(Signal::Cont);
    for (filter, code, told) in [
        ("loud", 2, "`loud` is no level"),
        ("web=loud", 2, "`web=loud` is no level"),
        ("=info", 2, "is no level"),
        ("nobody=info", 4, "no service or worker `nobody`"),
    ] {
        let refused = engine.run(&["log-level", filter]);
        assert!(refused.code == code && refused.stderr.contains(told), "{filter}: {refused:?}");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_builtin_worker_has_its_command_pipe_without_asking_for_one() {
    let mut engine = engine();
    let reply = engine.run(&["call", "web", "log-level", "--json"]);
    assert_eq!(reply.code, 0, "{reply:?}");
    assert_eq!(document(&reply)["content"]["workers"][1]["content"], json!({"level": "info"}));
    let unknown = engine.run(&["call", "web.1", "x"]);
    assert!(unknown.code == 1 && unknown.stdout.contains("unknown verb `x`"), "{unknown:?}");
    assert_eq!(engine.down(), 0);
}
