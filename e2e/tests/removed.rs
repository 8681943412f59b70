//! The engine's own files removed while it runs: made again, and no second engine beside it.

use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEP: &str = "[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n";

/// No event tells of a file that comes.
fn comes(path: &Path) {
    let until = Instant::now() + SOON;
    while !path.exists() {
        assert!(Instant::now() < until, "{} does not come", path.display());
        std::thread::yield_now();
    }
}

fn is_refused(engine: &Engine) {
    let second = engine.run(&["up"]);
    assert_eq!(second.code, 69, "{}", second.stderr);
    assert!(second.stderr.contains(&engine.supervisor().pid.to_string()), "{}", second.stderr);
}

#[test]
fn the_control_socket_the_lock_and_the_whole_directory_are_made_again() {
    let mut engine = Engine::up(EVERCREW, SLEEP);
    let before = engine.pids("s");
    let directory = engine.home().join(".evercrew");
    for file in ["control.sock", "lock", "instance"] {
        std::fs::remove_file(directory.join(file)).expect("remove");
        is_refused(&engine);
        comes(&directory.join(file));
        assert_eq!(engine.pids("s"), before, "{file}");
        is_refused(&engine);
    }
    // Whatever comes back while it is removed is removed again.
    while directory.exists() && std::fs::remove_dir_all(&directory).is_err() {}
    is_refused(&engine);
    for file in ["control.sock", "lock", "instance", "notify"] {
        comes(&directory.join(file));
    }
    assert_eq!(engine.pids("s"), before);
    engine.ok(&["scale", "s=3"]);
    assert!(engine.log().contains("was removed and is made again"), "{}", engine.log());
    assert_eq!(engine.down(), 0);
    assert!(!directory.join("control.sock").exists());
}

#[test]
fn an_engine_that_lives_is_never_taken_for_a_leftover() {
    let mut engine = Engine::up(EVERCREW, SLEEP);
    let before = engine.pids("s");
    let (supervisor, lock) = (engine.supervisor(), engine.home().join(".evercrew/lock"));
    supervisor.signal(Signal::Stop);
    assert!(supervisor.stopped_within(SOON));
    std::fs::remove_file(&lock).expect("remove");
    let pid = supervisor.pid.to_string();
    // On another network nothing is left that tells of the first one but the processes themselves.
    for wrapper in [&[][..], &["unshare", "--net"]] {
        let second = engine.run_under(wrapper, &["up"]);
        if !wrapper.is_empty() && second.stderr.contains("unshare") {
            println!("SKIP network namespaces are not permitted");
            continue;
        }
        assert_eq!(second.code, 69, "{wrapper:?}: {}", second.stderr);
        assert!(second.stderr.contains(&pid), "{wrapper:?}: {}", second.stderr);
        let _ = std::fs::remove_file(&lock);
    }
    supervisor.signal(Signal::Cont);
    comes(&lock);
    assert_eq!(engine.pids("s"), before, "nobody was killed");
    assert_eq!(engine.down(), 0);
}

/// As a release is switched: the engine stays where it was, and goes on starting workers there.
#[test]
fn a_link_on_the_way_to_the_directory_may_lead_elsewhere() {
    let engine = Engine::new(
        EVERCREW,
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\nworkers = 2\n",
    );
    let [one, two, current] = ["one", "two", "current"].map(|name| engine.home().join(name));
    for directory in [&one, &two] {
        std::fs::create_dir(directory).expect("make a directory");
    }
    std::os::unix::fs::symlink(&one, &current).expect("link it");
    let mut engine = engine.with("EVERCREW_DIRECTORY", current.to_str().expect("text"));
    engine.start();
    engine.ready();
    std::fs::remove_file(&current).expect("unlink it");
    std::os::unix::fs::symlink(&two, &current).expect("link the other");
    let there = one.to_str().expect("text");
    for words in [&["restart", "web"][..], &["reload"], &["restart", "web"], &["wait", "--ready"]] {
        let output = engine.run(&[&["--directory", there], words].concat());
        assert_eq!(output.code, 0, "{words:?}: {}", output.stderr);
    }
    assert_eq!(engine.run(&["--directory", there, "down"]).code, 0);
    assert_eq!(engine.wait(std::time::Duration::from_secs(20)), 0);
    assert_eq!(
        std::fs::read_dir(&two).expect("list it").count(),
        0,
        "nothing was written where the link leads by then"
    );
    assert!(!one.join("control.sock").exists());
}
