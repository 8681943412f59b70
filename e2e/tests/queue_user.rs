//! The queue server of an engine that runs as a user of its own: who it is, whose its files are, what it may not do.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Instant;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs};
use evercrew_jobs::Address;
use evercrew_jobs::plain::Client;
use evercrew_sys::user;
use serde_json::json;

use crate::EVERCREW;
use crate::history::PATIENCE;
use crate::identity::{field, ordinary};

#[test]
fn the_queue_server_serves_as_the_engine_s_user() {
    let (Some(user), 0) = (ordinary(), user::current().0) else {
        return println!("SKIP only root can give rights away");
    };
    let port = programs::free_port();
    let mut engine = Engine::new(EVERCREW, "");
    std::fs::set_permissions(engine.home(), PermissionsExt::from_mode(0o755)).expect("open the way");
    let configuration =
        |more: &str| format!("[engine]\nuser = \"{}\"\n[queue]\nlisten = \"127.0.0.1:{port}\"\n{more}", user.name);
    engine.configure(&configuration(""));
    engine.start();
    engine.ready();
    let pid = engine.pids("queue").first().copied().expect("a process");
    assert_eq!(field(pid, "Uid"), vec![user.uid.to_string(); 4]);
    assert_eq!(field(pid, "CapEff"), ["0000000000000000"]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let client = |hello: &str| Client::connect_as(&address, PATIENCE, hello).expect("connect");
    for jid in ["job-00001", "job-00002"] {
        client("{}").ask(&format!(r#"PUSH {{"jid":"{jid}","jobtype":"T","args":[]}}"#)).expect("push");
    }
    let files = std::fs::read_dir(engine.home().join(".evercrew")).expect("a directory");
    let files: Vec<_> =
        files.flatten().filter(|file| file.file_name().to_string_lossy().starts_with("jobs.db")).collect();
    assert!(!files.is_empty());
    for file in files {
        let metadata = file.metadata().expect("a file");
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (user.uid, 0o600), "{file:?}");
    }
    // A worker of somebody else's: its death is seen all the same.
    let mut held = Command::new("sleep").arg("1000").spawn().expect("a process");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let mut worker = client(&json!({ "wid": "worker-1", "pid": held.id(), "hostname": host.trim() }).to_string());
    assert_eq!(worker.ask_json(r#"FETCHB {"n":1}"#).expect("fetch")[0]["jid"], "job-00001");
    held.kill().expect("kill");
    held.wait().expect("reap");
    let deadline = Instant::now() + PATIENCE;
    while client("{}").ask_json(r#"JOB {"jid":"job-00001"}"#).expect("show")["state"] != "enqueued" {
        assert!(Instant::now() < deadline, "nobody saw that the worker died");
    }
    // It is written with this push, at the latest.
    client("{}").ask(r#"PUSH {"jid":"job-00003","jobtype":"T","args":[]}"#).expect("push");
    // What was answered outlives a kill, and the next process is the same user.
    Process::open(pid).signal(Signal::Kill);
    let mut events = engine.events(1);
    engine.ok(&["start", "queue"]);
    events.wait("the next one", PATIENCE, |event| {
        event["kind"] == "worker.ready" && event["service"] == "queue" && event["pid"] != pid
    });
    let jobs = client(r#"{"wid":"worker-2"}"#).ask_json(r#"FETCHB {"n":9}"#).expect("fetch");
    assert_eq!(jobs.as_array().map(Vec::len), Some(3));
    assert_eq!(field(engine.pids("queue")[0], "Uid"), vec![user.uid.to_string(); 4]);
    assert_eq!(engine.down(), 0);
    // Where that user may not write it says so.
    engine.configure(&configuration("store = \"sqlite:/root/evercrew-test/jobs.db\"\n"));
    engine.start();
    let exit = engine.events(1).worker("worker.exit", "queue.1", PATIENCE);
    assert_eq!(exit["code"], 69, "{exit:#}");
    // Its line is written by another process than the one that tells of its end.
    let deadline = Instant::now() + PATIENCE;
    while !engine.log().contains("/root/evercrew-test, cannot be made: Permission denied") {
        assert!(Instant::now() < deadline, "{}", engine.log());
    }
    assert_eq!(engine.down(), 0);
}
