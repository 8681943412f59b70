//! Commands and their exit codes, as scripts rely on them.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use serde_json::{Value, json};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEPERS: &str = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n";

#[test]
fn without_an_engine_every_command_says_so() {
    let engine = Engine::new(EVERCREW, SLEEPERS);
    assert_eq!(engine.run(&["status"]).code, 3);
    assert_eq!(engine.run(&["down"]).code, 0);
    let scale = engine.run(&["scale", "sleep=2"]);
    assert_eq!(scale.code, 69);
    assert!(scale.stderr.contains(".evercrew") && scale.stderr.contains("evercrew up"), "{}", scale.stderr);
    assert_eq!(engine.run(&["wait", "--ready", "--timeout", "200ms"]).code, 124);
    assert_eq!(engine.run(&["frobnicate"]).code, 2);
    assert_eq!(engine.run(&["version"]).stdout, format!("evercrew {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wait_waits_for_the_engine_to_appear() {
    let mut engine = Engine::new(EVERCREW, SLEEPERS);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let other = std::process::Command::new(EVERCREW)
                .args(["wait", "--ready", "--timeout", "30s", "-c"])
                .arg("evercrew.toml")
                .current_dir(engine.home())
                .output();
            other.expect("run the binary").status.code()
        });
        assert!(!waiting.is_finished());
        let directory = engine.home().to_path_buf();
        let up = std::process::Command::new(EVERCREW).args(["up"]).current_dir(directory).spawn();
        let mut up = up.expect("run the binary");
        assert_eq!(waiting.join().expect("no panic"), Some(0));
        evercrew_e2e::processes::Process::open(up.id()).signal(Signal::Term);
        assert_eq!(up.wait().expect("reap").code(), Some(0));
    });
    engine.start();
    engine.ready();
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_broken_file_is_78_and_no_obstacle_to_commands() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    assert_eq!(engine.run(&["check"]).code, 0);
    engine.configure("[service.sleep]\ncommnd = [\"sleep\"]\n");
    let check = engine.run(&["check"]);
    assert_eq!(check.code, 78);
    assert!(check.stderr.contains("commnd") && check.stderr.contains("command"), "{}", check.stderr);
    assert!(check.stderr.contains("evercrew.toml:2"), "{}", check.stderr);
    engine.configure("not toml at all [");
    assert_eq!(engine.run(&["check"]).code, 78);
    assert_eq!(engine.run(&["status"]).code, 0);
    engine.ok(&["scale", "sleep=1"]);
    engine.configure("[service.sleep]\ncommand = [\"no-such-program\"]\n");
    assert_eq!(engine.run(&["check"]).code, 78);
    assert_eq!(engine.down(), 0);
    assert_eq!(engine.run(&["up"]).code, 78);
}

#[test]
fn a_second_up_names_who_runs_there_and_stale_files_are_taken_over() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let second = engine.run(&["up"]);
    assert_eq!(second.code, 69);
    let supervisor = engine.supervisor();
    assert!(second.stderr.contains(&supervisor.pid.to_string()), "{}", second.stderr);
    supervisor.signal(Signal::Kill);
    assert!(supervisor.gone_within(SOON));
    engine.wait(SOON);
    assert!(engine.home().join(".evercrew/control.sock").exists(), "a killed supervisor leaves its socket");
    engine.start();
    engine.ready();
    assert_eq!(engine.down(), 0);
    assert!(!engine.home().join(".evercrew/control.sock").exists());
}

#[test]
fn a_port_in_use_ends_up_with_69_and_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("an address").port();
    let engine = Engine::new(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n"
        ),
    );
    let up = engine.run(&["up"]);
    assert_eq!(up.code, 69);
    assert!(up.stderr.contains(&port.to_string()) && up.stderr.contains("web"), "{}", up.stderr);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn status_has_the_shape_that_scripts_read() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let status = engine.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["supervisor"]["pid"], engine.supervisor().pid);
    assert_eq!((status["manager"]["generation"].as_u64(), status["revision"].as_u64()), (Some(1), Some(1)));
    let service = &status["services"][0];
    assert_eq!((service["name"].as_str(), service["state"].as_str()), (Some("sleep"), Some("ready")));
    assert_eq!((service["wanted"].as_u64(), service["ready"].as_u64()), (Some(2), Some(2)));
    let worker = &service["workers"][1];
    assert_eq!((worker["slot"].as_u64(), worker["name"].as_str()), (Some(2), Some("sleep.2")));
    assert!(worker["pid"].is_u64() && worker["uptime_seconds"].is_f64() && worker["memory_bytes"].is_u64());
    assert!(worker["cpu_percent"].is_f64() && worker["last_exit"].is_null());
    assert!(worker["since"].as_str().is_some_and(|since| since.ends_with('Z') && since.len() == 24), "{worker}");
    assert_eq!(engine.run(&["status", "nobody"]).code, 4);
    assert_eq!(engine.run(&["status", "sleep.7"]).code, 4);
    assert_eq!(engine.run(&["status", "sleep.2"]).code, 0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn scale_stop_start_and_restart_do_what_they_say_before_they_return() {
    let mut engine = Engine::up(EVERCREW, &format!("{SLEEPERS}rollout = {{ settle = \"100ms\" }}\n"));
    engine.ok(&["scale", "sleep=+2"]);
    assert_eq!(engine.pids("sleep").len(), 4);
    engine.ok(&["scale", "sleep=-3"]);
    assert_eq!(engine.pids("sleep").len(), 1);
    engine.ok(&["scale", "sleep=3"]);
    engine.ok(&["scale", "sleep=-1", "sleep=+1"]);
    assert_eq!(engine.pids("sleep").len(), 3, "one after the other");
    // The old worker may still be leaving when `restart` returns.
    let serving = |engine: &Engine| {
        let workers = engine.workers("sleep").into_iter().filter(|worker| worker.state == "ready");
        workers.map(|worker| worker.pid).collect::<Vec<_>>()
    };
    let before = serving(&engine);
    engine.ok(&["restart", "sleep.2"]);
    let after = serving(&engine);
    assert_eq!((before[0], before[2]), (after[0], after[2]));
    assert_ne!(before[1], after[1]);
    engine.ok(&["stop", "sleep"]);
    assert!(engine.pids("sleep").is_empty());
    assert_eq!(engine.run(&["status"]).code, 0, "stopped on purpose is well");
    engine.ok(&["start", "sleep"]);
    assert_eq!(engine.pids("sleep").len(), 3, "scale outlives stop");
    engine.ok(&["stop", "sleep"]);
    engine.ok(&["restart", "sleep"]);
    assert_eq!(engine.pids("sleep").len(), 3, "restart starts a stopped service");
    for (wrong, code) in
        [("sleep", 2), ("sleep=x", 2), ("sleep=++3", 2), ("sleep=99999", 2), ("nobody=1", 4), ("sleep.1=2", 2)]
    {
        assert_eq!(engine.run(&["scale", wrong]).code, code, "{wrong}");
    }
    let fewer = engine.run(&["scale", "sleep=-4"]);
    assert!(fewer.code == 2 && fewer.stderr.contains("fewer than no workers"), "{}", fewer.stderr);
    let twice = engine.run(&["scale", "sleep=2", "sleep=1"]);
    assert!(twice.code == 2 && twice.stderr.contains("not the only number of workers"), "{}", twice.stderr);
    assert_eq!(engine.pids("sleep").len(), 3, "refused as a whole");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_slot_that_fails_beside_others_that_serve_ends_the_commands_that_asked_for_it() {
    let text = |workers: u32| {
        format!(
            "[service.web]\ncommand = [\"sh\", \"-c\", \"[ $EVERCREW_SLOT -le 2 ] || exit 3; echo; exec sleep 1000\"]\n\
             ready = {{ output = \"^\" }}\nworkers = {workers}\nstart_limit = {{ count = 1, then = \"give-up\" }}\n"
        )
    };
    let mut engine = Engine::up(EVERCREW, &text(2));
    let scaled = engine.run(&["scale", "web=4"]);
    assert_eq!(scaled.code, 1);
    assert!(scaled.stderr.contains("web.3, web.4 failed, 2 of 4 ready"), "{}", scaled.stderr);
    engine.configure(&text(3));
    let reloaded = engine.run(&["reload"]);
    assert_eq!(reloaded.code, 1);
    assert!(reloaded.stderr.contains("committed, but web.3 failed, 2 of 3 ready"), "{}", reloaded.stderr);
    assert_eq!(engine.pids("web").len(), 2);
    // With a bound, so that one who waits with no end fails the test.
    for command in [&["wait", "--ready", "web"], &["start", "web"][..]] {
        let told = engine.run(&[command, &["--timeout", "20s"]].concat());
        assert!(told.code == 1 && told.stderr.contains("web.3 failed, 2 of 3 ready"), "{command:?}: {}", told.stderr);
    }
    engine.ok(&["scale", "web=2"]);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_timeout_is_124_and_undoes_nothing() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.slow]\ncommand = [\"sh\", \"-c\", \"sleep 1; echo >&5; exec sleep 1000\"]\nready = { fd = 5 }\n",
    );
    engine.start();
    engine.ready();
    let scale = engine.run(&["scale", "slow=2", "--timeout", "200ms"]);
    assert_eq!(scale.code, 124, "{}", scale.stderr);
    engine.ready();
    assert_eq!(engine.pids("slow").len(), 2);
    assert_eq!(engine.down(), 0);
}

fn exchange(engine: &Engine, lines: &str) -> Vec<Value> {
    let mut stream = UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
    stream.set_read_timeout(Some(SOON)).expect("set a timeout");
    stream.write_all(lines.as_bytes()).expect("send");
    stream.shutdown(std::net::Shutdown::Write).expect("end");
    let replies = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    replies.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
}

#[test]
fn each_bad_request_gets_one_failure_with_code_and_hint_and_hurts_nobody() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let long = format!("{{\"id\":\"9\",\"verb\":\"status\",\"args\":{{\"x\":\"{}\"}}}}\n", "x".repeat(1024 * 1024));
    for (line, code) in [
        ("{\"id\":\"1\",\"verb\":\"fly\"}\n", 2),
        ("nonsense\n", 2),
        ("{\"id\":\"2\"}\n", 2),
        ("{\"id\":\"3\",\"verb\":\"scale\",\"args\":{\"names\":7}}\n", 2),
        ("{\"id\":\"4\",\"verb\":\"scale\",\"args\":{\"names\":[\"nobody=1\"]}}\n", 4),
        ("{\"id\":\"5\",\"verb\":\"restart\"}\n", 2),
        ("{\"id\":\"6\",\"verb\":\"cancel\",\"args\":{\"id\":\"x\"}}\n", 4),
        ("{\"id\":\"7\",\"verb\":\"cancel\"}\n", 2),
        ("{\"verb\":\"status\"}\n", 2),
        ("{\"id\":8,\"verb\":\"status\"}\n", 2),
        ("[1]\n", 2),
        ("{\"id\":\"10\",\"verb\":\"status\",\"args\":{\"fast\":true}}\n", 2),
        ("{\"id\":\"11\",\"verb\":\"status\",\"deadline_ms\":\"soon\"}\n", 2),
        ("{\"id\":\"12\",\"verb\":\"events\",\"args\":{\"since\":-1}}\n", 2),
        ("{\"id\":\"13\",\"verb\":\"signal\",\"args\":{\"names\":[\"sleep\"],\"signal\":\"NOTHING\"}}\n", 2),
        ("{\"id\":\"14\",\"verb\":\"log-level\",\"args\":{\"filter\":\"loud\"}}\n", 2),
        ("{\"id\":\"15\",\"verb\":\"call\",\"args\":{\"names\":[\"sleep\"]}}\n", 2),
        ("{\"id\":\"16\",\"verb\":\"surroundings\",\"args\":{\"names\":[\"nobody\"]}}\n", 4),
        (long.as_str(), 2),
    ] {
        let replies = exchange(&engine, line);
        let shown = &line[..line.len().min(60)];
        assert_eq!(replies.len(), 1, "{shown}: {replies:?}");
        assert_eq!((replies[0]["status"].as_str(), &replies[0]["code"]), (Some("failure"), &json!(code)), "{shown}");
        for field in ["message", "hint"] {
            assert!(!replies[0][field].as_str().unwrap_or_default().is_empty(), "{shown} has no {field}: {replies:?}");
        }
    }
    assert_eq!(engine.run(&["status"]).code, 0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_hundred_requests_in_one_write_get_a_hundred_terminal_replies() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let lines: String = (0..100).map(|n| format!("{{\"id\":\"{n}\",\"verb\":\"version\"}}\n")).collect();
    let replies = exchange(&engine, &lines);
    let ids: Vec<&str> = replies.iter().filter_map(|reply| reply["id"].as_str()).collect();
    assert_eq!(ids, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| reply["status"] == "ok"));
    assert_eq!(engine.down(), 0);
}

#[test]
fn events_are_followed_across_managers_until_the_engine_ends() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let mut follower = std::process::Command::new(EVERCREW)
        .args(["events", "-f", "--since", "1", "--json", "-c"])
        .arg(engine.home().join("evercrew.toml"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("run the binary");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut seen: Vec<Value> = Vec::new();
    let mut until = |fits: &dyn Fn(&Value) -> bool| {
        for line in lines.by_ref() {
            seen.push(serde_json::from_str(&line).expect("JSON"));
            if seen.last().is_some_and(fits) {
                return true;
            }
        }
        false
    };
    assert!(until(&|event| event["kind"] == "service.ready"));
    engine.manager().signal(Signal::Kill);
    assert!(until(&|event| event["kind"] == "engine.manager-started"));
    engine.ok(&["scale", "sleep=3"]);
    assert!(until(&|event| event["kind"] == "worker.ready" && event["worker"] == "sleep.3"));
    assert_eq!(engine.down(), 0);
    assert!(!until(&|_| false), "it ends with the engine");
    assert_eq!(follower.wait().expect("reap").code(), Some(0));
    let numbers: Vec<u64> = seen.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order: {numbers:?}");
}

#[test]
fn many_that_look_for_an_engine_are_not_in_the_way_of_one_that_starts() {
    let mut engine = Engine::new(EVERCREW, SLEEPERS);
    let file = engine.home().join("evercrew.toml");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let look = || {
            while !done.load(Ordering::Relaxed) {
                let status = std::process::Command::new(EVERCREW).arg("status").arg("-c").arg(&file).output();
                let code = status.expect("run the binary").status.code();
                assert!(matches!(code, Some(0 | 1 | 3 | 69)), "{code:?}");
            }
        };
        let looking = [scope.spawn(look), scope.spawn(look)];
        let refused: Vec<i32> = (0..8)
            .map(|_| {
                engine.start();
                // Nothing is asserted before the others are told to end.
                engine.run(&["wait", "--ready", "--timeout", "10s"]);
                engine.run(&["down"]);
                engine.wait(SOON)
            })
            .filter(|code| *code != 0)
            .collect();
        done.store(true, Ordering::Relaxed);
        for looking in looking {
            looking.join().expect("no panic");
        }
        assert!(refused.is_empty(), "{refused:?}\n{}", engine.log());
    });
}

/// Runs a command as a user that has nothing to do with the engine; `None` where that cannot be done.
fn as_nobody(engine: &Engine, arguments: &[&str]) -> Option<(Option<i32>, String)> {
    let mut command = std::process::Command::new(EVERCREW);
    command.arg("-c").arg(engine.home().join("evercrew.toml")).args(arguments).current_dir("/").uid(65534).gid(65534);
    match command.output() {
        Ok(output) => Some((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("SKIP another user needs root, and a binary that everybody may execute");
            None
        }
        Err(error) => panic!("run the binary: {error}"),
    }
}

#[test]
fn another_users_engine_is_77_whatever_is_asked_of_it() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let directory = engine.home().join(".evercrew");
    let asked: [&[&str]; 7] = [
        &["status"],
        &["down"],
        &["wait", "--ready", "--timeout", "5s"],
        &["wait", "--ready"],
        &["scale", "sleep=1"],
        &["events"],
        &["events", "-f", "--since", "1"],
    ];
    let refused = |path: &str| {
        for arguments in asked {
            let Some((code, told)) = as_nobody(&engine, arguments) else { return false };
            assert_eq!(code, Some(77), "{arguments:?}: {told}");
            assert!(told.contains(path) && told.contains("help:"), "{arguments:?}: {told}");
        }
        true
    };
    // The way to the directory is closed, then only the socket is.
    if !refused("control.sock") {
        return assert_eq!(engine.down(), 0);
    }
    for path in [engine.home(), &directory] {
        std::fs::set_permissions(path, Permissions::from_mode(0o711)).expect("open the way");
    }
    assert!(refused("control.sock"));
    assert_eq!(engine.run(&["status"]).code, 0);
    engine.supervisor().signal(Signal::Term);
    assert_eq!(engine.wait(SOON), 0);
    assert_eq!(as_nobody(&engine, &["status"]).map(|(code, _)| code), Some(Some(77)), "the lock alone is left");
}

#[test]
fn only_the_engines_user_reads_what_is_in_its_directory() {
    let mut engine = Engine::up(EVERCREW, SLEEPERS);
    let directory = engine.home().join(".evercrew");
    let mode = |name: &str| std::fs::metadata(directory.join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(
        ["lock", "instance", "control.sock", "notify"].map(|name| (name, mode(name))),
        [("lock", 0o600), ("instance", 0o600), ("control.sock", 0o600), ("notify", 0o700)]
    );
    assert_eq!(engine.down(), 0);
}

#[test]
fn the_version_is_told_in_every_usual_way_and_nothing_at_all_is_wrong_usage() {
    let run = |arguments: &[&str]| std::process::Command::new(EVERCREW).args(arguments).output().expect("run");
    let version = format!("evercrew {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in ["version", "--version", "-V"] {
        let output = run(&[arguments]);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), &*version));
    }
    let bare = run(&[]);
    assert_eq!(bare.status.code(), Some(2));
    let told = String::from_utf8_lossy(&bare.stderr);
    assert!(bare.stdout.is_empty() && told.contains("Usage:") && told.contains("status"), "{told}");
}

#[test]
fn users_that_are_not_there_are_told_with_their_line() {
    let engine = Engine::new(
        EVERCREW,
        "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nuser = \"no-such-user\"\ngroup = \"no-such-group\"\n",
    );
    for command in ["check", "up"] {
        let output = engine.run(&[command]);
        assert_eq!(output.code, 78);
        for told in ["evercrew.toml:3", "no-such-user", "evercrew.toml:4", "no-such-group", "2 errors"] {
            assert!(output.stderr.contains(told), "{told}: {}", output.stderr);
        }
    }
}

#[test]
fn a_directory_too_deep_for_notify_sockets_is_78_before_anything_starts() {
    let notified = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nready = \"notify\"\n";
    let engine = Engine::new(EVERCREW, notified);
    let name = "/notify/sleep.10000.4294967295".len();
    // The engine's directory such that the longest path has this many bytes.
    let deep = |length: usize| format!("/{}", "d".repeat(length - name - 1));
    let refused = engine.run(&["up", "--directory", &deep(108)]);
    assert_eq!(refused.code, 78, "{}", refused.stderr);
    for told in ["sleep.10000.4294967295", "108", "107", "engine.directory"] {
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    assert!(!std::path::Path::new(&deep(108)).exists());
    assert_eq!(engine.run(&["check", "--directory", &deep(108)]).code, 78);
    assert_eq!(engine.run(&["check", "--directory", &deep(107)]).code, 0);
    engine.configure("[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nheartbeat = { interval = \"1s\" }\n");
    assert_eq!(engine.run(&["check", "--directory", &deep(108)]).code, 78);
    engine.configure(SLEEPERS);
    assert_eq!(engine.run(&["check", "--directory", &deep(108)]).code, 0, "nobody needs one");
}

#[test]
fn the_configuration_is_shown_with_origins_and_its_schema_is_json() {
    let engine = Engine::new(EVERCREW, SLEEPERS).with("EVERCREW__SERVICE__SLEEP__UMASK", "027");
    let shown = engine.ok(&["config", "show", "--origin", "--json", "--set", "engine.exit=any-failed"]);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["file"], json!(engine.home().join("evercrew.toml")));
    let key = |name: &str| {
        let keys = shown["keys"].as_array().expect("keys").iter();
        let found: Vec<&Value> = keys.filter(|key| key["key"] == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    };
    let workers = key("service.sleep.workers");
    assert_eq!((&workers["value"], &workers["origin"]["kind"]), (&json!(2), &json!("file")));
    assert_eq!(workers["origin"]["line"], 3);
    assert_eq!(key("service.sleep.umask")["origin"]["variable"], "EVERCREW__SERVICE__SLEEP__UMASK");
    assert_eq!(key("engine.exit")["origin"]["kind"], "command-line");
    assert_eq!(key("engine.directory")["origin"]["kind"], "default");
    let text = engine.ok(&["config", "show", "--origin"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("service.sleep.workers = 2 ") && line.contains(":3")), "{text}");
    let schema: Value = serde_json::from_str(&engine.ok(&["schema"]).stdout).expect("JSON");
    assert!(schema["properties"]["service"].is_object(), "{schema}");
    engine.configure("[service.sleep]\ncommnd = [\"sleep\"]\n");
    let broken = engine.run(&["config", "show", "--origin", "--json"]);
    assert_eq!((broken.code, broken.stdout.as_str()), (78, ""), "{}", broken.stderr);
    assert!(broken.stderr.contains("evercrew.toml:2"), "{}", broken.stderr);
    engine.configure("not toml at all [");
    assert_eq!(engine.run(&["config", "show"]).code, 78);
    assert_eq!(engine.run(&["schema"]).code, 0, "it is the same for every file");
}
