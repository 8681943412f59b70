//! The live view, on a real terminal and without one.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use serde_json::Value;

use crate::EVERCREW;

const PATIENCE: Duration = Duration::from_secs(60);
const SPEAKER: &str = "[service.web]\ncommand = [\"sh\", \"-c\", \"echo it speaks; exec sleep 1000\"]\n";

/// `top` in a terminal of its own, under a shell that tells how it ended and in which state it left the terminal.
struct View {
    script: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl View {
    /// `None` where no terminal can be had.
    fn open(engine: &Engine) -> Option<Self> {
        let file = engine.home().join("evercrew.toml");
        let words = format!(
            "stty rows 24 cols 100; {EVERCREW} -c {} top; echo \"ended with $?\"; stty -a; echo that is all",
            file.display()
        );
        let mut command = Command::new("script");
        command.args(["-qfc", &words, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
        let mut script = match command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
            Ok(script) => script,
            Err(error) => {
                println!("SKIP no `script`: {error}");
                return None;
            }
        };
        let (keys, mut screen) = (script.stdin.take().expect("keys"), script.stdout.take().expect("a screen"));
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Self { script, keys, output, seen: String::new() })
    }

    /// Waits until this is written; what was before it is forgotten.
    fn sees(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("never seen: {text:?} ({error}): {:?}", self.seen),
            }
        }
    }

    /// Waits until this is on the screen. Only what changes is written, so the whole is asked for again and again.
    fn shows(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            self.seen.clear();
            self.types("\x0c");
            let drawn = Instant::now() + Duration::from_millis(500);
            while let Ok(bytes) = self.output.recv_timeout(drawn.saturating_duration_since(Instant::now())) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
                if shown(&self.seen).contains(text) {
                    return;
                }
            }
            assert!(Instant::now() < until, "never shown: {text:?}: {:?}", self.seen);
        }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("type");
    }

    fn process(&self) -> Process {
        let mut line = vec![self.script.id()];
        while let Some(pid) = line.pop() {
            let process = Process::open(pid);
            if process.title().contains(EVERCREW) && !process.title().contains("stty") {
                return process;
            }
            line.extend(process.children());
        }
        panic!("it does not run");
    }

    /// Another size, of which the kernel tells with a signal: everything is drawn anew.
    fn resize(&self, rows: u16, columns: u16) {
        let terminal = std::fs::read_link(format!("/proc/{}/fd/0", self.process().pid)).expect("a terminal");
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(terminal).args(["rows", &rows.to_string(), "cols", &columns.to_string()]);
        assert!(stty.status().expect("run stty").success());
    }

    fn ends_with(&mut self, code: u8) {
        self.sees("\x1b[?1049l");
        self.sees(&format!("ended with {code}"));
        self.sees("that is all");
        self.script.wait().expect("reap");
    }
}

/// What such output shows, without colours; a move of the cursor stands for what is between.
fn shown(output: &str) -> String {
    let mut shown = String::new();
    let mut rest = output;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        shown.push_str(before);
        let end = after.find(|character: char| character.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
        if after[..end].ends_with('H') {
            shown.push(' ');
        }
        rest = &after[end..];
    }
    shown + rest
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn a_person_watches_and_acts_and_the_terminal_comes_back() {
    let mut engine = Engine::up(EVERCREW, SPEAKER);
    let mut events = engine.events(1);
    let Some(mut view) = View::open(&engine) else { return };
    view.sees("\x1b[?1049h");
    view.sees("web.1");
    view.types("+");
    view.shows("up by one?");
    view.types("n");
    view.types("+y");
    events.worker("worker.ready", "web.2", PATIENCE);
    view.types("l");
    view.resize(40, 120);
    view.shows("log of web");
    view.shows("it speaks");
    view.resize(5, 20);
    view.shows("too small");
    view.resize(24, 100);
    view.shows("web.2");
    engine.manager().signal(Signal::Kill);
    view.types("-y");
    // Nobody may have heard that; what counts is that the view is there afterwards.
    view.shows("generation 2");
    assert_eq!(engine.down(), 0);
    view.shows("NOT CONNECTED");
    engine.start();
    engine.ready();
    view.shows(&format!("supervisor {}  manager", engine.supervisor().pid));
    view.types("q");
    view.ends_with(0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_signal_and_a_lost_terminal_end_it() {
    let mut engine = Engine::up(EVERCREW, SPEAKER);
    let Some(mut view) = View::open(&engine) else { return };
    view.sees("web.1");
    view.process().signal(Signal::Term);
    view.sees("\x1b[?1049l");
    view.sees("ended with 143");
    view.sees(" icanon");
    view.sees("that is all");
    let Some(mut view) = View::open(&engine) else { return };
    view.sees("web.1");
    let process = view.process();
    view.script.kill().expect("take the terminal away");
    assert!(process.gone_within(PATIENCE), "it goes on without a terminal");
    assert_eq!(engine.down(), 0);
}

#[test]
fn without_a_terminal_it_is_one_picture() {
    let mut engine = Engine::new(EVERCREW, SPEAKER);
    assert_eq!(engine.run(&["top"]).code, 69);
    engine.start();
    engine.ready();
    for arguments in [&["top"][..], &["top", "--once"]] {
        let told = engine.ok(arguments).stdout;
        assert!(told.contains("web.1") && told.contains("restarts") && told.contains("service.ready"), "{told}");
        assert!(!told.contains('\x1b'), "{told}");
    }
    let told: Value = serde_json::from_str(&engine.ok(&["top", "--json"]).stdout).expect("JSON");
    assert_eq!(told["status"]["services"][0]["name"], "web");
    assert_eq!(told["rates"]["restarts_per_minute"], 0);
    assert!(told["events"].as_array().is_some_and(|events| !events.is_empty()), "{told}");
    assert_eq!(engine.down(), 0);
}
