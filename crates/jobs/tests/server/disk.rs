//! A disk that fails or is full under a whole server: nothing is answered that is not kept, and room again is enough.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use evercrew_jobs::{Config, Listen, Storage, serve, stop};
use evercrew_wire::faktory::Reply;
use serde_json::Value;

use crate::rig::{Client, Rig, connect, job};

/// Says that this process is the server, and where its store is.
const STORE: &str = "EVERCREW_TEST_STORE";
/// What stands before the address on its output.
const ADDRESS: &str = "ADDRESS ";

/// The server of the tests below, in a process of its own; nothing when it is called as a test.
#[test]
fn the_server_of_a_process() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let mut config = Config::new(Storage::Sqlite(store.into()));
    config.listen = Listen::Address("127.0.0.1:0".parse().expect("address"));
    let (stopper, stop) = stop().expect("stop");
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopper.stop();
    });
    let ended = serve(config, stop, |address| println!("\n{ADDRESS}{address}"));
    if let Err(error) = &ended {
        eprintln!("ended: {error}");
    }
    std::process::exit(ended.map_or_else(|error| error.exit_code().into(), |()| 0));
}

/// A server whose system calls fail.
struct Process {
    child: Child,
    /// None when it did not come so far.
    client: Option<Client>,
}

impl Process {
    /// `inject` is strace's: calls, error, and when.
    fn start(store: &Path, inject: Option<&str>) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = match inject {
            Some(inject) => {
                let calls = inject.split(':').next().expect("calls");
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
                strace.args(["-e", &format!("inject={inject}")]).arg(program);
                strace
            }
            None => Command::new(program),
        };
        command.args(["--exact", "disk::the_server_of_a_process", "--nocapture"]).env(STORE, store);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("a server");
        let lines = BufReader::new(child.stdout.take().expect("output")).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.strip_prefix(ADDRESS).map(str::to_owned));
        let client = address.map(|address| {
            let mut client = connect(address.parse().expect("address"));
            client.reply();
            client.ok("HELLO {\"v\":2}");
            client
        });
        Self { child, client }
    }

    /// Has it stop, and gives its exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn can_inject() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    works.is_ok_and(|status| status.success())
}

/// An empty store that was left in good order.
fn fresh(directory: &Path) -> std::path::PathBuf {
    let store = directory.join("jobs.db");
    Rig::with(|config| config.store = Storage::Sqlite(store.clone())).stop().expect("it ends well");
    store
}

/// The jobs that another start finds.
fn kept(store: &Path) -> BTreeSet<String> {
    let rig = Rig::with(|config| config.store = Storage::Sqlite(store.to_owned()));
    let mut worker = rig.worker("worker-1");
    let mut kept = BTreeSet::new();
    while let Value::Array(jobs) = worker.json_or_null(r#"FETCHB {"n":1000,"wait_ms":0}"#) {
        kept.extend(jobs.iter().map(|job| job["jid"].as_str().expect("jid").to_owned()));
    }
    kept
}

/// Pushes one job after the other; those that were answered, and those that were refused.
fn push(client: &mut Client, from: usize, most: usize) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut answered, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for number in from..from + most {
        let jid = format!("job-{number:06}");
        if client.stream.write_all(format!("{}\n", job(&jid, "")).as_bytes()).is_err() {
            break;
        }
        match client.next() {
            Some(Reply::Simple(_)) => answered.insert(jid),
            Some(Reply::Refused { text, .. }) => {
                assert!(text.contains("nothing can be stored at the moment"), "{text}");
                refused.insert(jid)
            }
            Some(other) => panic!("{other:?}"),
            None => break,
        };
    }
    (answered, refused)
}

/// P17: the k-th sync, or write, fails.
fn nothing_is_answered_behind(calls: &str, rounds: impl Iterator<Item = usize>) {
    let (mut failed, mut acknowledged) = (0, 0);
    for k in rounds {
        let home = tempfile::tempdir().expect("directory");
        let store = fresh(home.path());
        let mut process = Process::start(&store, Some(&format!("{calls}:error=EIO:when={k}")));
        let answered = process.client.as_mut().map_or_else(BTreeSet::new, |client| push(client, 0, 100 + 2 * k).0);
        let (code, words) = process.end();
        failed += usize::from(code != Some(0));
        assert!(code == Some(0) || code == Some(69), "{calls} {k}: {code:?} {words}");
        assert!(code == Some(0) || words.contains("not safely on disk"), "{calls} {k}: {words}");
        let kept = kept(&store);
        let lost: Vec<_> = answered.difference(&kept).collect();
        assert!(lost.is_empty(), "{calls} {k}: {lost:?} were answered and are not there: {words}");
        assert!(kept.len() <= answered.len() + 1, "{calls} {k}: {} answered, {} kept", answered.len(), kept.len());
        acknowledged += answered.len();
    }
    println!("{failed} servers ended for a failed {calls}, {acknowledged} pushes answered before, none lost");
    assert!(failed >= 3, "{failed} failures were noticed");
}

fn is_long() -> bool {
    std::env::var_os("EVERCREW_LONG").is_some()
}

#[test]
fn nothing_is_answered_behind_a_failed_sync() {
    if !can_inject() {
        return println!("SKIP strace: it is not here, or may trace nothing");
    }
    nothing_is_answered_behind("fdatasync,fsync", (1..=50).step_by(if is_long() { 1 } else { 9 }));
}

#[test]
fn nothing_is_answered_behind_a_failed_write() {
    if !can_inject() {
        return println!("SKIP strace: it is not here, or may trace nothing");
    }
    nothing_is_answered_behind("pwrite64", (5..=205).step_by(if is_long() { 4 } else { 50 }));
}

/// The kernel says that the disk is full, for a while: pushes are refused and then taken again, by the same server.
#[test]
fn writes_without_room_are_refused_and_taken_again_when_there_is_some() {
    if !can_inject() {
        return println!("SKIP strace: it is not here, or may trace nothing");
    }
    let home = tempfile::tempdir().expect("directory");
    let store = fresh(home.path());
    let mut process = Process::start(&store, Some("pwrite64:error=ENOSPC:when=40..60"));
    let (answered, refused) = push(process.client.as_mut().expect("it serves"), 0, 200);
    let (code, words) = process.end();
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("pushes are refused for now"), "{words}");
    assert!(!refused.is_empty() && answered.len() > 100, "{} answered, {} refused", answered.len(), refused.len());
    assert_eq!(kept(&store), answered);
}

/// A file system of its own, as long as it lives.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let small = Self(tempfile::tempdir().expect("directory"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(small.0.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(small)
    }
}

impl Small {
    fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(self.0.path());
        assert!(mount.status().is_ok_and(|status| status.success()), "no {size}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// P17: a disk that is really full, again and again. What is refused is not there, and what was answered is.
#[test]
fn a_full_disk_refuses_and_room_again_is_enough() {
    let Some(small) = Small::mount("6m") else { return println!("SKIP no tmpfs can be mounted") };
    let store = small.0.path().join("jobs.db");
    let mut rig = Rig::with(|config| config.store = Storage::Sqlite(store.clone()));
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    let filler = format!(r#""filler":"{}""#, "x".repeat(30_000));
    let (mut answered, mut done, mut number) = (BTreeSet::new(), BTreeSet::new(), 0);
    let cycles = if is_long() { 20 } else { 5 };
    for cycle in 0..cycles {
        loop {
            let jid = format!("job-{number:06}");
            number += 1;
            match producer.ask(&job(&jid, &filler)) {
                Reply::Simple(_) => answered.insert(jid),
                Reply::Refused { text, .. } => {
                    assert!(text.contains("nothing can be stored at the moment"), "{text}");
                    break;
                }
                other => panic!("{other:?}"),
            };
            assert!(number < 10_000, "the disk is never full");
        }
        assert_eq!(producer.json("INFO")["faktory"]["total_enqueued"], answered.len() - done.len(), "cycle {cycle}");
        if cycle + 1 == cycles {
            break;
        }
        small.resize(&format!("{}m", 10 + 4 * cycle));
        // The same server takes pushes and answers again.
        for _ in 0..20 {
            let job = worker.fetch("default").expect("a job");
            let jid = job["jid"].as_str().expect("jid").to_owned();
            worker.ack(&jid);
            assert!(answered.contains(&jid) && done.insert(jid));
        }
        let jid = format!("again-{cycle:06}");
        producer.push(&jid, "");
        answered.insert(jid);
    }
    // It ends in good order also when the disk is full.
    rig.stop().expect("it ends well");
    small.resize("200m");
    let left: BTreeSet<String> = answered.difference(&done).cloned().collect();
    println!("{cycles} times full, {} pushes answered, {} jobs acknowledged", answered.len(), done.len());
    assert_eq!(kept(&store), left);
}
