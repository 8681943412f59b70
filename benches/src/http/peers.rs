//! The servers, each with two workers.

use std::convert::Infallible;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{apps, free_port, program, workspace};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    kind: Kind,
}

enum Kind {
    Ours,
    Hyper,
    Program(String),
}

impl Peer {
    /// Those that are here, ours first.
    pub(crate) fn all(only: &[String]) -> Vec<Self> {
        let mut all = vec![
            Self { name: "evercrew", kind: Kind::Ours },
            Self { name: "hyper alone, 1 process, 2 threads", kind: Kind::Hyper },
        ];
        if let Some(nginx) = program("nginx") {
            all.push(Self { name: "nginx `return 200`", kind: Kind::Program(nginx) });
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(granian) =
            std::env::split_paths(&path).map(|folder| folder.join("granian")).find(|path| path.is_file())
        {
            all.push(Self { name: "granian (asgi)", kind: Kind::Program(granian.display().to_string()) });
        }
        all.retain(|peer| only.is_empty() || only.iter().any(|name| peer.name.starts_with(name.as_str())));
        all
    }

    pub(crate) fn start(&self) -> Running {
        let port = free_port();
        match &self.kind {
            Kind::Ours => {
                let binary = workspace().join("target/release/evercrew");
                let engine = Engine::up(
                    binary.to_str().expect("UTF-8"),
                    &format!(
                        "[listen.l]\naddress = \"127.0.0.1:{port}\"\n[service.s]\nbuiltin = \"hello\"\nlisten = [\"l\"]\nworkers = 2\n"
                    ),
                );
                let processes = engine.pids("s").into_iter().map(Process::open).collect();
                Running { port, processes, _server: Server::Ours(Box::new(engine)) }
            }
            Kind::Hyper => {
                let mut command = Command::new(std::env::current_exe().expect("our own path"));
                command.args(["serve-hyper", &port.to_string()]);
                Running::child(port, command, None)
            }
            Kind::Program(program) => {
                let home = tempfile::tempdir().expect("make a directory");
                let mut command = Command::new(program);
                if self.name.starts_with("nginx") {
                    let path = home.path().join("nginx.conf");
                    std::fs::write(&path, NGINX.replace("PORT", &port.to_string())).expect("write a file");
                    command.arg("-p").arg(home.path()).arg("-c").arg(path).args(["-e", "stderr"]);
                } else {
                    let apps = apps().display().to_string();
                    command.args(["--interface", "asgi", "--workers", "2", "--host", "127.0.0.1", "--port"]);
                    command.args([&port.to_string(), "--working-dir", &apps, "--no-ws", "asgi:app"]);
                }
                Running::child(port, command, Some(home))
            }
        }
    }
}

const NGINX: &str = "daemon off;
worker_processes 2;
pid nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type text/plain;
    server {
        listen 127.0.0.1:PORT backlog=1024;
        location = / { return 200 \"Hello from nginx\\nworker web.1\\npid 12345\\n\"; }
    }
}
";

/// A server that answers.
pub(crate) struct Running {
    pub(crate) port: u16,
    processes: Vec<Process>,
    _server: Server,
}

enum Server {
    Ours(#[allow(dead_code)] Box<Engine>),
    Child(Child, #[allow(dead_code)] Option<tempfile::TempDir>),
}

impl Running {
    fn child(port: u16, mut command: Command, home: Option<tempfile::TempDir>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("run the program");
        let until = Instant::now() + SOON;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "nothing listens");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        std::thread::park_timeout(Duration::from_millis(500));
        let mut processes = vec![Process::open(child.id())];
        let mut next = 0;
        while next < processes.len() {
            let children = processes[next].children();
            processes.extend(children.into_iter().filter_map(Process::try_open));
            next += 1;
        }
        Self { port, processes, _server: Server::Child(child, home) }
    }

    /// Processor time of its processes so far, to the nanosecond.
    pub(crate) fn cpu(&self) -> Duration {
        let of = |process: &Process| {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid)).expect("its threads");
            let nanos = tasks.filter_map(|task| {
                let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split(' ').next()?.parse::<u64>().ok()
            });
            nanos.sum::<u64>()
        };
        Duration::from_nanos(self.processes.iter().map(of).sum())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Server::Child(child, _) = &mut self._server {
            let processes = &self.processes;
            processes[0].signal(evercrew_core::Signal::Term);
            for process in processes {
                if !process.gone_within(Duration::from_secs(3)) {
                    process.signal(evercrew_core::Signal::Kill);
                }
            }
            let _ = child.wait();
        }
    }
}

/// What a Rust author writes without us.
pub(crate) fn serve_hyper(port: u16) {
    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = Bytes::from_static(b"Hello from hyper\nworker web.1\npid 12345\n");
        let response = Response::builder().header("content-type", "text/plain; charset=utf-8").body(Full::new(body));
        Ok(response.expect("a response"))
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(answer);
                let connection =
                    http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
                let _ = connection.await;
            });
        }
    });
}
