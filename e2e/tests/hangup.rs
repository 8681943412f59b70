//! Terminals that are closed under an engine: with a real terminal and a real shell.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, volume};
use evercrew_sys::terminal;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);
const SLEEP: &str = "[service.s]\ncommand = [\"sleep\", \"1000\"]\n";

/// A shell on a terminal of its own.
struct Shell {
    keyboard: File,
    shell: Child,
}

impl Shell {
    fn new() -> Option<Self> {
        let (master, slave) = terminal::pseudo().ok()?;
        let slave = File::from(slave);
        let shell = Command::new("setsid")
            .args(["--ctty", "--wait", "bash", "--norc", "--noprofile", "-i"])
            .stdin(slave.try_clone().ok()?)
            .stdout(Stdio::null())
            .stderr(slave)
            .spawn()
            .ok()?;
        Some(Self { keyboard: File::from(master), shell })
    }

    fn types(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("type");
    }

    fn close(mut self) {
        drop(self.keyboard);
        self.shell.wait().expect("the shell ends with its terminal");
    }
}

fn up(engine: &Engine, before: &str, after: &str) -> String {
    let (home, file) = (engine.home().display(), engine.home().join("evercrew.toml"));
    format!("{before} {EVERCREW} -c {} up >{home}/up.log 2>&1 {after}", file.display())
}

fn supervisor(engine: &Engine) -> Process {
    let lock = std::fs::read_to_string(engine.home().join(".evercrew/lock")).expect("the lock");
    Process::open(lock.trim().parse().expect("a pid"))
}

#[test]
fn a_closed_terminal_stops_the_engine_and_a_signal_by_hand_does_not() {
    for round in 0..volume(15).max(3) {
        let engine = Engine::new(EVERCREW, SLEEP);
        let Some(mut shell) = Shell::new() else { return println!("SKIP no pseudo terminal, setsid or bash") };
        shell.types(&up(&engine, "", if round % 2 == 0 { "&" } else { "" }));
        engine.ready();
        let supervisor = supervisor(&engine);
        if round % 3 == 0 {
            supervisor.signal(Signal::Hup);
            engine.ok(&["status"]);
        }
        shell.close();
        assert!(supervisor.gone_within(SOON), "round {round}: it outlived its terminal");
        assert!(engine.nothing_left_within(SOON), "round {round}: {:?}", engine.processes());
    }
}

/// A terminal signals a job in the background that writes to it or reads from it: no order to the engine.
#[test]
fn in_the_background_of_a_terminal_that_stops_writers_nothing_scales_and_nothing_stops() {
    let engine = Engine::new(
        EVERCREW,
        "[service.s]\ncommand = [\"sh\", \"-c\", \"while echo x; do sleep 0.01; done\"]\nworkers = 2\n",
    );
    let Some(mut shell) = Shell::new() else { return println!("SKIP no pseudo terminal, setsid or bash") };
    shell.types("stty tostop");
    shell.types(&format!("{EVERCREW} -c {} up &", engine.home().join("evercrew.toml").display()));
    engine.ready();
    for _ in 0..volume(100) {
        engine.ok(&["restart", "s", "--now"]);
    }
    let status = engine.status();
    assert_eq!((&status["services"][0]["wanted"], &status["services"][0]["ready"]), (&2.into(), &2.into()));
    let heard = engine.ok(&["events", "--kind", "engine.signal"]).stdout;
    assert!(!heard.contains("one worker"), "{heard}");
    engine.ok(&["down"]);
    shell.close();
}

#[test]
fn an_engine_that_was_told_to_go_on_without_a_terminal_does() {
    let engine = Engine::new(EVERCREW, SLEEP);
    let Some(mut shell) = Shell::new() else { return println!("SKIP no pseudo terminal, setsid or bash") };
    shell.types(&up(&engine, "nohup", "&"));
    engine.ready();
    let supervisor = supervisor(&engine);
    shell.close();
    let status = engine.status();
    assert_eq!(status["supervisor"]["pid"], supervisor.pid);
    assert!(supervisor.lives());
    engine.ok(&["down"]);
    assert!(supervisor.gone_within(SOON));
}
