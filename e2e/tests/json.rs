//! What `--json` prints has a shape that scripts rely on: each command's is kept as a snapshot, by names and types.

use evercrew_e2e::Engine;
use serde_json::{Map, Value};

use crate::EVERCREW;

/// Names stay, values become their types; of a list its first entry stands for all.
fn shape(value: &Value) -> Value {
    let name = |text: &str| Value::from(text);
    match value {
        Value::Null => name("null"),
        Value::Bool(_) => name("bool"),
        Value::Number(_) => name("number"),
        Value::String(_) => name("text"),
        Value::Array(items) => Value::Array(items.iter().take(1).map(shape).collect()),
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect();
            Value::Object(fields)
        }
    }
}

#[test]
fn each_reading_command_keeps_its_shape() {
    let mut engine = Engine::up(
        EVERCREW,
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[service.hello]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n",
    );
    let mut shapes = String::new();
    for arguments in [
        &["status"][..],
        &["events"],
        &["check"],
        &["config", "show"],
        &["version"],
        &["healthcheck", "--ready"],
        &["log-level"],
        &["doctor"],
        &["wait", "--ready"],
        &["signal", "hello", "CONT"],
    ] {
        let output = engine.run(&[arguments, &["--json"]].concat());
        let first = serde_json::Deserializer::from_str(&output.stdout).into_iter::<Value>().next();
        let document = first.expect("a document").expect("JSON");
        shapes += &format!("{}\n{:#}\n\n", arguments.join(" "), shape(&document));
    }
    assert_eq!(engine.down(), 0);
    insta::assert_snapshot!("shapes", shapes);
}

#[test]
fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let mut engine = Engine::up(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let well = engine.run(&["doctor"]);
    assert_eq!(well.code, 0, "{}", well.stdout);
    assert!(well.stdout.contains("the engine answers"), "{}", well.stdout);
    engine.configure("[service.s]\ncommand = [\"no-such-program\"]\n");
    let ill = engine.run(&["doctor"]);
    assert_eq!(ill.code, 1, "{}", ill.stdout);
    assert!(ill.stdout.contains("fail  config") && ill.stdout.contains("evercrew check"), "{}", ill.stdout);
    let supervisor = engine.supervisor();
    supervisor.signal(evercrew_core::Signal::Kill);
    assert!(supervisor.gone_within(std::time::Duration::from_secs(10)));
    engine.wait(std::time::Duration::from_secs(10));
    let left = engine.run(&["doctor"]).stdout;
    assert!(left.contains("warn  stale"), "{left}");
}
