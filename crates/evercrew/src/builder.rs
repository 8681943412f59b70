//! From services to a server that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use evercrew_cli::Program;
use evercrew_worker::BoxError;

use crate::embedded::{self, Embedded};
use crate::error::{Error, Result};
use crate::hooks::{Hooks, NAME as OBSERVER, Prepare};
use crate::observer::Event;
use crate::service::{BEFORE_FORK, Kind, Service};
use crate::toml;

/// What a server is to be.
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    listeners: Vec<(String, String)>,
    services: Vec<Service>,
    engine: BTreeMap<String, String>,
    hooks: Hooks,
}

/// A server that can be started.
#[derive(Debug)]
pub struct Server {
    pub(crate) listeners: Vec<(String, String)>,
    /// With the listeners of each.
    pub(crate) services: Vec<(Service, Vec<String>)>,
    pub(crate) hooks: Hooks,
    values: String,
}

impl Server {
    /// A server without anything.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The configuration that it is, as TOML.
    pub fn configuration(&self) -> &str {
        &self.values
    }

    /// As [`Builder::run`].
    pub fn run(self) {
        let code = self.program().up();
        std::process::exit(i32::from(code));
    }

    /// As [`Builder::main`].
    pub fn main(self) {
        let code = self.program().main();
        std::process::exit(i32::from(code));
    }

    fn program(&self) -> Program {
        let mut program = Program::new();
        for (service, _) in self.services.clone() {
            if let Some(hook) = service.before_fork.clone() {
                program = program.worker(&format!("{}{BEFORE_FORK}", service.name), false, move || prepare(&hook));
            }
            let Kind::Own { work, listens, .. } = service.kind.clone() else { continue };
            let name = service.name.clone();
            program = program.worker(&name, listens, move || work(service.life()));
        }
        let program = program.values(self.values.clone());
        match self.hooks.again() {
            Some(again) => program.values_again(again),
            None => program,
        }
    }
}

impl Builder {
    /// A socket that the engine opens once and every worker of the services on it shares: `127.0.0.1:8080`, `[::]:80` or
    /// `unix:run/web.sock`.
    pub fn listen(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.listeners.push((name.into(), address.into()));
        self
    }

    /// A set of workers.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Where the engine has its control socket, its lock and its logs: relative to where the program is started.
    /// `.evercrew`.
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        let directory: PathBuf = directory.into();
        self.set("directory", toml::string(&directory.to_string_lossy()))
    }

    /// Any key of `[engine]`, as the configuration reference has it, with its value as TOML.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.engine.insert(key.into(), value.into());
        self
    }

    /// Calls `observe` for everything that happens: workers that are spawned, ready, silent, asked to leave and gone,
    /// rollouts and reloads. It runs in a process of its own, the service `observer`, which may take its time, block or
    /// die: the engine waits for nothing that it does. Several may observe.
    ///
    /// ```no_run
    /// # fn build() -> evercrew::Builder { evercrew::Server::builder() }
    /// build().on_event(|event| println!("{} {}", event.kind(), event.worker().unwrap_or_default()));
    /// ```
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.observers.push(Arc::new(observe));
        self
    }

    /// Calls `observe` for each heartbeat of each worker, in the same process: `worker.heartbeat`, with the worker, its
    /// process and generation. The engine tells beats to nobody else, and drops what is not read in time; `missed` says
    /// how many.
    pub fn on_heartbeat(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.on_heartbeat.push(Arc::new(observe));
        self
    }

    /// Runs once in the life of an engine, before any service starts, in the process that observes. While it fails it is
    /// tried again as a failed worker is, and nothing else starts. It may take `ready_timeout`, 60 s.
    pub fn before_run(mut self, hook: impl Fn() -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        self.hooks.before_run = Some(Arc::new(hook));
        self
    }

    /// Runs when every service has ended after a graceful stop, in the process that observes; it may take 30 s. An
    /// immediate stop does not wait for it.
    pub fn after_run(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks.after_run = Some(Arc::new(hook));
        self
    }

    /// What a reload takes the configuration from: what `build` gives lies under the file as that did which was built at
    /// the start, and what became different is done. It is called in a thread of the manager, so an error, a panic or an
    /// answer that takes long changes nothing. Workers that are started later run the program from its beginning, so
    /// `main` should build in the same way. It cannot add services that are part of the program: those need a new start.
    ///
    /// ```no_run
    /// use evercrew::{Builder, BoxError, Server, custom};
    ///
    /// fn build() -> Result<Builder, BoxError> {
    ///     let workers = std::fs::read_to_string("workers")?.trim().parse()?;
    ///     Ok(Server::builder().service(custom("sweeper", |_| Ok(())).workers(workers)))
    /// }
    /// # fn main() -> Result<(), BoxError> {
    /// build()?.reload_from(build).main()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload_from(mut self, build: impl Fn() -> Result<Builder, BoxError> + Send + Sync + 'static) -> Self {
        self.hooks.rebuild = Some(Arc::new(build));
        self
    }

    /// Checks everything that can be told before a start: what is built here, as if there were neither a file nor
    /// variables that take the place of something.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn build(mut self) -> Result<Server> {
        if self.services.is_empty() {
            return Err(Error::Empty);
        }
        self.add_hooks();
        once("listener", self.listeners.iter().map(|(name, _)| name))?;
        once("service", self.services.iter().map(|service| &service.name))?;
        let mut services = Vec::new();
        for service in self.services {
            let listeners = listeners_of(&service, &self.listeners)?;
            if service.threads != 1 && !matches!(service.kind, Kind::Own { threads: true, .. }) {
                let reason = "only http, connections and custom run in several threads";
                return Err(Error::Unfit { service: service.name, reason });
            }
            if service.threads == 0 {
                return Err(Error::Unfit { service: service.name, reason: "a worker has one thread at least" });
            }
            services.push((service, listeners));
        }
        let mut values = String::new();
        if !self.engine.is_empty() {
            values.push_str("[engine]\n");
            self.engine.iter().for_each(|(key, value)| values.push_str(&format!("{key} = {value}\n")));
        }
        for (name, address) in &self.listeners {
            values.push_str(&format!("[listen.{}]\naddress = {}\n", toml::string(name), toml::string(address)));
        }
        services.iter().for_each(|(service, listeners)| values.push_str(&service.table(listeners)));
        let server = Server { listeners: self.listeners, services, hooks: self.hooks, values };
        server.program().check().map_err(Error::Configuration)?;
        Ok(server)
    }

    /// The service that runs hooks, and the order that some of them need.
    fn add_hooks(&mut self) {
        for service in &self.services {
            if let Some(hook) = service.after_start.clone() {
                let name = service.name.clone();
                self.hooks.observers.push(Arc::new(move |event| {
                    if event.kind() == "worker.ready" && event.service() == Some(&name) {
                        hook(event);
                    }
                }));
            }
        }
        let Some(observer) = self.hooks.service() else { return };
        if self.hooks.brackets() {
            self.services.iter_mut().for_each(|service| service.after.push(OBSERVER.to_owned()));
        }
        self.services.push(observer);
    }

    /// Starts everything in the foreground, as the command `up` does, whatever the program's arguments are, and ends this
    /// process when it has ended: 0 after a stop that was asked for. In every other process of the server this is where
    /// its part begins. A file `evercrew.toml` where the program is started, EVERCREW__SERVICE__WEB__WORKERS=2 and the
    /// like take the place of what was built, key by key.
    ///
    /// # Errors
    /// What is wrong with what was built; nothing was started then.
    pub fn run(self) -> Result<()> {
        self.build()?.run();
        Ok(())
    }

    /// Gives the program the engine's whole command line: `up`, `down`, `status`, `restart`, `scale`, `reload`, `logs`
    /// and so on, and `--help` for all of them. `-c FILE` and `--set` take the place of what was built, key by key.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn main(self) -> Result<()> {
        self.build()?.main();
        Ok(())
    }

    /// Runs all services as threads of this process, without an engine: for tests, and to look at a program with a
    /// debugger. Nothing is restarted, and foreign programs cannot be part of it.
    ///
    /// # Errors
    /// What is wrong with what was built, a socket that cannot be opened, or a foreign program.
    pub fn embedded(self) -> Result<Embedded> {
        embedded::start(self.build()?)
    }
}

/// Runs a hook as a process; gives its exit code.
fn prepare(hook: &Prepare) -> u8 {
    match hook() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("before_fork has failed: {error}");
            1
        }
    }
}

fn once<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::Twice { what, name: name.clone() });
        }
    }
    Ok(())
}

/// Those that it names, the one of its own name, or the only one.
fn listeners_of(service: &Service, known: &[(String, String)]) -> Result<Vec<String>> {
    let is_known = |wanted: &String| known.iter().any(|(name, _)| name == wanted);
    if let Some(listeners) = &service.listeners {
        let unknown = listeners.iter().find(|listener| !is_known(listener)).cloned();
        return match unknown {
            Some(listener) => Err(Error::UnknownListener { service: service.name.clone(), listener }),
            None => Ok(listeners.clone()),
        };
    }
    let Kind::Own { listens: true, .. } = service.kind else { return Ok(Vec::new()) };
    match known {
        [(only, _)] => Ok(vec![only.clone()]),
        _ if is_known(&service.name) => Ok(vec![service.name.clone()]),
        _ => Err(Error::NoListener { service: service.name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{command, custom, task};

    fn idle(name: &str) -> Service {
        custom(name, |_| Ok(()))
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_starts() {
        assert!(matches!(Server::builder().build(), Err(Error::Empty)));
        let twice = Server::builder().service(idle("a")).service(idle("a")).build();
        assert!(matches!(twice, Err(Error::Twice { what: "service", name }) if name == "a"));
        let listeners = Server::builder().listen("a", "x").listen("a", "y").service(idle("b")).build();
        assert!(matches!(listeners, Err(Error::Twice { what: "listener", .. })));
        let serve = || crate::connections("web", |_, _| async {});
        let none = Server::builder().service(serve()).build();
        assert!(matches!(none, Err(Error::NoListener { service }) if service == "web"));
        let unknown = Server::builder().listen("a", "127.0.0.1:0").service(serve().on(["b"])).build();
        assert!(matches!(unknown, Err(Error::UnknownListener { listener, .. }) if listener == "b"));
        let task = Server::builder().service(task("t", |_| async { Ok(()) }).threads(2)).build();
        assert!(matches!(task, Err(Error::Unfit { .. })));
        assert!(matches!(Server::builder().service(idle("a").threads(0)).build(), Err(Error::Unfit { .. })));
    }

    #[test]
    fn what_makes_no_configuration_is_an_error_of_that_type() {
        let told = |builder: Builder| match builder.build() {
            Err(Error::Configuration(text)) => text,
            other => panic!("{other:?}"),
        };
        let serve = |name: &str| crate::connections(name, |_, _| async {});
        let address = told(Server::builder().listen("web", "nowhere").service(serve("web")));
        assert!(address.contains("address = \"nowhere\"") && address.contains("127.0.0.1:8080"), "{address}");
        let key = told(Server::builder().service(idle("a").set("wrokers", "2")));
        assert!(key.contains("`workers`"), "{key}");
        let value = told(Server::builder().service(idle("a").set("nice", "[")));
        assert!(value.contains("nice"), "{value}");
        let name = told(Server::builder().service(idle("a b")));
        assert!(name.contains("a b"), "{name}");
        let after = told(Server::builder().service(idle("a").after(["b"])));
        assert!(after.contains("\"b\""), "{after}");
        let engine = told(Server::builder().service(idle("a")).set("signals", "\"none\""));
        assert!(engine.contains("signals"), "{engine}");
        let file = told(Server::builder().service(idle("a").set("env_file", "[\"missing.env\"]")));
        assert!(file.contains("missing.env"), "{file}");
        // Everything at once, and what was checked leaves no trace for the next one.
        let all = told(Server::builder().service(idle("a").workers(1_000_000).set("x", "1")));
        assert!(all.contains("workers") && all.contains("`x`"), "{all}");
        assert!(Server::builder().service(idle("a")).build().is_ok());
    }

    #[test]
    fn it_becomes_a_configuration() {
        let server = Server::builder()
            .listen("web", "127.0.0.1:8080")
            .directory("/run/x")
            .service(crate::connections("web", |_, _| async {}).workers(3).env("A", "b\"c"))
            .service(command("tick", ["sleep", "1"]).after(["web"]))
            .build()
            .expect("a server");
        let expected = "[engine]\ndirectory = \"/run/x\"\n[listen.\"web\"]\naddress = \"127.0.0.1:8080\"\n\
            [service.\"web\"]\nbuiltin = \"web\"\nlisten = [\"web\"]\ncommand_pipe = true\nworkers = 3\nenv = { \"A\" = \"b\\\"c\" }\n\
            [service.\"tick\"]\ncommand = [\"sleep\", \"1\"]\nafter = [\"web\"]\n";
        assert_eq!(server.configuration(), expected);
    }
}
