//! `engine.pid_file`: whole, ours, one engine's at a time.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::{Engine, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

fn configuration(pid_file: &Path) -> String {
    format!("[engine]\npid_file = {pid_file:?}\n[service.s]\ncommand = [\"sleep\", \"1000\"]\n")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn it_is_there_while_the_engine_runs_comes_back_and_goes_with_it() {
    let mut engine = Engine::new(EVERCREW, "");
    let path = engine.home().join("e.pid");
    engine.configure(&configuration(&path));
    std::fs::write(&path, "4194305\n").expect("a stale one");
    engine.start();
    engine.ready();
    let own = format!("{}\n", engine.supervisor().pid);
    assert_eq!(read(&path), own);
    assert_eq!(std::fs::metadata(&path).expect("stat").permissions().mode() & 0o777, 0o644);
    std::fs::remove_file(&path).expect("remove");
    let until = Instant::now() + SOON;
    while read(&path) != own {
        assert!(Instant::now() < until, "it does not come back");
        std::thread::yield_now();
    }
    assert_eq!(engine.down(), 0);
    assert!(!path.exists());
    // One that a kill left behind, whose pid is now that of something that lives, is told from a live engine's.
    engine.start();
    engine.ready();
    let (supervisor, manager) = (engine.supervisor(), engine.manager());
    supervisor.signal(Signal::Kill);
    assert!(manager.gone_within(SOON));
    engine.wait(SOON);
    assert!(path.exists(), "nobody was left to remove it");
    engine.start();
    engine.ready();
    let other = format!("{}\n", std::process::id());
    std::fs::remove_file(&path).expect("remove");
    let _ = std::fs::write(&path, &other);
    let taken = read(&path) == other;
    assert_eq!(engine.down(), 0);
    assert!(!taken || read(&path) == other, "what is not ours stays");
    if taken {
        let refused = engine.run(&["up"]);
        assert_eq!(refused.code, 69, "{}", refused.stderr);
        assert!(refused.stderr.contains(&std::process::id().to_string()), "{}", refused.stderr);
    }
}

#[test]
fn of_two_that_start_at_once_one_gets_it() {
    for round in 0..volume(20) {
        let (mut one, mut two) = (Engine::new(EVERCREW, ""), Engine::new(EVERCREW, ""));
        let shared = one.home().to_owned();
        let (path, directory) = (shared.join("e.pid"), shared.join("engine"));
        std::fs::write(&path, "4194305\n").expect("a stale one");
        // In one directory, or in two that share the file alone.
        let (first, second) = (&mut one, &mut two);
        for engine in [&mut *first, &mut *second] {
            engine.configure(&configuration(&path));
            if round % 2 == 0 {
                let text =
                    configuration(&path).replace("[engine]\n", &format!("[engine]\ndirectory = {directory:?}\n"));
                engine.configure(&text);
            }
            engine.start();
        }
        let (a, b) = (first.supervisor(), second.supervisor());
        let until = Instant::now() + SOON;
        while a.lives() && b.lives() {
            assert!(Instant::now() < until, "both run: {}\n{}", first.log(), second.log());
            std::thread::yield_now();
        }
        let (winner, loser) = if a.lives() { (first, second) } else { (second, first) };
        assert_eq!(loser.wait(SOON), 69, "{}", loser.log());
        winner.ready();
        assert_eq!(read(&path), format!("{}\n", winner.supervisor().pid));
        assert_eq!(winner.down(), 0);
    }
}
