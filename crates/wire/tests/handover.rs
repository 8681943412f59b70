//! Golden files of what one manager hands on to the next: what a released version wrote is still understood.

mod support;

use evercrew_wire::Text;
use evercrew_wire::command_pipe::Measure;
use evercrew_wire::control::{Reply, ReplyStatus};
use evercrew_wire::deposit::Refused;
use evercrew_wire::handover::{
    Ask, Audited, Client, Count, Figure, Figures, Following, Goal, Handover, Outcome, Strategy, Task, VERSION, Waiting,
    Worker,
};
use evercrew_wire::supervisor::{Inventory, Numbered, Purpose, ToManager, ToSupervisor};
use serde_json::json;
use support::golden;

fn client() -> Client {
    let goals = [
        Goal::Ready(vec![1]),
        Goal::Scaled(vec![(1, 2)]),
        Goal::Replaced { open: vec![(1, None), (2, Some(3))], none: vec![4] },
        Goal::Stopped(vec![1]),
        Goal::Settled {
            number: 1,
            rolling: vec![2],
            ready: vec![3],
            gone: vec![4],
            stopped: vec!["why".into()],
            content: json!({"a": 1}),
        },
        Goal::Upgraded,
    ];
    Client {
        id: 7,
        incoming: Text(b"{\"id\":\"1".to_vec()),
        outgoing: Text(vec![0xff, b'\n']),
        refused: Some(Reply::new("", ReplyStatus::Failure, "too long")),
        ended: true,
        audited: vec![Audited { request: "1".into(), verb: "scale".into(), args: "{}".into(), began: 2 }],
        waiting: goals.map(|goal| Waiting { request: "2".into(), goal, deadline: Some(3) }).to_vec(),
        following: vec![Following {
            request: "3".into(),
            next: 4,
            services: vec!["web".into()],
            kinds: vec!["worker".into()],
            heartbeats: true,
        }],
    }
}

fn figures() -> Figures {
    let figure = |past, live| Figure {
        service: "web".into(),
        name: "done_total".into(),
        labels: [("kind".to_owned(), "x".to_owned())].into(),
        help: "what it is".into(),
        past,
        live: vec![(1, live)],
    };
    let histogram = || Measure::Histogram { buckets: vec![(0.5, 1)], sum: 0.25, count: 1 };
    Figures {
        series: vec![
            figure(Some(Measure::Counter { value: 1.0 }), Measure::Counter { value: 2.0 }),
            figure(None, Measure::Gauge { value: 3.0, merge: Some("max".into()) }),
        ],
        commands: vec![("status".into(), 4)],
        disregarded: vec![("late".into(), 8)],
        exits: vec![Count { service: "web".into(), reason: "unasked".into(), count: 5 }],
        refused: vec![Count { service: "web".into(), reason: "kind".into(), count: 9 }],
        drains: vec![("web".into(), histogram())],
        lags: vec![("web".into(), histogram())],
        draining: vec![(6, 7)],
    }
}

fn task(strategy: Strategy) -> Task {
    let outcomes = [
        None,
        Some(Outcome::Ok(json!(1))),
        Some(Outcome::Failed { reason: "no".into(), content: Some(json!({})) }),
        Some(Outcome::Timeout),
        Some(Outcome::Died),
        Some(Outcome::Replaced),
        Some(Outcome::Unneeded),
    ];
    Task {
        task: 1,
        client: 7,
        request: "4".into(),
        calls: vec![("flush".into(), json!({"all": true}))],
        deadline_ms: Some(1000),
        names: vec![(1, "web.1".into())],
        missing: vec!["web.2".into()],
        began: 2,
        strategy,
        deadline: Some(3),
        streams: true,
        levels: true,
        asks: outcomes.map(|outcome| Ask { ask: 4, worker: 1, request: 0, relayed: 5, outcome }).to_vec(),
    }
}

#[test]
fn what_is_handed_on_is_written_and_read_as_ever() {
    let worker = Worker {
        worker: 1,
        status: Some("busy".into()),
        beat: Some(2),
        owed: 3,
        closed: true,
        noise: 4,
        incoming: Text(b"{\"status\"".to_vec()),
        skipping: true,
    };
    let handover = Handover {
        version: VERSION,
        clients: vec![client(), Client { id: 8, ..Client::default() }],
        last_client: 9,
        events: vec![json!({"seq": 5, "kind": "worker.ready"})],
        counts: vec![("worker.ready".into(), 6)],
        workers: vec![worker],
        figures: figures(),
        tasks: [Strategy::All, Strategy::Map, Strategy::First, Strategy::Quorum(2)].map(task).to_vec(),
        last_task: 10,
        next_ask: 11,
    };
    let bytes = handover.encode().expect("encode");
    let golden = golden("handover", &bytes);
    assert_eq!(Handover::decode(&golden).expect("decode"), handover);
    assert_eq!(golden, bytes, "its form changed: add fields with a default instead");
}

#[test]
fn one_of_another_version_is_refused_by_its_number() {
    let other = br#"{"version":2,"clients":[],"last_client":0,"events":[],"counts":[],"workers":[]}"#;
    let refused = Handover::decode(other).expect_err("another version");
    assert!(matches!(refused, Refused::Version { found: 2, known: 1 }), "{refused}");
    let newer = br#"{"version":1,"clients":[],"last_client":0,"events":[],"counts":[],"workers":[],"more":{"x":1}}"#;
    assert_eq!(Handover::decode(newer).expect("fields are only added").version, 1);
    assert!(matches!(Handover::decode(b"{"), Err(Refused::Malformed(_))));
}

#[test]
fn the_steps_of_an_upgrade_are_written_and_read_as_ever() {
    let asked = [
        ToSupervisor::Upgrade { patience_ms: 60_000 },
        ToSupervisor::Ready,
        ToSupervisor::Connections,
        ToSupervisor::Left,
        ToSupervisor::Kept { reason: "why".into() },
        ToSupervisor::Applied,
    ];
    let inventory = |purpose, returned| Inventory {
        version: 1,
        supervisor: 2,
        generation: 3,
        last_words: String::new(),
        state: true,
        poisoned: false,
        purpose,
        returned,
        nofile: (1024, 4096),
        highest_worker: 7,
        cgroups: Vec::new(),
        wishes: None,
        above: None,
        inherited: Vec::new(),
    };
    let told = [
        ToManager::Inventory(inventory(Purpose::Trial, None)),
        ToManager::Inventory(inventory(Purpose::Handover, None)),
        ToManager::Inventory(inventory(Purpose::Work, Some("SIGSEGV".into()))),
        ToManager::Freeze,
        ToManager::GoOn { reason: "it ended".into(), words: "cannot".into() },
        ToManager::Connections,
        ToManager::Commit,
    ];
    let numbered: Vec<Numbered> = (1..).zip(told).map(|(n, record)| Numbered { n, record }).collect();
    let lines: Vec<Vec<u8>> = asked
        .iter()
        .map(|record| record.encode().expect("encode"))
        .chain(numbered.iter().map(|record| record.encode().expect("encode")))
        .collect();
    let golden = golden("upgrade", &lines.join(&b'\n'));
    let mut read = golden.split(|byte| *byte == b'\n');
    for record in &asked {
        assert_eq!(&ToSupervisor::decode(read.next().expect("a line")).expect("decode"), record);
    }
    for record in &numbered {
        assert_eq!(&Numbered::decode(read.next().expect("a line")).expect("decode"), record);
    }
    assert_eq!(golden, lines.join(&b'\n'), "their form changed: add fields with a default instead");
}
