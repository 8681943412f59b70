//! From a fleet's `Spawn` to the record that the supervisor carries out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::growth;
use crate::identity::{self, Identity};
use crate::listeners;
use evercrew_config::{Durability, Engine, Http, Listener, Program, Ready, Service, Settings};
use evercrew_core::fleet::{StopLadder, WorkerId};
use evercrew_core::{Level, Signal};
use evercrew_sys::spawn::{FindError, find_program};
use evercrew_wire::Text;
use evercrew_wire::queue::Settings as Queue;
use evercrew_wire::supervisor::{self as wire, Bounds, Credentials, Descriptor, Label, NotifySocket, Source, Spawn};

/// Where a role process finds its first descriptor.
const ROLE_DESCRIPTOR: i32 = 3;
/// The variable that has the title of a process that was started with the program's own arguments.
const TITLE: &str = "EVERCREW_ROLE_TITLE";
/// First descriptor of a listener, by convention.
const FIRST_LISTENER: i32 = 3;
/// The supervisor's own patience when it must stop a worker whose ladder has no end.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// What every worker of this engine has in common.
#[derive(Debug)]
pub(crate) struct Launcher {
    directory: PathBuf,
    instance: String,
    /// The engine's environment, less what is not meant for workers.
    environment: BTreeMap<OsString, OsString>,
    nofile: (u64, u64),
    /// Whom the engine's own processes run as, where not as the supervisor, and what their files are made without.
    own: Option<Credentials>,
    umask: Option<u32>,
    /// Programs by service and version, found on PATH once: a lookup is not repeated at every restart.
    found: BTreeMap<(String, u64), PathBuf>,
    /// What the engine's own processes are started with in the place of their titles.
    arguments: Option<Vec<OsString>>,
}

impl Launcher {
    pub(crate) fn new(engine: &Engine, instance: String, nofile: (u64, u64)) -> Self {
        let environment = std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect();
        let own = identity::of_engine(engine, identity::supervisor(engine)).ok().flatten();
        Self {
            directory: engine.directory.clone(),
            instance,
            environment,
            nofile,
            own: own.map(|identity| identity.credentials),
            umask: engine.umask,
            found: BTreeMap::new(),
            arguments: None,
        }
    }

    /// From here on the engine's own processes are started with these.
    pub(crate) fn keep_arguments(&mut self, arguments: Option<Vec<OsString>>) {
        self.arguments = arguments;
    }

    /// Arguments of one of our own processes, and a title that they leave no place for.
    fn arguments(&self, title: String) -> (Vec<Text>, Option<String>) {
        match &self.arguments {
            None => (vec![Text::from(&title)], None),
            Some(arguments) => {
                (arguments.iter().map(|argument| Text(argument.as_bytes().to_vec())).collect(), Some(title))
            }
        }
    }

    /// The engine's own output process.
    pub(crate) fn logger(&self, worker: WorkerId, label: Label) -> Spawn {
        let source = |number, source| Descriptor { number, source };
        let descriptors = vec![
            source(0, Source::Null),
            source(1, Source::Inherit(1)),
            source(2, Source::Inherit(2)),
            source(ROLE_DESCRIPTOR, Source::Link),
        ];
        let mut spawn = self.role("logger", worker, label, descriptors);
        spawn.environment.extend(std::env::var_os("NO_COLOR").map(|value| entry("NO_COLOR", &value)));
        spawn.credentials = self.own.clone();
        spawn.umask = self.umask;
        spawn
    }

    /// Who owns what the supervisor makes for the engine, where that is not the supervisor's own user.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        self.own.as_ref().map(|own| (own.uid, own.gid))
    }

    fn role(&self, role: &str, worker: WorkerId, label: Label, descriptors: Vec<Descriptor>) -> Spawn {
        let (arguments, title) = self.arguments(format!("evercrew: {} [{}]", role, self.directory.display()));
        let title = title.map(|title| entry(TITLE, title.as_ref()));
        let names = [("EVERCREW_WORKER", label.name.as_str()), ("EVERCREW_INSTANCE", self.instance.as_str())];
        Spawn {
            worker: worker.0,
            arguments,
            environment: names.into_iter().map(|(name, value)| entry(name, value.as_ref())).chain(title).collect(),
            label,
            program: wire::Program::Attached,
            pid_variables: vec![role_variable(role)],
            directory: Text::from(&self.directory),
            descriptors,
            notify: None,
            die_with_supervisor: false,
            limits: Vec::new(),
            credentials: None,
            umask: None,
            nice: None,
            oom_score_adj: None,
            bounds: Bounds::default(),
            stop_signal: Signal::Term.name().to_owned(),
            stop_grace_ms: 5000,
        }
    }

    /// A worker of a service.
    ///
    /// # Errors
    /// When its program cannot be found.
    pub(crate) fn worker(
        &mut self,
        worker: WorkerId,
        (service, settings): (&Service, &Settings),
        identity: Option<&Identity>,
        level: Option<Level>,
        label: Label,
    ) -> Result<Spawn, FindError> {
        let mut environment = self.environment_of(service, identity);
        // What an operator set while the engine runs is for those that come as well.
        environment.extend(level.map(|level| ("EVERCREW_LOG".into(), level.name().into())));
        let (program, arguments) = match &service.program {
            Program::Command(command) => {
                let program = self.find((service, label.epoch), command, &environment)?;
                (wire::Program::Path(Text::from(&program)), command.iter().map(Text::from).collect())
            }
            Program::Builtin(_) | Program::Queue => {
                let what = if let Program::Builtin(builtin) = &service.program { builtin } else { "queue" };
                let title = format!("evercrew: {} {what} [{}]", label.name, self.directory.display());
                let (arguments, title) = self.arguments(title);
                environment.extend(title.map(|title| (TITLE.into(), title.into())));
                (wire::Program::Attached, arguments)
            }
        };
        if let (Program::Queue, Some(queue)) = (&service.program, &settings.queue) {
            environment.insert(Queue::VARIABLE.into(), queue_settings(queue).encode().into());
        }
        let mut pid_variables = Vec::new();
        let owner = identity.map(|identity| (identity.credentials.uid, identity.credentials.gid));
        let notify =
            self.speak_conventions((service, settings), (worker, &label), &mut environment, &mut pid_variables);
        let notify = notify.map(|path| NotifySocket { path, owner });
        let spawn = self.of_service(worker, service, identity, label, (program, arguments), &environment);
        Ok(Spawn { pid_variables, descriptors: descriptors(service, settings), notify, ..spawn })
    }

    /// A command that runs before the first worker of a generation: as a worker is, but it has no slot, and nothing to
    /// listen on or to be heard by.
    ///
    /// # Errors
    /// When its program cannot be found.
    pub(crate) fn before_start(
        &self,
        worker: WorkerId,
        (service, command): (&Service, &[String]),
        identity: Option<&Identity>,
        label: Label,
    ) -> Result<Spawn, FindError> {
        let mut environment = self.environment_of(service, identity);
        self.name(&label, &mut environment);
        let (program, arguments, pid_variables) = match Program::own(command) {
            Some(own) => {
                let (arguments, title) =
                    self.arguments(format!("evercrew: {} {own} [{}]", label.name, self.directory.display()));
                environment.extend(title.map(|title| (TITLE.into(), title.into())));
                (wire::Program::Attached, arguments, vec![format!("EVERCREW_ROLE=worker.{own}:{{pid}}")])
            }
            None => {
                let program = find(service, command, &environment)?;
                (wire::Program::Path(Text::from(&program)), command.iter().map(Text::from).collect(), Vec::new())
            }
        };
        let spawn = self.of_service(worker, service, identity, label, (program, arguments), &environment);
        Ok(Spawn { pid_variables, ..spawn })
    }

    /// What processes of a service have in common.
    fn of_service(
        &self,
        worker: WorkerId,
        service: &Service,
        identity: Option<&Identity>,
        label: Label,
        (program, arguments): (wire::Program, Vec<Text>),
        environment: &BTreeMap<OsString, OsString>,
    ) -> Spawn {
        let spawn = Spawn {
            worker: worker.0,
            program,
            arguments,
            environment: environment.iter().map(|(name, value)| entry(name, value)).collect(),
            pid_variables: Vec::new(),
            directory: Text::from(&service.directory),
            descriptors: standard(),
            notify: None,
            die_with_supervisor: true,
            limits: self.limits(service),
            credentials: identity.map(|identity| identity.credentials.clone()),
            umask: service.umask,
            nice: service.limits.nice,
            oom_score_adj: service.limits.oom_score_adj,
            bounds: Bounds { memory: service.limits.memory, pids: service.limits.pids, cpu: service.limits.cpus },
            stop_signal: String::new(),
            stop_grace_ms: 0,
            label,
        };
        stopped_by(spawn, &service.policy.stop)
    }

    /// Whose process it is, for its own eyes.
    fn name(&self, label: &Label, environment: &mut BTreeMap<OsString, OsString>) {
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("EVERCREW_WORKER", &label.name);
        set("EVERCREW_SERVICE", &label.service);
        set("EVERCREW_GENERATION", &label.generation.to_string());
        set("EVERCREW_INSTANCE", &self.instance);
        set("WEB_CONCURRENCY", "1");
    }

    /// What all workers of a service have in their environment.
    pub(crate) fn environment_of(
        &self,
        service: &Service,
        identity: Option<&Identity>,
    ) -> BTreeMap<OsString, OsString> {
        let mut environment = if service.clear_env { BTreeMap::new() } else { self.environment.clone() };
        if let Some(identity) = identity {
            environment.extend(identity.variables());
        }
        environment.extend(service.env.iter().map(|(name, value)| (name.into(), value.into())));
        environment
    }

    /// Variables that programs read to find sockets, readiness and heartbeat.
    fn speak_conventions(
        &self,
        (service, settings): (&Service, &Settings),
        (worker, label): (WorkerId, &Label),
        environment: &mut BTreeMap<OsString, OsString>,
        pid_variables: &mut Vec<String>,
    ) -> Option<Text> {
        self.name(label, environment);
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("EVERCREW_SLOT", &label.slot.to_string());
        if let Some(port) = port(service, label.slot) {
            set("PORT", &port.to_string());
        }
        if !service.listen.is_empty() {
            // A listener with several queues is several descriptors of one name.
            let queues = |name: &str| settings.listener(name).map_or(1, Listener::queues);
            let names = service.listen.iter().flat_map(|name| std::iter::repeat_n(name.as_str(), queues(name)));
            let names: Vec<&str> = names.collect();
            set("LISTEN_FDS", &names.len().to_string());
            set("LISTEN_FDNAMES", &names.join(":"));
            pid_variables.push("LISTEN_PID".to_owned());
        }
        if service.command_pipe {
            set("EVERCREW_COMMAND_FD", &command_descriptor(service, settings).to_string());
        }
        if let Some(requests) = service.recycle_requests {
            let most = growth::bound(requests.into(), service.policy.recycle.jitter, worker).max(1);
            set("EVERCREW_RECYCLE_REQUESTS", &most.to_string());
        }
        if let Some(told) = http(&service.http) {
            set("EVERCREW_HTTP", &told);
        }
        if let Program::Builtin(builtin) = &service.program {
            pid_variables.push(format!("EVERCREW_ROLE=worker.{builtin}:{{pid}}"));
        }
        if service.program == Program::Queue {
            pid_variables.push(role_variable("queue"));
        }
        if let (Some(interval), Some(heartbeat)) = (service.heartbeat_interval, service.policy.heartbeat) {
            // Programs beat at half of what they are told, so twice the interval makes them beat at it.
            let told = (interval * 2).min(heartbeat.timeout);
            set("WATCHDOG_USEC", &told.as_micros().to_string());
            pid_variables.push("WATCHDOG_PID".to_owned());
        }
        if service.ready != Ready::Notify && service.heartbeat_interval.is_none() {
            return None;
        }
        let path = self.directory.join("notify").join(format!("{}.{}", label.name, label.generation));
        environment.insert("NOTIFY_SOCKET".into(), path.clone().into());
        Some(Text::from(&path))
    }

    /// The configured limits; open files are what the engine was started with, not what it raised them to.
    pub(crate) fn limits(&self, service: &Service) -> Vec<(String, u64, u64)> {
        let mut limits = service.limits.resources.clone();
        if service.limits.resource("nofile").is_none() {
            limits.push(("nofile".to_owned(), self.nofile.0, self.nofile.1));
        }
        limits
    }

    fn find(
        &mut self,
        (service, epoch): (&Service, u64),
        command: &[String],
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<PathBuf, FindError> {
        let key = (service.name.clone(), epoch);
        if let Some(path) = self.found.get(&key) {
            return Ok(path.clone());
        }
        let found = find(service, command, environment)?;
        self.found.insert(key, found.clone());
        Ok(found)
    }

    /// After a failed exec: the program may stand elsewhere by the next try.
    pub(crate) fn forget(&mut self, service: &str) {
        self.found.retain(|(known, _), _| known != service);
    }

    /// After a reload: a command of the same name may be another program by now.
    pub(crate) fn forget_all(&mut self) {
        self.found.clear();
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// `[queue]` for its process.
fn queue_settings(queue: &evercrew_config::Queue) -> Queue {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Queue {
        store: queue.store.as_ref().map(Text::from),
        relaxed: queue.durability == Durability::Relaxed,
        password: queue.password.clone(),
        insecure: queue.insecure,
        memory: queue.memory,
        buffers: queue.buffers,
        connections: queue.connections,
        keep_done_ms: millis(queue.keep_done),
        keep_dead_ms: millis(queue.keep_dead),
    }
}

fn find(
    service: &Service,
    command: &[String],
    environment: &BTreeMap<OsString, OsString>,
) -> Result<PathBuf, FindError> {
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |path| path);
    find_program(OsStr::new(&command[0]), path, &service.directory)
}

/// A slot's own port.
pub(crate) fn port(service: &Service, slot: u32) -> Option<u16> {
    u16::try_from(u32::from(service.port?).checked_add(slot.checked_sub(1)?)?).ok()
}

/// EVERCREW_ROLE, valid for the process that it is given to and for none that inherits it.
fn role_variable(role: &str) -> String {
    format!("EVERCREW_ROLE={role}:{{pid}}:{ROLE_DESCRIPTOR}")
}

/// The first one after the listeners, of which one may have several queues.
fn command_descriptor(service: &Service, settings: &Settings) -> i32 {
    let queues = service.listen.iter().map(|name| settings.listener(name).map_or(1, Listener::queues)).sum::<usize>();
    FIRST_LISTENER.saturating_add(i32::try_from(queues).unwrap_or(i32::MAX))
}

fn standard() -> Vec<Descriptor> {
    vec![
        Descriptor { number: 0, source: Source::Null },
        Descriptor { number: 1, source: Source::Output },
        Descriptor { number: 2, source: Source::Error },
    ]
}

fn descriptors(service: &Service, settings: &Settings) -> Vec<Descriptor> {
    let mut descriptors = standard();
    let keys = service.listen.iter().flat_map(|name| {
        settings.listener(name).map_or_else(|| vec![name.clone()], |listener| listeners::keys(listener).collect())
    });
    descriptors
        .extend((FIRST_LISTENER..).zip(keys).map(|(number, key)| Descriptor { number, source: Source::Listener(key) }));
    if let Ready::Fd(number) = service.ready {
        descriptors.push(Descriptor { number: i32::from(number), source: Source::Ready });
    }
    if service.command_pipe {
        descriptors.push(Descriptor { number: command_descriptor(service, settings), source: Source::Command });
    }
    descriptors
}

/// Workers inherit the engine's environment less what speaks to the engine itself.
fn is_inherited(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let prefixes: [&[u8]; 5] = [b"EVERCREW__", b"EVERCREW_ROLE", b"EVERCREW_COMMAND_FD", b"LISTEN_", b"WATCHDOG_"];
    name != b"NOTIFY_SOCKET" && !prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn entry(name: impl AsRef<OsStr>, value: &OsStr) -> Text {
    let mut entry = name.as_ref().as_bytes().to_vec();
    entry.push(b'=');
    entry.extend_from_slice(value.as_bytes());
    Text(entry)
}

/// The stop that the supervisor carries out on its own is by this ladder.
pub(crate) fn stopped_by(mut spawn: Spawn, stop: &StopLadder) -> Spawn {
    spawn.stop_signal = stop_signal(stop).name().to_owned();
    spawn.stop_grace_ms = grace(stop).as_millis().try_into().unwrap_or(u64::MAX);
    spawn
}

fn stop_signal(ladder: &StopLadder) -> Signal {
    ladder.steps.first().map_or(Signal::Kill, |step| step.signal)
}

fn grace(ladder: &StopLadder) -> Duration {
    ladder.steps.first().and_then(|step| step.lasting).unwrap_or(LONGEST_GRACE).min(LONGEST_GRACE)
}
/// The limits of HTTP as a worker is told them; nothing where all are its own.
fn http(http: &Http) -> Option<String> {
    let millis = |span: &Option<Duration>| span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let told = evercrew_wire::Http {
        head_size: http.head_size,
        target_size: http.target_size,
        header_count: http.header_count,
        body_size: http.body_size,
        head_time: millis(&http.head_time),
        idle: millis(&http.idle),
        body_rate: http.body_rate.map(u64::from),
        body_grace: millis(&http.body_grace),
        write_stall: millis(&http.write_stall),
        requests: http.requests.map(u64::from),
        connections: http.connections,
        per_address: http.per_address,
        health_paths: http.health_paths.clone(),
        access_log: http.access_log.clone(),
        request_id: http.request_id,
    };
    if told == evercrew_wire::Http::default() { None } else { told.encode().ok() }
}
