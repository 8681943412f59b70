//! Lines of warm children: those of a released version are still understood, and nothing else is taken for one.

mod support;

use std::time::Duration;

use evercrew_wire::child::{self, Answer, Job, Line, Log, Ready, Said, Status};
use proptest::prelude::*;

fn job() -> Job<'static> {
    Job {
        id: "j\"1",
        payload: "{\"jid\":\"j1\",\n  \"args\":[\"a\\nb\", 12345678901234567890]}",
        kind: "Email",
        attempt: 2,
        queue: Some("default"),
        deadline_ms: 600_000,
        trace: None,
    }
}

#[test]
fn what_children_are_told_is_written_as_ever() {
    let mut lines = Vec::new();
    job().plain(&mut lines);
    job().own(&mut lines);
    Job { queue: None, trace: Some("00-4bf9-01"), ..job() }.own(&mut lines);
    child::cancel(&mut lines, "j1");
    child::drain(&mut lines);
    assert!(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() == 5, "a line each");
    let golden = support::golden("child-told", &lines);
    assert_eq!(String::from_utf8_lossy(&lines), String::from_utf8_lossy(&golden));
}

fn answer(id: &str, status: Status) -> Answer<'_> {
    Answer {
        id: Some(id.into()),
        status,
        message: "".into(),
        class: "".into(),
        backtrace: None,
        retryable: None,
        result: None,
        enqueue: None,
    }
}

#[test]
fn what_children_say_is_understood_as_ever() {
    let text = include_str!("golden/v1-child-said.jsonl");
    let said: Vec<Line<'_>> = text.lines().map(|line| Line::read(line.as_bytes())).collect();
    let introduced = Ready { protocol: 1, concurrency: 8, started: true, cancel: true };
    let minute = Duration::from_millis(1500);
    let expected = [
        Said::Ready(introduced),
        Said::Ready(Ready { protocol: 1, concurrency: 1, started: false, cancel: false }),
        Said::Answer(answer("j1", Status::Ok)),
        Said::Answer(Answer { message: "no such user".into(), ..answer("j1", Status::Error) }),
        Said::Answer(answer("j1", Status::Throttled(Some(Duration::from_secs(30))))),
        Said::Answer(answer("j1", Status::Throttled(Some(minute)))),
        Said::Answer(answer("j1", Status::Throttled(None))),
        Said::Answer(Answer { id: None, ..answer("", Status::Ok) }),
        Said::Answer(answer("17", Status::Ok)),
        Said::Answer(Answer {
            result: Some(r#"{"rows":[1, 2]}"#),
            enqueue: Some(r#"[{"jobtype":"Next","args":[]}]"#),
            ..answer("j1", Status::Ok)
        }),
        Said::Answer(Answer {
            message: "bad \"value\"".into(),
            class: "ValueError".into(),
            backtrace: Some(r#"["a.py:1","b.py:2"]"#),
            retryable: Some(false),
            ..answer("j1", Status::Error)
        }),
        Said::Answer(answer("j1", Status::Discard)),
        Said::Answer(answer("j1", Status::Unknown)),
        Said::Answer(answer("j1", Status::Cancelled)),
        Said::Answer(answer("j1", Status::Other)),
        Said::Started(Some("j1".into())),
        Said::Progress(Some("j1".into()), r#"{"id":"j1","status":"progress","done":3,"of":10}"#),
        Said::Heartbeat,
        Said::Log(Log { id: Some("j1".into()), level: "warn".into(), message: "half full".into() }),
    ];
    assert_eq!(said, expected.map(Line::Said));
}

#[test]
fn what_programs_print_is_noise() {
    let printed = [
        "",
        "   ",
        "Booting worker…",
        "[]",
        "{",
        "{}",
        "null",
        r#"{"ready":false}"#,
        r#"{"ready":1}"#,
        r#"{"message":"up"}"#,
        r#"{"id":"j1"}"#,
        r#"{"status":200}"#,
        r#"{"status":{"code":1}}"#,
        r#"{"status":"ok"} trailing"#,
        r#"{"status":"ok""#,
        r#"x{"status":"ok"}"#,
    ];
    for line in printed {
        assert_eq!(Line::read(line.as_bytes()), Line::Noise, "{line}");
    }
    assert_eq!(Line::read(b"{\"status\":\"\xff\"}"), Line::Noise);
    assert_eq!(Line::read(format!("{{\"status\":{}", "[".repeat(1_000_000)).as_bytes()), Line::Noise);
    let wrong = Line::Said(Said::Ready(Ready { protocol: 0, concurrency: 0, started: false, cancel: false }));
    assert_eq!(Line::read(br#"{"ready":true,"protocol":"x","concurrency":-1}"#), wrong);
    for odd in ["1e999", "-5", "\"x\"", "null", "1e300"] {
        let line = format!(r#"{{"status":"throttled","retry_after_secs":{odd}}}"#);
        assert!(matches!(Line::read(line.as_bytes()), Line::Said(Said::Answer(_))), "{line}");
    }
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Line::read(&bytes);
        child::next(&bytes, 0, 10);
    }

    #[test]
    fn no_change_of_a_line_does_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = include_bytes!("golden/v1-child-said.jsonl").to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        for line in text.split(|byte| *byte == b'\n') {
            Line::read(line);
        }
    }

    #[test]
    fn a_job_is_one_line_and_its_id_comes_back(id in ".*", kind in ".*") {
        let mut line = Vec::new();
        Job { id: &id, kind: &kind, ..job() }.own(&mut line);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        prop_assert_eq!(value["id"].as_str(), Some(id.as_str()));
        prop_assert_eq!(value["kind"].as_str(), Some(kind.as_str()));
        let echo = serde_json::json!({ "id": value["id"], "status": "ok" }).to_string();
        let Line::Said(Said::Answer(answer)) = Line::read(echo.as_bytes()) else { panic!("{echo}") };
        prop_assert_eq!(answer.id.as_deref(), Some(id.as_str()));
    }
}
