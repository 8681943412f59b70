//! The store of jobs as a file: copied while its server runs, looked through, damaged, refused and repaired.

use std::path::Path;

use evercrew_e2e::{Engine, Output, programs};

use crate::EVERCREW;

fn text(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

fn asked(engine: &Engine, arguments: &[&str], code: i32) -> String {
    let output = engine.run(arguments);
    let text = text(&output);
    assert_eq!(output.code, code, "{arguments:?}: {text}");
    text
}

fn flip(file: &Path, place: &[u8]) {
    let mut bytes = std::fs::read(file).expect("read");
    let at = bytes.windows(place.len()).position(|window| window == place).expect("the place");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("write");
}

#[test]
fn a_store_is_copied_while_it_is_served_and_a_damaged_one_is_refused_and_repaired() {
    let port = programs::free_port();
    let mut engine =
        Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\nstore = \"sqlite:jobs.db\"\n"));
    engine.ready();
    for number in 1..=20 {
        let jid = format!("kept-job-{number:04}");
        asked(&engine, &["jobs", "push", "Mail", &format!("[{number}]"), "--jid", &jid], 0);
    }
    let copy = engine.home().join("copy.db");
    let copy = copy.to_str().expect("a path");
    let said = asked(&engine, &["queues", "backup", copy], 0);
    assert!(said.contains("20 jobs"), "{said}");
    let said = asked(&engine, &["queues", "backup", copy], 1);
    assert!(said.contains("there is a file of this name"), "{said}");
    let said = asked(&engine, &["queues", "check"], 69);
    assert!(said.contains("in use") && said.contains("process"), "{said}");
    asked(&engine, &["queues", "check", copy], 0);
    engine.down();

    let store = engine.home().join("jobs.db");
    assert!(asked(&engine, &["queues", "check"], 0).contains("20 jobs"));
    flip(&store, b"kept-job-0007");
    let said = asked(&engine, &["queues", "check"], 1);
    assert!(said.contains("damaged") && said.contains("evercrew queues repair"), "{said}");
    engine.start();
    let waited = engine.run(&["wait", "--ready", "queue", "--timeout", "60s"]);
    assert_eq!(waited.code, 1, "{}", text(&waited));
    let said = asked(&engine, &["logs", "queue"], 0);
    assert!(said.contains("evercrew queues repair"), "{said}");
    engine.down();

    let said = asked(&engine, &["queues", "repair"], 0);
    assert!(said.contains("19 jobs") && said.contains("1 "), "{said}");
    engine.start();
    engine.ready();
    assert!(asked(&engine, &["jobs", "show", "kept-job-0008"], 0).contains("enqueued"));
    asked(&engine, &["jobs", "show", "kept-job-0007"], 4);
    engine.down();
}
