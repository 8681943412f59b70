//! Golden files: what a released version wrote is still understood. `EVERCREW_BLESS=1` writes those of this version.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::fleet::{
    Epoch, ExitReason, ExitStatus, Haste, Ladder, LastExit, Pace, Phase, PrologueMemory, Role, RolloutMemory,
    ServiceId, ServiceMemory, SlotMemory, Snapshot, Standing, StopReason, Trial, Wish, WorkerId, WorkerMemory,
};
use evercrew_core::{Mono, Signal};
use evercrew_wire::Text;
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use evercrew_wire::deposit::{
    Configuration, Earlier, Rollout, RolloutOutcome, ServiceWish, State, StopWish, VERSION, Wishes,
};
use evercrew_wire::logger::{FromLogger, Stream, Style, ToLogger};
use evercrew_wire::supervisor::{
    Address, Bind, Bounds, Credentials, Descriptor, Inventory, Kept, Label, NotifySocket, Numbered, Program, Purpose,
    Scope, Source, Spawn, Status, StopSignals, ToManager, ToSupervisor, Worker,
};
use support::golden;

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn worker(worker: u64, phase: Phase) -> WorkerMemory {
    WorkerMemory {
        worker: WorkerId(worker),
        generation: 2,
        epoch: Epoch(3),
        stamp: 4,
        role: Role::Incumbent,
        phase,
        since: at(5),
        started: Some(at(6)),
        ready: None,
        trial: Some(Trial::Rollout),
        aged: false,
        lot: 7,
        ending: Some(ExitReason::Asked(StopReason::Scale)),
        apart: None,
    }
}

fn slot(standing: Standing, workers: Vec<WorkerMemory>) -> SlotMemory {
    SlotMemory {
        generation: 2,
        restarts: 1,
        last_exit: Some(LastExit {
            status: Some(ExitStatus::Signal(Some(Signal::Kill))),
            reason: ExitReason::Heartbeat,
            at: at(9),
        }),
        standing,
        since: at(10),
        failures: 3,
        starts: vec![at(1), at(2)],
        tripped: false,
        fell: true,
        spared: false,
        untried: false,
        served: true,
        renew: Some(4),
        replace_after: None,
        workers,
    }
}

fn state() -> State {
    let ladder =
        Ladder { step: Some(0), told: true, ends: Some(at(11)), repeats: None, gap: Duration::from_millis(12) };
    let slots = vec![
        slot(Standing::Open, vec![worker(1, Phase::Spawning), worker(2, Phase::Booting { ready_by: at(13) })]),
        slot(
            Standing::Backoff { until: at(14) },
            vec![worker(3, Phase::Ready { heard: at(15), beat_by: Some(at(16)), settle_by: None, recycle_at: None })],
        ),
        slot(Standing::Failed { retry: None }, vec![worker(4, Phase::Draining(ladder))]),
        slot(Standing::Finished, vec![worker(5, Phase::Stopping(ladder)), worker(6, Phase::Killed)]),
    ];
    let service = ServiceMemory {
        service: ServiceId(0),
        wish: Wish::Stop(Haste::Graceful),
        scale: Some(4),
        epoch: Epoch(3),
        serving: Epoch(2),
        previous: None,
        stamp: 4,
        released: true,
        next_start: at(17),
        rollout: Some(RolloutMemory {
            epoch: Epoch(3),
            fallback: Some(Epoch(2)),
            whole: true,
            canary: Some(1),
            proved: false,
            done: 1,
            paused: false,
            pace: Pace::Gradual,
        }),
        prologue: Some(PrologueMemory {
            owed: true,
            epoch: Epoch(3),
            command: 1,
            slot: slot(Standing::Open, vec![worker(7, Phase::Booting { ready_by: at(20) })]),
        }),
        slots,
    };
    State {
        next_event: 99,
        revision: 1,
        tried: 2,
        stop_signal_at: Some(18),
        exit_code: 1,
        log: None,
        told_ready: false,
        services: vec![(0, "web".into())],
        rollouts: Vec::new(),
        fleet: Snapshot { at: at(19), next_worker: 7, shutdown: Some(Haste::Now), services: vec![service] },
    }
}

#[test]
fn the_state_deposit_is_written_and_read_as_ever() {
    let state = state();
    let bytes = state.encode().expect("encode");
    let golden = golden("state", &bytes);
    assert_eq!(String::from_utf8_lossy(&golden), String::from_utf8_lossy(&bytes), "its form changed: raise VERSION");
    assert_eq!(State::decode(&golden).expect("decode"), state);
}

/// What was added since is absent there, and means what it meant then.
#[test]
fn the_first_form_of_the_state_deposit_is_still_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-state-first.json");
    let first = std::fs::read(path).expect("read the golden file");
    let mut known = State { tried: 1, ..state() };
    // It owed nothing that runs before workers.
    known.fleet.services[0].prologue = None;
    assert_eq!(State::decode(&first).expect("decode"), known);
}

#[test]
fn a_paused_rollout_and_who_drains_beside_it_are_kept() {
    let mut state = state();
    let service = &mut state.fleet.services[0];
    service.rollout = service.rollout.map(|rollout| RolloutMemory { paused: true, pace: Pace::Detached, ..rollout });
    service.slots[2].workers[0].apart = Some(4);
    state.rollouts.push(Rollout {
        service: "web".into(),
        by: "uid 0".into(),
        began_at: 1,
        began: 2,
        lasted_ms: Some(3),
        done: 4,
        total: 5,
        outcome: RolloutOutcome::Stopped,
        reason: "unasked".into(),
        worker: Some("web.1".into()),
        words: vec!["no such module".into()],
    });
    assert_eq!(State::decode(&state.encode().expect("encode")).expect("decode"), state);
}

#[test]
fn the_operators_wishes_are_written_and_read_as_ever() {
    let stop = StopWish { now: true };
    let wish = ServiceWish { scale: Some(3), stopped: Some(stop) };
    let wishes = Wishes { version: VERSION, shutdown: Some(stop), services: [("web".to_owned(), wish)].into() };
    let text = wishes.encode().expect("encode");
    let golden = String::from_utf8(golden("wishes", text.as_bytes())).expect("text");
    assert_eq!(golden, text, "its form changed: raise VERSION");
    assert_eq!(Wishes::decode(&golden).expect("decode"), wishes);
    assert!(Wishes::decode(r#"{"version":1}"#).is_ok() && Wishes::decode(r#"{"version":2}"#).is_err());
}

#[test]
fn the_configuration_deposit_is_written_and_read_as_ever() {
    let configuration = Configuration {
        version: VERSION,
        path: Text::from("/srv/evercrew.toml"),
        text: "[engine]\n".into(),
        files: vec![(Text::from("/srv/env"), "A=b".into())],
        values: String::new(),
        set: vec!["service.web.workers=2".into()],
        environment: vec![("WEB_CONCURRENCY".into(), "2".into())],
        directory: Some(Text(vec![b'/', 0xff])),
        cpus: 2,
        instance: "abc".into(),
        watch: false,
        terminal: true,
        revision: 7,
        earlier: vec![Earlier {
            revision: 5,
            text: "[engine]\n#".into(),
            files: vec![(Text::from("/srv/env"), "A=a".into())],
            values: String::new(),
            cpus: 4,
        }],
    };
    let bytes = configuration.encode().expect("encode");
    let golden = golden("configuration", &bytes);
    assert_eq!(String::from_utf8_lossy(&golden), String::from_utf8_lossy(&bytes), "its form changed: raise VERSION");
    assert_eq!(Configuration::decode(&golden).expect("decode"), configuration);
}

#[test]
fn a_deposit_of_another_version_is_refused_by_its_number() {
    let bytes = String::from_utf8(state().encode().expect("encode")).expect("text");
    let other = bytes.replacen(r#""version":1"#, r#""version":2"#, 1);
    let refused = State::decode(other.as_bytes()).expect_err("refused").to_string();
    assert!(refused.contains('2') && refused.contains('1'), "{refused}");
    assert!(State::decode(b"{}").is_err() && State::decode(b"").is_err() && Configuration::decode(b"[1]").is_err());
}

fn label() -> Label {
    Label { name: "web.1".into(), service: "web".into(), slot: 1, generation: 2, epoch: 3 }
}

fn spawn() -> Spawn {
    let sources = [
        Source::Null,
        Source::Inherit(1),
        Source::Listener("web".into()),
        Source::Output,
        Source::Error,
        Source::Link,
        Source::Ready,
    ];
    Spawn {
        worker: 1,
        label: label(),
        program: Program::Path(Text::from("/bin/true")),
        arguments: vec![Text::from("true")],
        environment: vec![Text::from("A=b")],
        pid_variables: vec!["LISTEN_PID".into()],
        directory: Text::from("/"),
        descriptors: (0..).zip(sources).map(|(number, source)| Descriptor { number, source }).collect(),
        notify: Some(NotifySocket { path: Text::from("/run/n"), owner: Some((1, 2)) }),
        die_with_supervisor: true,
        limits: vec![("nofile".into(), 1024, 4096)],
        credentials: Some(Credentials { uid: 1, gid: 2, groups: vec![3] }),
        umask: Some(0o27),
        nice: Some(5),
        oom_score_adj: Some(-1),
        bounds: Bounds::default(),
        stop_signal: "TERM".into(),
        stop_grace_ms: 30_000,
    }
}

#[test]
fn records_to_the_supervisor_are_written_and_read_as_ever() {
    let bind = |address| Bind {
        listener: "web".into(),
        address,
        backlog: 1024,
        mode: Some(0o600),
        reuse_port: false,
        nonblocking: false,
        inherited: None,
        owner: None,
        store: None,
    };
    let records = [
        ToSupervisor::Bind(bind(Address::Tcp("127.0.0.1:80".parse().expect("an address")))),
        ToSupervisor::Bind(bind(Address::Unix(Text::from("/run/s")))),
        ToSupervisor::Unbind { listener: "web".into() },
        ToSupervisor::Spawn(Box::new(spawn())),
        ToSupervisor::Spawn(Box::new(Spawn { program: Program::Attached, ..spawn() })),
        ToSupervisor::Signal { worker: 1, signal: "TERM".into(), scope: Scope::Process, aside: false, word: None },
        ToSupervisor::Signal { worker: 1, signal: "KILL".into(), scope: Scope::Group, aside: false, word: None },
        ToSupervisor::Deposit { configuration: true, restart_wait_ms: 5, stops: StopSignals::default(), wishes: None },
        ToSupervisor::Deposit {
            configuration: false,
            restart_wait_ms: 0,
            stops: StopSignals { graceful: vec!["QUIT".into()], at_once: vec!["TERM".into(), "INT".into()] },
            wishes: None,
        },
        ToSupervisor::Notify { text: "READY=1".into() },
        ToSupervisor::Ack { n: 7 },
        ToSupervisor::Exit { code: 69, message: "why".into() },
        ToSupervisor::Deposit {
            configuration: false,
            restart_wait_ms: 0,
            stops: StopSignals::default(),
            wishes: Some("{}".into()),
        },
    ];
    let lines: Vec<Vec<u8>> = records.iter().map(|record| record.encode().expect("encode")).collect();
    let golden = golden("to-supervisor", &lines.join(&b'\n'));
    let read: Vec<ToSupervisor> =
        golden.split(|byte| *byte == b'\n').map(|line| ToSupervisor::decode(line).expect("decode")).collect();
    assert_eq!(read, records);
    assert_eq!(golden, lines.join(&b'\n'), "their form changed: add fields with a default instead");
}

#[test]
fn records_to_the_manager_are_written_and_read_as_ever() {
    let kept = vec![Kept::Pidfd, Kept::Output, Kept::Error, Kept::Link, Kept::Ready, Kept::Notify];
    let worker = Worker {
        worker: 1,
        label: label(),
        pid: 2,
        started: 3,
        executed: true,
        ended: false,
        signalled: Some("TERM".into()),
        kept,
    };
    let exited = |status| exited(status, 0);
    let address = Address::Tcp("[::1]:80".parse().expect("an address"));
    let inventory = Inventory {
        version: 1,
        supervisor: 2,
        generation: 3,
        last_words: "SIGKILL".into(),
        state: true,
        poisoned: false,
        purpose: Purpose::Work,
        returned: None,
        nofile: (1024, 4096),
        highest_worker: 7,
        cgroups: Vec::new(),
        wishes: None,
        above: None,
        inherited: Vec::new(),
    };
    let records = [
        ToManager::Inventory(inventory.clone()),
        ToManager::Bound { listener: "web".into(), address: address.clone() },
        ToManager::BindFailed { listener: "web".into(), address, errno: 98, message: "in use".into() },
        ToManager::Worker(worker.clone()),
        ToManager::InventoryEnd,
        ToManager::Spawned(worker),
        ToManager::SpawnFailed { worker: 1, step: "exec".into(), errno: 2, transient: false },
        exited(Status::Code(1)),
        exited(Status::Signal(9)),
        ToManager::SignalReceived { signal: "TERM".into(), pid: 1, uid: 2, from_kernel: false, at: 3 },
        ToManager::CallerWaits,
        ToManager::Inventory(Inventory { state: false, poisoned: true, wishes: Some("{}".into()), ..inventory }),
    ];
    let numbered: Vec<Numbered> = (1..).zip(records).map(|(n, record)| Numbered { n, record }).collect();
    let lines: Vec<Vec<u8>> = numbered.iter().map(|record| record.encode().expect("encode")).collect();
    let golden = golden("to-manager", &lines.join(&b'\n'));
    let read: Vec<Numbered> =
        golden.split(|byte| *byte == b'\n').map(|line| Numbered::decode(line).expect("decode")).collect();
    assert_eq!(read, numbered);
    assert_eq!(golden, lines.join(&b'\n'), "their form changed: add fields with a default instead");
}

fn exited(status: Status, oom_kills: u64) -> ToManager {
    ToManager::Exited { worker: 1, status, user_us: 2, system_us: 3, max_rss_kib: 4, at: 5, oom_kills }
}

/// A word in the place of a signal, and the pipe that takes it.
#[test]
fn words_and_their_pipe_are_written_and_read_as_ever() {
    let word = Some("GRACEFUL_STOP".to_owned());
    let asked = ToSupervisor::Signal { worker: 1, signal: "TERM".into(), scope: Scope::Process, aside: false, word };
    let pipe = Descriptor { number: 4, source: Source::Command };
    let spawned = ToSupervisor::Spawn(Box::new(Spawn { descriptors: vec![pipe], ..spawn() }));
    let lines: Vec<Vec<u8>> = [&asked, &spawned].iter().map(|record| record.encode().expect("encode")).collect();
    let kept = golden("to-supervisor-with-words", &lines.join(&b'\n'));
    let read: Vec<ToSupervisor> =
        kept.split(|byte| *byte == b'\n').map(|line| ToSupervisor::decode(line).expect("decode")).collect();
    assert_eq!(read, [asked, spawned]);
    assert_eq!(kept, lines.join(&b'\n'), "their form changed: add fields with a default instead");
    let kind = serde_json::to_string(&Kept::Command).expect("encode");
    assert_eq!(kind, r#""command""#);
}

/// Fields that the first records did not have.
#[test]
fn bounds_and_what_came_of_them_are_written_and_read_as_ever() {
    let bounds = Bounds { memory: Some(1 << 30), pids: Some(100), cpu: Some(1500) };
    let asked = ToSupervisor::Spawn(Box::new(Spawn { bounds, ..spawn() }));
    let bytes = asked.encode().expect("encode");
    let kept = golden("spawn-with-bounds", &bytes);
    assert_eq!(ToSupervisor::decode(&kept).expect("decode"), asked);
    assert_eq!(kept, bytes, "its form changed: add fields with a default instead");
    let inventory = Inventory {
        version: 1,
        supervisor: 2,
        generation: 3,
        last_words: String::new(),
        state: true,
        poisoned: false,
        purpose: Purpose::Work,
        returned: None,
        nofile: (1024, 4096),
        highest_worker: 7,
        cgroups: vec![Text::from("/sys/fs/cgroup/evercrew-abc")],
        wishes: None,
        above: None,
        inherited: Vec::new(),
    };
    let records = [ToManager::Inventory(inventory), exited(Status::Signal(9), 2)];
    let numbered: Vec<Numbered> = (1..).zip(records).map(|(n, record)| Numbered { n, record }).collect();
    let lines: Vec<Vec<u8>> = numbered.iter().map(|record| record.encode().expect("encode")).collect();
    let kept = golden("to-manager-with-bounds", &lines.join(&b'\n'));
    let read: Vec<Numbered> =
        kept.split(|byte| *byte == b'\n').map(|line| Numbered::decode(line).expect("decode")).collect();
    assert_eq!(read, numbered);
    assert_eq!(kept, lines.join(&b'\n'), "their form changed: add fields with a default instead");
}

#[test]
fn a_worker_that_was_killed_for_want_of_memory_is_remembered_so() {
    let mut state = state();
    let exit = LastExit { status: Some(ExitStatus::OutOfMemory), reason: ExitReason::OutOfMemory, at: at(1) };
    state.fleet.services[0].slots[0].last_exit = Some(exit);
    assert_eq!(State::decode(&state.encode().expect("encode")).expect("decode"), state);
}

#[test]
fn a_record_of_a_newer_version_is_understood_without_its_new_fields() {
    let newer = br#"{"type":"ack","n":7,"why":"because"}"#;
    assert_eq!(ToSupervisor::decode(newer).expect("decode"), ToSupervisor::Ack { n: 7 });
    let older = br#"{"n":1,"type":"inventory","version":1,"supervisor":2,"generation":1,"state":false,"nofile":[1,2]}"#;
    assert!(matches!(Numbered::decode(older).expect("decode").record, ToManager::Inventory(i) if !i.poisoned));
}

#[test]
fn logger_records_and_control_lines_go_there_and_back() {
    for record in [
        ToLogger::Configure {
            directory: Text::from("/logs"),
            terminal: true,
            engine: Style { keep: 5, max_age_ms: Some(1), ..Style::default() },
            held: Some(Text::from("/held")),
        },
        ToLogger::Line { at: 1, level: "info".into(), text: "hello".into() },
        ToLogger::Attach {
            worker: 1,
            name: "web.1".into(),
            service: "web".into(),
            generation: 2,
            stream: Stream::Error,
            ready: Some("up".into()),
            style: Style::default(),
            discarded: 3,
        },
    ] {
        assert_eq!(ToLogger::decode(&record.encode().expect("encode")).expect("decode"), record);
    }
    for record in [
        FromLogger::Matched { worker: 7 },
        FromLogger::Failed { file: Text::from("/logs/web.1.log"), error: "no space".into() },
        FromLogger::Resumed { file: Text::from("/logs/web.1.log"), dropped: 7 },
    ] {
        assert_eq!(FromLogger::decode(&record.encode().expect("encode")).expect("decode"), record);
    }
    let older = br#"{"type":"attach","worker":1,"name":"web.1","service":"web","generation":1,"stream":"output"}"#;
    assert!(
        matches!(ToLogger::decode(older).expect("decode"), ToLogger::Attach { style, .. } if style == Style::default())
    );
    let request: Request = serde_json::from_str(r#"{"id":"7","verb":"status"}"#).expect("decode");
    assert_eq!((request.id.as_str(), request.deadline_ms, request.args.len()), ("7", None, 0));
    let reply = Reply::new("7", ReplyStatus::Ok, "done");
    assert_eq!(reply.line(), "{\"id\":\"7\",\"status\":\"ok\",\"message\":\"done\"}\n");
    assert_eq!(serde_json::from_str::<Reply>(&reply.line()).expect("decode"), reply);
}

#[test]
fn a_configuration_from_before_there_were_reloads_is_the_first_revision() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-configuration-without-revision.json");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let configuration = Configuration::decode(bytes.trim_ascii_end()).expect("decode");
    assert_eq!((configuration.revision, configuration.earlier), (1, Vec::new()));
}
