//! Programs under test, as `cargo xtask programs` installs them.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where the sources of small programs under test are.
pub fn apps() -> PathBuf {
    workspace().join("e2e/apps")
}

/// The path of an installed program. `None`, with a line that says why the test is skipped, when it is not there.
pub fn program(name: &str) -> Option<String> {
    let programs = workspace().join(".programs");
    let path = programs.join("bin").join(name);
    if path.exists() {
        return Some(path.display().to_string());
    }
    let reason = std::fs::read_to_string(programs.join("skipped").join(name));
    println!("SKIP {name}: {}", reason.as_deref().unwrap_or("not installed, run `cargo xtask programs`"));
    None
}

/// A port of the loopback that nothing listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    listener.local_addr().expect("its address").port()
}

/// A program of another language as a service; `e2e/apps/README.md` tells how each behaves.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// As in `.programs/bin`, or an absolute path.
    pub program: &'static str,
    /// What follows it; `APPS` stands for the folder of the sources.
    pub arguments: &'static [&'static str],
    /// Readiness and the like, as lines of the service's table.
    pub settings: &'static str,
    /// Whether it answers HTTP on the listener.
    pub serves: bool,
}

impl Foreign {
    /// ASGI on an inherited descriptor; readiness is unknown.
    pub const UVICORN: Self = Self {
        program: "uvicorn",
        arguments: &["--app-dir", "APPS", "asgi:app", "--fd", "3", "--lifespan", "off", "--no-access-log"],
        settings: "",
        serves: true,
    };
    /// A master with a worker of its own.
    pub const GUNICORN: Self = Self {
        program: "gunicorn",
        arguments: &["--chdir", "APPS", "--no-control-socket", "--workers", "1", "wsgi:app"],
        settings: "ready = \"notify\"\n",
        serves: true,
    };
    /// Threads; it also beats.
    pub const PUMA: Self = Self {
        program: "puma",
        arguments: &["-C", "APPS/puma.rb"],
        settings: "ready = \"notify\"\nheartbeat = { interval = \"1s\", timeout = \"10s\" }\n",
        serves: true,
    };
    /// A master with a worker of its own, that drains on QUIT alone; readiness is unknown.
    pub const UNICORN: Self = Self {
        program: "unicorn",
        arguments: &["-c", "APPS/unicorn.rb", "-E", "production", "APPS/config.ru"],
        settings: "stop = { signal = \"QUIT\" }\n",
        serves: true,
    };
    /// Readiness is a line on a descriptor.
    pub const NODE: Self = Self {
        program: "node",
        arguments: &["APPS/server.js"],
        settings: "ready = { fd = 4 }\nenv = { READY_FD = \"4\" }\n",
        serves: true,
    };
    /// A script with a child, that holds the listener and cannot accept.
    pub const SH: Self = Self {
        program: "/bin/sh",
        arguments: &["APPS/worker.sh"],
        settings: "ready = { fd = 4 }\nenv = { READY_FD = \"4\" }\n",
        serves: false,
    };

    /// A configuration with the service `web`, two workers of this program behind one listener at this port. `None`,
    /// with a line that says why, when the program is not installed.
    pub fn configuration(&self, port: u16) -> Option<String> {
        let program = if self.program.starts_with('/') { self.program.to_owned() } else { program(self.program)? };
        let apps = apps().display().to_string();
        let arguments = self.arguments.iter().map(|argument| argument.replace("APPS", &apps));
        let command: Vec<String> = std::iter::once(program).chain(arguments).collect();
        Some(format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\ncommand = {command:?}\nlisten = [\"web\"]\n\
             workers = 2\nrollout = {{ settle = \"1s\" }}\n{}",
            self.settings
        ))
    }
}
