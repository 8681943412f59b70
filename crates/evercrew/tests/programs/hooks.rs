//! Hooks, each at its moment.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evercrew::{Error, Server, custom};
use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;

use crate::example;

const PATIENCE: Duration = Duration::from_secs(60);

fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("hooks.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn count(folder: &Path, line: &str) -> usize {
    lines(folder).iter().filter(|known| *known == line).count()
}

/// Where a line stands for the first time.
fn place(folder: &Path, line: &str) -> usize {
    let lines = lines(folder);
    lines.iter().position(|known| known == line).unwrap_or_else(|| panic!("no `{line}` in {lines:?}"))
}

/// Waits until a line is there so often.
fn wait(engine: &Engine, folder: &Path, line: &str, times: usize) {
    let (until, mut events) = (Instant::now() + PATIENCE, engine.events(0));
    while count(folder, line) < times {
        assert!(Instant::now() < until, "{line}: {:?}\n{}", lines(folder), engine.log());
        // Hooks take their own way behind the events.
        events.drain_until(Instant::now() + Duration::from_millis(50));
    }
}

#[test]
fn each_hook_is_called_at_its_moment_and_a_reload_asks_the_program() {
    let mut engine = Engine::new(&example("hooks"), "");
    let folder = engine.home().to_owned();
    let at = |line: &str| place(&folder, line);
    engine = engine.with("HOOKS_FOLDER", &folder.to_string_lossy());
    engine.start();
    engine.ready();
    for worker in ["sweeper.1", "sweeper.2"] {
        wait(&engine, &folder, &format!("after_start {worker}"), 1);
        wait(&engine, &folder, &format!("beat {worker}"), 2);
        assert!(at("before_fork") < at(&format!("initialize {worker}")));
        assert!(at(&format!("initialize {worker}")) < at(&format!("after_start {worker}")));
    }
    assert_eq!(at("before_run"), 0);
    // The first events are those of the start.
    assert!(at("event engine.started") < at("after_start sweeper.1"));

    // A worker that dies is started again without what runs before a version.
    Process::open(engine.pids("sweeper")[0]).signal(Signal::Kill);
    wait(&engine, &folder, "after_start sweeper.1", 2);
    assert_eq!((count(&folder, "before_fork"), count(&folder, "initialize sweeper.1")), (1, 2));
    engine.ok(&["restart", "sweeper"]);
    wait(&engine, &folder, "after_start sweeper.2", 2);
    wait(&engine, &folder, "at_end sweeper.2", 1);
    assert_eq!(count(&folder, "before_fork"), 2);

    // The process that runs hooks is replaced: the engine goes on.
    engine.ok(&["restart", "observer"]);
    Process::open(engine.pids("observer")[0]).signal(Signal::Kill);
    engine.ready();
    assert_eq!((count(&folder, "before_run"), count(&folder, "after_run")), (1, 0));

    fs::write(folder.join("workers"), "3").expect("a file");
    engine.ok(&["reload"]);
    assert_eq!(engine.pids("sweeper").len(), 3);
    fs::write(folder.join("workers"), "many").expect("a file");
    let refused = engine.run(&["reload"]);
    assert!(refused.code == 78 && refused.stderr.contains("invalid digit"), "{refused:?}");
    assert_eq!(engine.pids("sweeper").len(), 3);
    fs::write(folder.join("workers"), "3").expect("a file");

    assert_eq!(engine.down(), 0);
    assert_eq!(lines(&folder).last().map(String::as_str), Some("after_run"));
    assert_eq!((count(&folder, "after_run"), count(&folder, "run ended sweeper.3")), (1, 1));
}

#[test]
fn embedded_services_have_their_hooks_too() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let said = |what: &'static str| {
        let seen = Arc::clone(&seen);
        move || seen.lock().expect("no panic").push(what.to_owned())
    };
    let [before_run, after_run, before_fork, after_start, at_end] =
        ["before_run", "after_run", "before_fork", "after_start", "at_end"].map(said);
    let service = custom("a", |context| {
        context.wait_for_set(PATIENCE);
        Ok(())
    })
    .before_fork(move || {
        before_fork();
        Ok(())
    })
    .after_start(move |event| {
        assert_eq!(event.service(), Some("a"));
        after_start();
    })
    .at_end(move |_| at_end());
    let server = Server::builder().service(service).after_run(after_run).before_run(move || {
        before_run();
        Ok(())
    });
    let embedded = server.embedded().expect("it starts");
    embedded.stop();
    assert_eq!(embedded.join(), [("a".to_owned(), 0)]);
    assert_eq!(*seen.lock().expect("no panic"), ["before_run", "before_fork", "after_start", "at_end", "after_run"]);
    let failing = Server::builder().service(custom("a", |_| Ok(()))).before_run(|| Err("no room".into()));
    assert!(matches!(failing.embedded(), Err(Error::Hook { hook, .. }) if hook == "before_run"));
}
