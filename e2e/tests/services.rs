//! What the configuration says of a service, as its workers find it.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{free_port, program};
use evercrew_e2e::{Engine, Events};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// A worker that tells about itself in a file of its own, is ready then, and stays.
fn telling(engine: &Engine, what: &str) -> String {
    let home = engine.home().display();
    let text = format!("#!/bin/sh\n{{ {what} ; }} > {home}/told.$EVERCREW_SLOT 2>&1\necho ready\nexec sleep 1000\n");
    engine.script("tell.sh", &text).display().to_string()
}

fn told(engine: &Engine, slot: u32) -> String {
    std::fs::read_to_string(engine.home().join(format!("told.{slot}"))).expect("the worker told")
}

#[test]
fn limits_umask_nice_and_ports_reach_the_worker() {
    let mut engine = Engine::new(EVERCREW, "");
    let script =
        telling(&engine, "ulimit -Sn; ulimit -Hn; ulimit -Sc; umask; nice; cat /proc/self/oom_score_adj; echo $PORT");
    engine.configure(&format!(
        "[service.s]\ncommand = [{script:?}]\nworkers = 2\nport = 9100\numask = \"027\"\nready = {{ output = \"^ready\" }}\n\
         limits = {{ nofile = 123, core = 0, nice = 5, oom_score_adj = 100 }}\n"
    ));
    engine.start();
    engine.ready();
    assert_eq!(told(&engine, 1), "123\n123\n0\n0027\n5\n100\n9100\n");
    assert_eq!(told(&engine, 2).lines().last(), Some("9101"));
    assert_eq!(engine.down(), 0);
}

#[test]
fn open_files_are_what_the_engine_was_started_with() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = telling(&engine, "ulimit -Sn; ulimit -Hn");
    engine.configure(&format!("[service.s]\ncommand = [{script:?}]\nready = {{ output = \"ready\" }}\n"));
    engine.start();
    engine.ready();
    let (soft, hard) = evercrew_sys::limits::nofile();
    assert_eq!(told(&engine, 1), format!("{soft}\n{hard}\n"), "workers get the old limit back");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_worker_of_another_user_has_its_rights_alone_and_can_say_that_it_is_ready() {
    if evercrew_sys::user::current().0 != 0 {
        return println!("SKIP only root can run workers as another user");
    }
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let text = "import os, socket, time\n\
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
                try:\n    os.setuid(0); back = 'root again'\nexcept PermissionError:\n    back = 'for good'\n\
                s.send(f\"STATUS={os.getuid()} {os.getgid()} {os.getgroups()} {os.environ['USER']} {os.environ['HOME']} {back}\\nREADY=1\".encode())\n\
                time.sleep(1000)\n";
    let path = engine.script("worker.py", text);
    // The test's directory is the engine's user's alone; the worker is given it on its command line.
    engine.configure(&format!(
        "[service.s]\ncommand = [{python:?}, \"-c\", {text:?}]\ndirectory = \"/\"\nuser = \"nobody\"\nready = \"notify\"\n"
    ));
    assert!(path.exists());
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(engine.home(), PermissionsExt::from_mode(0o755)).expect("open the way");
    engine.start();
    engine.ready();
    let nobody = evercrew_sys::user::find("nobody").expect("read users").expect("it exists");
    let status = engine.workers("s")[0].json["status"].as_str().unwrap_or_default().to_owned();
    let expected = format!("{} {} [{}] nobody {} for good", nobody.uid, nobody.gid, nobody.gid, nobody.home.display());
    assert_eq!(status, expected);
    let control = std::fs::metadata(engine.home().join(".evercrew/control.sock")).expect("the socket");
    assert_eq!(control.permissions().mode() & 0o777, 0o600);
    assert_eq!(engine.down(), 0);
}

#[test]
fn unknown_users_end_up_with_78() {
    let engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"9\"]\nuser = \"nobody-at-all\"\n");
    for command in ["check", "up"] {
        let output = engine.run(&[command]);
        assert_eq!(output.code, 78, "{}", output.stderr);
        assert!(output.stderr.contains("nobody-at-all"), "{}", output.stderr);
    }
}

/// Listens on its own port after a while, says it, and serves.
const SERVER: &str = "import http.server, os, sys, time\n\
    time.sleep(0.7)\n\
    class H(http.server.BaseHTTPRequestHandler):\n\
    \x20   n = 0\n\
    \x20   def do_GET(self):\n\
    \x20       H.n += 1\n\
    \x20       self.send_response(503 if H.n < 4 else 200); self.end_headers(); self.wfile.write(b'x')\n\
    \x20   def log_message(self, *a): pass\n\
    s = http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H)\n\
    print('listening on', os.environ['PORT'], flush=True)\n\
    s.serve_forever()\n";

fn ready_by(ready: &str, least: Duration) {
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("server.py", SERVER);
    let port = free_port();
    engine.configure(&format!(
        "[service.s]\ncommand = [{python:?}, {script:?}]\nport = {port}\nready = {ready}\nready_timeout = \"20s\"\n"
    ));
    engine.start();
    let mut events = engine.events(1);
    let event = events.worker("worker.ready", "s.1", SOON);
    let took = event["took_seconds"].as_f64().expect("seconds");
    assert!(took >= least.as_secs_f64(), "{ready}: ready after {took} s, before it could work");
    assert_eq!(engine.down(), 0);
}

#[test]
fn connect_waits_for_the_port() {
    ready_by("{ connect = true }", Duration::from_millis(700));
}

#[test]
fn http_waits_for_a_good_answer() {
    ready_by("{ http = \"/healthz\" }", Duration::from_millis(700 + 3 * 50));
}

#[test]
fn output_waits_for_the_line() {
    ready_by("{ output = '^listening on \\d+' }", Duration::from_millis(700));
}

#[test]
fn an_output_line_counts_across_managers_and_loggers() {
    let mut engine = Engine::new(EVERCREW, "");
    let home = engine.home().display().to_string();
    let script = engine.script(
        "late.sh",
        &format!("#!/bin/sh\nuntil [ -e {home}/go ]; do sleep 0.05; done\necho up\nexec sleep 1000\n"),
    );
    engine.configure(&format!("[service.s]\ncommand = [{script:?}]\nready = {{ output = \"^up$\" }}\n"));
    engine.start();
    let mut events: Events = engine.events(1);
    events.worker("worker.spawn", "s.1", SOON);
    engine.manager().signal(Signal::Kill);
    events.wait("takeover", SOON, |event| event["generation"] == 2);
    let supervisor = engine.supervisor();
    let comm = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let logger = supervisor.children().into_iter().find(|pid| comm(pid).contains("logger")).expect("a logger");
    let logger = Process::open(logger);
    logger.signal(Signal::Kill);
    assert!(logger.gone_within(SOON));
    std::fs::write(engine.home().join("go"), "").expect("let it go on");
    events.worker("worker.ready", "s.1", SOON);
    assert_eq!(engine.down(), 0);
}

#[test]
fn an_unrecoverable_exit_code_becomes_the_engines() {
    let mut engine = Engine::new(
        EVERCREW,
        "[engine]\nexit = \"any-failed\"\n[service.s]\ncommand = [\"sh\", \"-c\", \"sleep 0.2; exit 42\"]\nunrecoverable_exit_codes = [42]\n\
         [service.other]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    engine.start();
    assert_eq!(engine.wait(SOON), 42);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn the_engine_ends_when_all_is_done() {
    let mut engine = Engine::new(
        EVERCREW,
        "[engine]\nexit = \"all-done\"\n[service.a]\ncommand = [\"true\"]\nrestart = \"on-failure\"\n\
         [service.b]\ncommand = [\"sh\", \"-c\", \"sleep 0.3\"]\nrestart = \"never\"\nafter = [\"a\"]\n",
    );
    engine.start();
    assert_eq!(engine.wait(SOON), 0);
}

#[test]
fn a_manager_is_waited_for_as_the_file_says() {
    let engine = Engine::up(
        EVERCREW,
        "[engine]\nmanager_restart_wait = \"1500ms\"\n[service.s]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    let began = std::time::Instant::now();
    engine.manager().signal(Signal::Kill);
    engine.events(1).wait("takeover", SOON, |event| event["generation"] == 2);
    assert!(began.elapsed() >= Duration::from_millis(1450), "{:?}", began.elapsed());
}

#[test]
fn a_ladder_keeps_its_times_and_reaches_a_stopped_process() {
    let mut engine = Engine::new(EVERCREW, "");
    let home = engine.home().display().to_string();
    let text = format!(
        "#!/bin/sh\ntrap 'date +%s%3N >> {home}/term' TERM\ntrap 'date +%s%3N >> {home}/quit' QUIT\necho up\nwhile :; do sleep 0.01; done\n"
    );
    let script = engine.script("ladder.sh", &text);
    engine.configure(&format!(
        "[service.s]\ncommand = [{script:?}]\nready = {{ output = \"up\" }}\n\
         stop = [{{ signal = \"TERM\", repeat = \"300ms\", increment = \"200ms\", for = \"1200ms\" }}, {{ signal = \"QUIT\", for = \"500ms\" }}]\n"
    ));
    engine.start();
    engine.ready();
    let worker = Process::open(engine.pids("s")[0]);
    worker.signal(Signal::Stop);
    let began = std::time::Instant::now();
    assert_eq!(engine.down(), 0);
    let took = began.elapsed();
    let moments = |name: &str| -> Vec<i64> {
        let text = std::fs::read_to_string(engine.home().join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let (term, quit) = (moments("term"), moments("quit"));
    let gaps: Vec<i64> = term.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(term.len(), 3, "at 0, 300 and 800 ms: {term:?}");
    assert!((200..600).contains(&gaps[0]) && (400..900).contains(&gaps[1]), "{gaps:?}");
    assert_eq!(quit.len(), 1);
    assert!(took >= Duration::from_millis(1650) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_worker_that_grows_is_replaced_before_it_leaves() {
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let text = "import sys, time\nprint('up', flush=True)\nkeep = bytearray(80 << 20)\nfor i in range(0, len(keep), 4096): keep[i] = 1\ntime.sleep(1000)\n";
    let script = engine.script("grow.py", text);
    engine.configure(&format!(
        "[service.s]\ncommand = [{python:?}, {script:?}]\nready = {{ output = \"^up\" }}\nrecycle = {{ memory = \"64MiB\", jitter = 0 }}\n\
         rollout = {{ settle = \"100ms\" }}\n"
    ));
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    let draining = events.worker("worker.draining", "s.1", SOON);
    assert_eq!(draining["reason"], "recycle");
    let spawned = events.seen().filter(|event| event["kind"] == "worker.ready").count();
    assert_eq!(spawned, 2, "the replacement was ready first");
    assert_eq!(engine.down(), 0);
}
