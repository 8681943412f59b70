//! One engine in a directory of its own.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::events::Events;
use crate::processes::{self, Process};

/// Longer than anything takes on a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine and its directory. Dropping it ends every process of it.
#[derive(Debug)]
pub struct Engine {
    binary: PathBuf,
    home: TempDir,
    variables: Vec<(String, String)>,
    /// Words in front of `up`: a program that becomes it.
    through: Vec<String>,
    up: Option<Child>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code, or 128 + the signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// A worker as `status --json` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// `web.1`.
    pub name: String,
    /// Its process.
    pub pid: Option<u32>,
    /// `ready`.
    pub state: String,
    /// From 1.
    pub generation: u64,
    /// Unplanned ones.
    pub restarts: u64,
    /// The whole entry.
    pub json: Value,
}

impl Engine {
    /// A directory with this configuration; nothing runs yet. `binary` is `env!("CARGO_BIN_EXE_evercrew")`.
    pub fn new(binary: &str, configuration: &str) -> Self {
        let home = tempfile::Builder::new().prefix("ec").tempdir().expect("make a directory");
        let engine = Self { binary: binary.into(), home, variables: Vec::new(), through: Vec::new(), up: None };
        engine.configure(configuration);
        engine
    }

    /// An engine with this configuration, all of it ready.
    pub fn up(binary: &str, configuration: &str) -> Self {
        let mut engine = Self::new(binary, configuration);
        engine.start();
        engine.ready();
        engine
    }

    /// With a variable in the engine's environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// `up` is run by these words, which have to become what follows them.
    #[must_use]
    pub fn through(mut self, words: &[&str]) -> Self {
        self.through = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Its directory: the configuration file's.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes the configuration file.
    pub fn configure(&self, configuration: &str) {
        std::fs::write(self.home().join("evercrew.toml"), configuration).expect("write the configuration");
    }

    /// Writes an executable script.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home().join(name);
        std::fs::write(&path, text).expect("write a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("make it executable");
        path
    }

    /// Runs `up` in the background; its output goes to a file.
    pub fn start(&mut self) {
        self.start_as(&[], &[]);
    }

    /// Runs `up` with these arguments in the background.
    pub fn start_with(&mut self, arguments: &[&str]) {
        self.start_as(&[], arguments);
    }

    /// Runs `up` in the background by another program, which executes its last arguments (`nohup`, `setpriv …`).
    pub fn start_under(&mut self, wrapper: &[&str]) {
        self.start_as(wrapper, &[]);
    }

    fn start_as(&mut self, wrapper: &[&str], arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.home().join("up.log")).expect("open the log");
        let through: Vec<&str> = self.through.iter().map(String::as_str).chain(wrapper.iter().copied()).collect();
        let mut command = self.command_under(&through, &[&["up"], arguments].concat());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share the log")).stderr(log);
        self.up = Some(command.spawn().expect("run the binary"));
    }

    /// What `up` printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.home().join("up.log")).unwrap_or_default()).into_owned()
    }

    /// Waits until every service is ready.
    pub fn ready(&self) {
        let output = self.run(&["wait", "--ready", "--timeout", "60s"]);
        assert_eq!(output.code, 0, "not ready: {}\n{}", output.stderr, self.log());
    }

    fn command_under(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = match wrapper {
            [] => Command::new(&self.binary),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(&self.binary);
                command
            }
        };
        command.arg("-c").arg(self.home().join("evercrew.toml")).args(arguments);
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "EVERCREW_DIRECTORY", "WEB_CONCURRENCY"] {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_under(&[], arguments)
    }

    /// Runs a command by another program, as [`Engine::start_under`].
    pub fn run_under(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        let output = self.command_under(wrapper, arguments).stdin(Stdio::null()).output().expect("run the binary");
        Output {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must end with 0.
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}{}\n{}", output.stdout, output.stderr, self.log());
        output
    }

    /// `status --json`; any state of the services will do.
    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        assert!(output.code == 0 || output.code == 1, "status: {} {}\n{}", output.code, output.stderr, self.log());
        serde_json::from_str(&output.stdout).expect("status is JSON")
    }

    /// The workers of a service.
    pub fn workers(&self, service: &str) -> Vec<Worker> {
        workers(&self.status(), service)
    }

    /// The pids of a service's workers, by slot.
    pub fn pids(&self, service: &str) -> Vec<u32> {
        self.workers(service).iter().filter_map(|worker| worker.pid).collect()
    }

    /// The manager's process.
    pub fn manager(&self) -> Process {
        let pid = self.status()["manager"]["pid"].as_u64().expect("a manager's pid");
        Process::open(u32::try_from(pid).expect("a pid"))
    }

    /// The supervisor's process.
    pub fn supervisor(&self) -> Process {
        let up = Process::open(self.up.as_ref().expect("started").id());
        if !self.through.iter().any(|word| word == "--fork") {
            return up;
        }
        let child = up.children().first().copied().expect("a process in its own view of the kernel");
        Process::open(child)
    }

    /// Follows events from number `since` on (1 for all).
    pub fn events(&self, since: u64) -> Events {
        Events::follow(self.home().join(".evercrew/control.sock"), since)
    }

    /// Waits for `up` to end; its exit code.
    pub fn wait(&mut self, patience: Duration) -> i32 {
        let mut up = self.up.take().expect("started");
        let process = Process::open(up.id());
        assert!(process.gone_within(patience), "the engine did not end in {patience:?}\n{}", self.log());
        code(up.wait().expect("reap the engine"))
    }

    /// `down`, and the exit code of `up`.
    pub fn down(&mut self) -> i32 {
        self.ok(&["down"]);
        self.wait(PATIENCE)
    }

    /// Every process of this engine, by its mark in the environment.
    pub fn processes(&self) -> Vec<u32> {
        match std::fs::read_to_string(self.home().join(".evercrew/instance")) {
            Ok(instance) => processes::with_environment(&format!("EVERCREW_INSTANCE={}", instance.trim())),
            Err(_) => Vec::new(),
        }
    }

    /// Waits until no process of this engine is left.
    pub fn nothing_left_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            let left = self.processes();
            let Some(pid) = left.first() else { return true };
            let Some(time) = until.checked_duration_since(Instant::now()) else { return false };
            if let Some(process) = Process::try_open(*pid) {
                process.gone_within(time);
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            if let Some(process) = Process::try_open(up.id()) {
                process.signal(Signal::Quit);
                if !process.gone_within(Duration::from_secs(10)) {
                    process.signal(Signal::Kill);
                }
            }
            let _ = up.wait();
        }
        for pid in self.processes() {
            if let Some(process) = Process::try_open(pid) {
                process.signal(Signal::Kill);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- the engine's own output\n{}", self.log());
        }
    }
}

/// The workers of a service in a status document.
fn workers(status: &Value, service: &str) -> Vec<Worker> {
    let services = status["services"].as_array().expect("services");
    let service = services.iter().find(|entry| entry["name"] == service).expect("the service");
    let worker = |entry: &Value| Worker {
        name: entry["name"].as_str().expect("a name").to_owned(),
        pid: entry["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
        state: entry["state"].as_str().expect("a state").to_owned(),
        generation: entry["generation"].as_u64().expect("a generation"),
        restarts: entry["restarts"].as_u64().expect("restarts"),
        json: entry.clone(),
    };
    service["workers"].as_array().expect("workers").iter().map(worker).collect()
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
