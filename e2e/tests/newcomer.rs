//! What somebody meets who has just installed the program.

use std::time::{Duration, Instant};

use evercrew_e2e::Engine;

use crate::EVERCREW;

const SLEEPER: &str = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn init_writes_a_file_that_starts_and_replaces_none_unasked() {
    let mut engine = Engine::new(EVERCREW, "");
    assert_eq!(engine.run(&["init"]).code, 1, "one is there");
    engine.ok(&["init", "--force"]);
    let file = std::fs::read_to_string(engine.home().join("evercrew.toml")).expect("read");
    assert!(file.contains("[service.hello]"), "{file}");
    engine.configure(&file.replace("127.0.0.1:8080", "127.0.0.1:0"));
    engine.start();
    engine.ready();
    assert_eq!(engine.down(), 0);
    std::fs::write(engine.home().join("Procfile"), "web: sleep 1000\nclock: sleep $PORT\n").expect("write");
    let procfile = engine.home().join("Procfile");
    engine.ok(&["init", "--force", "--from", procfile.to_str().expect("text")]);
    engine.start();
    engine.ready();
    assert_eq!((engine.pids("web").len(), engine.pids("clock").len()), (1, 1));
    assert_eq!(engine.down(), 0);
    std::fs::write(&procfile, "web sleep\n").expect("write");
    let wrong = engine.run(&["init", "--force", "--from", procfile.to_str().expect("text")]);
    assert!(wrong.code == 78 && wrong.stderr.contains("Procfile:1:"), "{}", wrong.stderr);
}

#[test]
fn a_probe_is_answered_in_a_second_by_0_or_1() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.s]\ncommand = [\"sh\", \"-c\", \"while ! [ -e go ]; do sleep 0.02; done; echo >&5; exec sleep 1000\"]\nready = { fd = 5 }\n",
    );
    let probe = |engine: &Engine, what: &str| {
        let started = Instant::now();
        let code = engine.run(&["healthcheck", what]).code;
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        code
    };
    assert_eq!((probe(&engine, "--live"), probe(&engine, "--ready")), (1, 1));
    engine.start();
    engine.events(1).wait("engine.started", Duration::from_secs(10), |event| event["kind"] == "engine.started");
    assert_eq!((probe(&engine, "--live"), probe(&engine, "--ready")), (0, 1));
    std::fs::write(engine.home().join("go"), "").expect("open the gate");
    engine.ready();
    assert_eq!((probe(&engine, "--live"), probe(&engine, "--ready")), (0, 0));
    let manager = engine.manager();
    manager.signal(evercrew_core::Signal::Stop);
    assert!(manager.stopped_within(Duration::from_secs(10)));
    assert_eq!((probe(&engine, "--live"), probe(&engine, "--ready")), (1, 1));
    manager.signal(evercrew_core::Signal::Cont);
    assert_eq!(engine.run(&["healthcheck"]).code, 2);
    assert_eq!(engine.down(), 0);
}

#[test]
fn completions_know_commands_and_the_names_that_are_there() {
    let mut engine = Engine::new(EVERCREW, SLEEPER);
    assert_eq!(engine.ok(&["names"]).stdout, "sleep\n", "from the file");
    engine.start();
    engine.ready();
    engine.ok(&["scale", "sleep=2"]);
    assert_eq!(engine.ok(&["names"]).stdout, "sleep\nsleep.1\nsleep.2\n", "from the engine");
    std::fs::write(engine.home().join("c.bash"), engine.ok(&["completions", "bash"]).stdout).expect("write");
    let script = r#"
        source c.bash
        evercrew() { "$BINARY" "$@"; }
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _evercrew_live evercrew "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[*]}"; }
        try evercrew resta
        try evercrew restart sleep.
        try evercrew --timeout 5s -c evercrew.toml stop sl
        try evercrew restart --tim
    "#;
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", script])
        .env("BINARY", EVERCREW)
        .current_dir(engine.home())
        .output();
    match output {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let wanted = "restart\nsleep.1 sleep.2\nsleep sleep.1 sleep.2\n--timeout\n";
            assert_eq!(told, wanted, "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(_) => println!("SKIP there is no bash"),
    }
    engine.configure("broken [");
    assert_eq!(engine.down(), 0);
    assert_eq!(engine.ok(&["names"]).stdout, "", "nothing is known, nothing is wrong");
}

#[test]
fn manual_pages_are_printed_and_written_one_for_each_command() {
    let engine = Engine::new(EVERCREW, SLEEPER);
    assert!(engine.ok(&["man"]).stdout.contains(".TH evercrew 1"));
    let pages = engine.home().join("pages");
    engine.ok(&["man", "--out", pages.to_str().expect("text")]);
    for page in ["evercrew.1", "evercrew-restart.1", "evercrew-config-show.1"] {
        let text = std::fs::read_to_string(pages.join(page)).expect("a page");
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
    assert!(!pages.join("evercrew-names.1").exists());
}
