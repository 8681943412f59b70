use serde_json::json;

use super::*;

const AGO: &str = "2026-01-01T00:00:00.000Z";

fn worker(name: &str, generation: u64, state: &str) -> Value {
    json!({"name": name, "generation": generation, "revision": 1, "state": state, "pid": 10, "restarts": 0, "last_exit": null})
}

fn document() -> Value {
    json!({"version": "0.1.0", "logs": "/srv/logs", "supervisor": {"pid": 1}, "services": [
        {"name": "web", "state": "ready", "wanted": 2, "ready": 2, "rolling": true, "revision": 2,
         "rollout": {"done": 1, "total": 2, "paused": false},
         "workers": [worker("web.1", 1, "draining"), worker("web.1", 2, "ready"), worker("web.2", 1, "ready")]},
        {"name": "mail", "state": "stopped", "wanted": 1, "ready": 0, "rolling": false, "revision": 1, "rollout": null,
         "workers": [worker("mail.1", 1, "stopped")]}]})
}

fn status(document: Value) -> Input {
    Input::Status { document, minute_ago: AGO.to_owned() }
}

fn model() -> Model {
    let mut model = Model::default();
    model.take(status(document()));
    model
}

fn keys(model: &mut Model, keys: &str) -> Vec<Effect> {
    let key = |letter| match letter {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        '\x08' => KeyCode::Backspace,
        'v' => KeyCode::Down,
        '^' => KeyCode::Up,
        letter => KeyCode::Char(letter),
    };
    let effects = keys.chars().map(|letter| model.take(Input::Key(key(letter))));
    effects.filter(|effect| *effect != Effect::Nothing).collect()
}

fn names(model: &Model) -> Vec<String> {
    model.rows().into_iter().map(|row| row.name).collect()
}

fn cursor(model: &Model) -> Option<String> {
    let rows = model.rows();
    model.selected(&rows).map(|at| format!("{} {:?}", rows[at].name, rows[at].generation))
}

#[test]
fn what_changes_something_is_asked_for_once_more() {
    let ask = |order| vec![Effect::Ask(order)];
    let web = || "web".to_owned();
    for (typed, wanted) in [
        ("ry", ask(Order::Restart(web()))),
        ("vry", ask(Order::Restart("web.1".to_owned()))),
        ("rn", vec![]),
        ("r\n", vec![]),
        ("r\x1b", vec![]),
        ("rq", vec![]),
        ("sy", ask(Order::Stop(web()))),
        ("vsy", ask(Order::Stop(web()))),
        ("vvvvsy", ask(Order::Start("mail".to_owned()))),
        ("+y", ask(Order::More(web()))),
        ("vvv-y", ask(Order::Fewer(web()))),
        ("kUSR1\n", ask(Order::Signal { name: web(), signal: "USR1".to_owned() })),
        ("vkUSX\x081\n", ask(Order::Signal { name: "web.1".to_owned(), signal: "US1".to_owned() })),
        ("k\n", vec![]),
        ("kTERM\x1b", vec![]),
        ("y", vec![]),
        ("?q", vec![]),
        ("q", vec![Effect::Quit]),
        ("/q", vec![]),
    ] {
        assert_eq!(keys(&mut model(), typed), wanted, "{typed:?}");
    }
    assert_eq!(model().take(Input::Interrupted), Effect::Quit);
}

#[test]
fn nothing_is_asked_of_an_engine_that_does_not_answer_and_no_more_than_it_can_bear() {
    let mut model = model();
    model.take(Input::Broken("gone".to_owned()));
    assert_eq!(keys(&mut model, "r"), []);
    assert!(model.said.as_ref().is_some_and(|said| !said.good), "{:?}", model.said);
    model.take(status(document()));
    assert_eq!(model.broken, None);
    for _ in 0..UNDER_WAY {
        assert_eq!(keys(&mut model, "+y").len(), 1);
    }
    assert_eq!(keys(&mut model, "+y"), []);
    model.take(Input::Answered(Err("scale web up by one: no".to_owned())));
    assert_eq!(
        model.said.as_ref().map(|said| (said.text.as_str(), said.good)),
        Some(("scale web up by one: no", false))
    );
    assert_eq!(keys(&mut model, "+y").len(), 1);
    let mut empty = Model::default();
    assert_eq!(keys(&mut empty, "ry+ys"), [], "there is nothing to select");
}

#[test]
fn the_cursor_stays_with_what_it_is_on_and_on_its_line_when_that_goes() {
    let mut model = model();
    assert_eq!(cursor(&model).as_deref(), Some("web None"));
    keys(&mut model, "^vv");
    assert_eq!(cursor(&model).as_deref(), Some("web.1 Some(2)"));
    let mut fewer = document();
    fewer["services"][0]["workers"] = json!([worker("web.1", 2, "ready"), worker("web.2", 1, "ready")]);
    model.take(status(fewer.clone()));
    assert_eq!(cursor(&model).as_deref(), Some("web.1 Some(2)"));
    fewer["services"][0]["workers"] = json!([worker("web.2", 1, "ready")]);
    model.take(status(fewer));
    assert_eq!(cursor(&model).as_deref(), Some("web.2 Some(1)"));
    keys(&mut model, "vvvvvvvv");
    assert_eq!(cursor(&model).as_deref(), Some("mail.1 Some(1)"));
    model.take(status(json!({"services": []})));
    assert_eq!(cursor(&model), None);
}

#[test]
fn a_filter_shows_services_with_all_workers_and_workers_with_their_service() {
    let mut model = model();
    keys(&mut model, "/mail");
    assert_eq!(names(&model), ["mail", "mail.1"]);
    assert_eq!(cursor(&model).as_deref(), Some("mail None"));
    keys(&mut model, "\n/\x08\x08\x08\x08web.2\n");
    assert_eq!(names(&model), ["web", "web.2"]);
    keys(&mut model, "/zzz\n");
    assert!(names(&model).is_empty());
    keys(&mut model, "\x1b");
    assert_eq!(names(&model).len(), 6);
    keys(&mut model, &format!("/{}", "x".repeat(1000)));
    assert_eq!(model.filter.len(), TYPED);
}

#[test]
fn log_lines_are_read_of_what_is_selected_while_they_are_shown() {
    let mut model = model();
    assert_eq!(model.wanted_lines(), None);
    keys(&mut model, "vl");
    assert_eq!(model.wanted_lines(), Some((PathBuf::from("/srv/logs"), "web.1".to_owned())));
    keys(&mut model, "^");
    assert_eq!(model.wanted_lines().map(|(_, name)| name).as_deref(), Some("web"));
    keys(&mut model, "l");
    assert_eq!(model.wanted_lines(), None);
}

#[test]
fn events_are_bounded_and_another_engine_s_begin_anew() {
    let mut model = model();
    let event = |seq: usize| json!({"seq": seq, "kind": "worker.ready", "at": "2026-01-01T00:00:01.000Z"});
    model.take(Input::Events((0..EVENTS + 10).map(event).collect()));
    assert_eq!((model.events.len(), model.events[0]["seq"].as_u64()), (EVENTS, Some(10)));
    model.take(status(document()));
    assert_eq!(model.rates.events, EVENTS);
    model.take(Input::Renewed);
    assert!(model.events.is_empty());
}
