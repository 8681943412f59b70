//! The table of a worker's life is documentation, written by the code: `docs/reference/worker-phases.md`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::fleet::phase::{End, Input, Stage, Verdict, verdict};
use crate::fleet::{ExitStatus, StopReason};

const STAGES: [Stage; 6] =
    [Stage::Spawning, Stage::Booting, Stage::Ready, Stage::Draining, Stage::Stopping, Stage::Killed];

const INPUTS: [Input; 13] = [
    Input::Spawned,
    Input::SpawnFailed { transient: false },
    Input::Ready,
    Input::Beat,
    Input::Extend(Duration::ZERO),
    Input::Stopping,
    Input::Outgrown,
    Input::Exited(ExitStatus::Code(0)),
    Input::Lost,
    Input::Unsignalled,
    Input::Deadline,
    Input::Leave(StopReason::Stop),
    Input::Kill(StopReason::Stop),
];

fn stage(stage: Stage) -> (&'static str, &'static str, &'static str) {
    match stage {
        Stage::Spawning => ("spawning", "starting", "asked for; no answer yet"),
        Stage::Booting => ("booting", "starting", "its program runs and is not ready"),
        Stage::Ready => ("ready", "ready", "it can work; it owes beats where the service has a heartbeat"),
        Stage::Draining => ("draining", "draining", "in the first step of a stop, or it said by itself that it ends"),
        Stage::Stopping => ("stopping", "stopping", "past the first step of its stop"),
        Stage::Killed => ("killed", "stopping", "KILL was sent to its group; only its exit is awaited"),
    }
}

fn input(input: Input) -> (&'static str, &'static str) {
    match input {
        Input::Spawned => ("spawned", "exec succeeded"),
        Input::SpawnFailed { .. } => ("spawn failed", "no process came of it"),
        Input::Ready => ("ready", "it said that it can work"),
        Input::Beat => ("beat", "a sign of life"),
        Input::Extend(_) => ("extend", "it asked for more time, at most an hour at once"),
        Input::Stopping => ("stopping", "it said by itself that it ends"),
        Input::Outgrown => ("outgrown", "it uses more memory than it may"),
        Input::Exited(_) => ("exited", "its process ended"),
        Input::Lost => ("lost", "after a crash of the manager: no such process was ever made or is left"),
        Input::Unsignalled => ("unsignalled", "after a crash of the manager: its last signal never went out"),
        Input::Deadline => ("deadline", "the earliest moment that it waits for"),
        Input::Leave(_) => ("leave", "the engine asks it to go: stop, scale, rollout, recycle"),
        Input::Kill(_) => ("kill", "an immediate stop"),
    }
}

fn cell(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Ignore => ("·", "nothing"),
        Verdict::Boot => ("boot", "the ready timeout begins; with `ready = \"exec\"` it is ready"),
        Verdict::Note => ("note", "the moment of the exec is written down"),
        Verdict::Serve => ("serve", "it is ready; on trial, its settling time begins"),
        Verdict::Beat => ("beat", "the next beat is due one timeout later"),
        Verdict::Extend(_) => ("extend", "the present deadline comes later, never earlier"),
        Verdict::Bow => {
            ("bow", "it drains without a signal; where every exit is followed by a start, its slot is filled anew")
        }
        Verdict::Age => ("age", "it is replaced, replacement first"),
        Verdict::Gone(End::Stillborn { .. } | End::Exited(_) | End::Doomed) => {
            ("gone", "it is forgotten; unless it was asked to go, its slot backs off, fails or finishes")
        }
        Verdict::Forget => ("forget", "as if it had never been asked for: nothing counts"),
        Verdict::Resend => ("resend", "its last signal is sent again"),
        Verdict::TimeOut => ("time out", "KILL to its group; counted as a failure; its slot is filled anew"),
        Verdict::Due => (
            "due",
            "silent: the heartbeat's signal, and its slot is filled anew; settled: it takes the slot; old: it is replaced",
        ),
        Verdict::Climb => ("climb", "the step's signal again, the next step, or KILL to its group"),
        Verdict::Drain(_) => {
            ("drain", "the first step of the stop ladder; one that was told before only loses its slot")
        }
        Verdict::Kill(_) => ("kill", "KILL to its group at once"),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# A worker's phases\n\nGenerated from `core::fleet` by its tests; `EVERCREW_BLESS=1 cargo test -p evercrew-core phases` writes it anew.\n\n\
         What happens to a worker (row) in each phase (column). The second table says what the words mean.\n\n|",
    );
    for column in STAGES {
        let _ = write!(page, " | {}", stage(column).0);
    }
    let _ = writeln!(page, " |\n|---|{}", "---|".repeat(STAGES.len()));
    let mut words: Vec<(&str, &str)> = Vec::new();
    for row in INPUTS {
        let _ = write!(page, "| **{}**", input(row).0);
        for column in STAGES {
            let word = cell(verdict(column, row));
            let _ = write!(page, " | {}", word.0);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        page.push_str(" |\n");
    }
    page.push_str("\n| what follows | meaning |\n|---|---|\n");
    words.sort_unstable();
    for (word, meaning) in words {
        let _ = writeln!(page, "| {word} | {meaning} |");
    }
    page.push_str("\n| what happens | meaning |\n|---|---|\n");
    for row in INPUTS {
        let (name, meaning) = input(row);
        let _ = writeln!(page, "| {name} | {meaning} |");
    }
    page.push_str("\n| phase | shown as | meaning |\n|---|---|---|\n");
    for column in STAGES {
        let (name, shown, meaning) = stage(column);
        let _ = writeln!(page, "| {name} | {shown} | {meaning} |");
    }
    page
}

#[test]
fn the_reference_page_is_what_the_code_does() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/worker-phases.md");
    let page = page();
    if std::env::var_os("EVERCREW_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("the folder can be made");
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is out of date: run the test with EVERCREW_BLESS=1", path.display());
}

#[test]
fn a_process_that_is_gone_is_gone_in_every_phase() {
    for stage in STAGES {
        let end = End::Exited(ExitStatus::Code(0));
        assert_eq!(verdict(stage, Input::Exited(ExitStatus::Code(0))), Verdict::Gone(end));
        assert_eq!(verdict(stage, Input::Lost), Verdict::Forget);
    }
}
