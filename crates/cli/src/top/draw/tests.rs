use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use serde_json::json;

use super::*;
use crate::top::model::Input;

fn model() -> Model {
    let worker = |name: &str, generation: u64, state: &str, pid: Option<u32>| {
        json!({"name": name, "generation": generation, "revision": 2, "state": state, "pid": pid, "restarts": 3,
            "uptime_seconds": pid.map(|_| 61.5), "memory_bytes": pid.map(|_| 52_428_800), "cpu_percent": pid.map(|_| 12.5),
            "last_exit": {"code": null, "signal": "SIGKILL", "reason": "heartbeat"}})
    };
    let document = json!({"version": "0.1.0", "directory": "/srv/.evercrew", "logs": "/srv/logs", "revision": 7,
        "supervisor": {"pid": 100}, "manager": {"pid": 101, "generation": 2}, "services": [
        {"name": "web", "state": "degraded", "wanted": 2, "ready": 1, "rolling": true, "revision": 2,
         "rollout": {"done": 1, "total": 2, "paused": true},
         "workers": [worker("web.1", 2, "ready", Some(110)), worker("web.2", 1, "backoff", None)]},
        {"name": "mail", "state": "ready", "wanted": 1, "ready": 1, "rolling": false, "revision": 1, "rollout": null,
         "workers": [worker("mail.1", 1, "ready", Some(120))]}]});
    let event = |seq: u64, kind: &str, reason: &str| json!({"seq": seq, "at": "2026-01-01T00:00:01.000Z", "kind": kind, "worker": "web.1", "reason": reason});
    let mut model = Model::default();
    model.take(Input::Events(vec![event(7, "worker.exit", "heartbeat"), event(8, "worker.exit", "rollout")]));
    model.take(Input::Status { document, minute_ago: "2026-01-01T00:00:00.000Z".to_owned() });
    model
}

fn picture(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, false)).expect("a picture");
    terminal.backend().to_string()
}

#[test]
fn a_wide_terminal() {
    insta::assert_snapshot!(picture(&model(), 110, 20));
}

#[test]
fn a_terminal_of_eighty_columns_that_asks() {
    let mut model = model();
    for key in [KeyCode::Down, KeyCode::Char('r')] {
        model.take(Input::Key(key));
    }
    insta::assert_snapshot!(picture(&model, 80, 14));
}

#[test]
fn the_smallest_terminal_without_a_connection() {
    let mut model = model();
    model.take(Input::Broken("no engine runs in /srv/.evercrew".to_owned()));
    insta::assert_snapshot!(picture(&model, 40, 8));
}

#[test]
fn the_pane_of_logs_keeps_the_last_lines_and_what_could_command_a_terminal_is_not_drawn() {
    let mut model = model();
    model.take(Input::Key(KeyCode::Char('l')));
    model.take(Input::Lines((0..50).map(|number| format!("line {number} \x1b[2J")).collect()));
    let picture = picture(&model, 80, 24);
    assert!(picture.contains("log of web") && picture.contains("line 49") && !picture.contains("line 5 "), "{picture}");
    assert!(!picture.contains('\x1b'), "{picture}");
}

#[test]
fn the_keys_are_explained() {
    let mut model = model();
    model.take(Input::Key(KeyCode::Char('?')));
    insta::assert_snapshot!(picture(&model, 80, 18));
}

#[test]
fn every_size_is_drawn_and_one_that_is_too_small_says_so() {
    let mut model = model();
    model.take(Input::Key(KeyCode::Char('?')));
    for help in [true, false] {
        for (width, height) in (1..60).flat_map(|width| (1..30).map(move |height| (width, height))) {
            picture(&model, width, height);
        }
        assert!(picture(&model, 39, 8).contains("too small"), "{help}");
        model.take(Input::Key(KeyCode::Esc));
    }
}

#[test]
fn colours_are_drawn_only_when_asked_for() {
    for color in [true, false] {
        let mut terminal = Terminal::new(TestBackend::new(100, 20)).expect("a terminal");
        terminal.draw(|frame| draw(frame, &model(), color)).expect("a picture");
        let colored = terminal.backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(colored, color);
    }
}
