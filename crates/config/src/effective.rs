//! What every key comes to: the settings, written back as keys and values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::fleet::{Policy, Recycle, ServiceId, StopLadder, StopStep};
use serde_json::{Value as Json, json};

use crate::choice::Choice;
use crate::duration;
use crate::http;
use crate::key::Shape;
use crate::keys;
use crate::queue::Queue;
use crate::settings::{
    Control, Engine, Http, Limits, Listener, Log, LogStyle, Metrics, Program, Ready, Service, Settings,
};
use crate::size;

/// A key with what it comes to.
pub(crate) struct Effective {
    /// Its names.
    pub(crate) key: Vec<String>,
    /// What it comes to.
    pub(crate) value: Option<Json>,
}

/// Every key of the settings. `env_file` gives that of a service, which the settings have only as variables.
pub(crate) fn effective(settings: &Settings, env_file: impl Fn(&str) -> Option<PathBuf>) -> Vec<Effective> {
    let mut keys = Vec::new();
    engine(&mut Under { keys: &mut keys, names: vec!["engine".to_owned()] }, &settings.engine);
    log(&mut Under { keys: &mut keys, names: vec!["log".to_owned()] }, &settings.log);
    control(&mut Under { keys: &mut keys, names: vec!["control".to_owned()] }, &settings.control);
    metrics(&mut Under { keys: &mut keys, names: vec!["metrics".to_owned()] }, &settings.metrics);
    for listener in &settings.listeners {
        let names = vec!["listen".to_owned(), listener.name.clone()];
        self::listener(&mut Under { keys: &mut keys, names }, listener);
    }
    let name = |id: &ServiceId| {
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        settings.services.get(index).map_or_else(String::new, |service| service.name.clone())
    };
    if let Some(queue) = &settings.queue {
        self::queue(&mut Under { keys: &mut keys, names: vec!["queue".to_owned()] }, queue);
    }
    for service in &settings.services {
        let names = vec!["service".to_owned(), service.name.clone()];
        let mut under = Under { keys: &mut keys, names };
        self::service(&mut under, service, env_file(&service.name));
        policy(&mut under, service, &service.policy, &name);
    }
    keys
}

/// Takes the keys of one table.
struct Under<'a> {
    keys: &'a mut Vec<Effective>,
    names: Vec<String>,
}

impl Under<'_> {
    /// A key; several names with dots between them are one inside another.
    fn put(&mut self, name: &str, value: impl Into<Option<Json>>) {
        let key = self.names.iter().cloned().chain(name.split('.').map(str::to_owned)).collect();
        self.keys.push(Effective { key, value: value.into() });
    }
}

fn engine(under: &mut Under<'_>, engine: &Engine) {
    let Engine { directory, exit, manager_restart_wait, pid_file, signals, user, group, umask } = engine;
    under.put("directory", path(directory));
    under.put("exit", word(*exit));
    under.put("manager_restart_wait", time(*manager_restart_wait));
    under.put("pid_file", pid_file.as_deref().map(path));
    under.put("signals", word(*signals));
    under.put("user", user.as_ref().map(|user| json!(user)));
    under.put("group", group.as_ref().map(|group| json!(group)));
    under.put("umask", umask.map(|mask| json!(format!("{mask:03o}"))));
}

fn log(under: &mut Under<'_>, log: &Log) {
    let Log { directory, level, style } = log;
    under.put("directory", path(directory));
    under.put("level", word(*level));
    self::style(under, "", style);
}

fn queue(under: &mut Under<'_>, queue: &Queue) {
    let Queue { listen, store, durability, password, insecure, memory, buffers, connections, keep_done, keep_dead } =
        queue;
    under.put("listen", json!(listen.to_string()));
    let store = store.as_ref().map_or_else(|| "memory".to_owned(), |path| format!("sqlite:{}", path.display()));
    under.put("store", json!(store));
    under.put("durability", word(*durability));
    under.put("password", password.as_ref().map(|password| json!(password)));
    under.put("insecure", json!(insecure));
    under.put("memory", json!(size::format(*memory)));
    under.put("buffers", json!(size::format(*buffers)));
    under.put("connections", json!(connections));
    under.put("keep_done", time(*keep_done));
    under.put("keep_dead", time(*keep_dead));
}

fn control(under: &mut Under<'_>, control: &Control) {
    let Control { group, admins, viewers } = control;
    under.put("group", group.as_ref().map(|group| json!(group)));
    under.put("admins", json!(admins));
    under.put("viewers", json!(viewers));
}

fn metrics(under: &mut Under<'_>, metrics: &Metrics) {
    let Metrics { listen } = metrics;
    under.put("listen", listen.as_ref().map(|address| json!(address.text())));
}

fn style(under: &mut Under<'_>, before: &str, style: &LogStyle) {
    let LogStyle { files, format, max_size, max_age, keep, compress, terminal } = style;
    let mut put = |name: &str, value: Json| under.put(&format!("{before}{name}"), value);
    put("files", word(*files));
    put("format", word(*format));
    put("max_size", json!(size::format(*max_size)));
    put("max_age", time_or_forever(*max_age));
    put("keep", json!(keep));
    put("compress", json!(compress));
    put("terminal", json!(terminal));
}

fn listener(under: &mut Under<'_>, listener: &Listener) {
    let Listener { name: _, address, backlog, mode, nonblocking } = listener;
    under.put("address", json!(address.text()));
    under.put("backlog", json!(backlog));
    under.put("nonblocking", json!(nonblocking));
    under.put("mode", word(*mode));
}

fn service(under: &mut Under<'_>, service: &Service, env_file: Option<PathBuf>) {
    let Service {
        name: _,
        program,
        listen,
        directory,
        env,
        clear_env,
        command_pipe,
        user,
        group,
        umask,
        limits,
        port,
        before_start,
        recycle_memory: _,
        recycle_requests: _,
        http: _,
        log,
        ready,
        heartbeat_interval: _,
        watch: _,
        policy,
    } = service;
    let (command, builtin) = match program {
        Program::Command(argv) => (Some(json!(argv)), None),
        Program::Builtin(builtin) => (None, Some(json!(builtin))),
        Program::Queue => (None, Some(json!("queue"))),
    };
    under.put("command", command);
    under.put("builtin", builtin);
    under.put("listen", json!(listen));
    under.put("workers", json!(policy.workers));
    under.put("directory", path(directory));
    for (name, value) in env {
        let key = under.names.iter().map(String::as_str).chain(["env", name]).map(str::to_owned).collect();
        under.keys.push(Effective { key, value: Some(json!(value)) });
    }
    if env.is_empty() {
        under.put("env", None);
    }
    under.put("env_file", env_file.map(|file| path(&file)));
    under.put("clear_env", json!(clear_env));
    under.put("command_pipe", json!(command_pipe));
    under.put("user", user.as_ref().map(|user| json!(user)));
    under.put("group", group.as_ref().map(|group| json!(group)));
    under.put("umask", umask.map(|mask| json!(format!("{mask:03o}"))));
    self::limits(under, limits);
    under.put("port", port.map(|port| json!(port)));
    under.put("before_start", json!(before_start));
    style(under, "log.", log);
    match ready {
        Ready::Exec => under.put("ready", json!("exec")),
        Ready::Notify => under.put("ready", json!("notify")),
        Ready::Fd(number) => under.put("ready.fd", json!(number)),
        Ready::Output(pattern) => under.put("ready.output", json!(pattern)),
        Ready::Connect => under.put("ready.connect", json!(true)),
        Ready::Http(path) => under.put("ready.http", json!(path)),
    }
}

fn limits(under: &mut Under<'_>, limits: &Limits) {
    if *limits == Limits::default() {
        return under.put("limits", None);
    }
    for key in keys::LIMITS.keys {
        let name = format!("limits.{}", key.name);
        match (&key.shape, key.name) {
            (Shape::Limit { bytes, .. }, resource) => {
                let amount = |amount: u64| match amount {
                    u64::MAX => json!("unlimited"),
                    amount if *bytes => json!(size::format(amount)),
                    amount => json!(amount),
                };
                let value = limits.resource(resource).map(|(soft, hard)| {
                    if soft == hard { amount(soft) } else { json!({"soft": amount(soft), "hard": amount(hard)}) }
                });
                under.put(&name, value);
            }
            (_, "nice") => under.put(&name, limits.nice.map(|nice| json!(nice))),
            (_, "memory") => under.put(&name, limits.memory.map(|memory| json!(size::format(memory)))),
            (_, "pids") => under.put(&name, limits.pids.map(|pids| json!(pids))),
            (_, "cpus") => under.put(&name, limits.cpus.map(|cpus| json!(f64::from(cpus) / 1000.0))),
            (_, _) => under.put(&name, limits.oom_score_adj.map(|adjustment| json!(adjustment))),
        }
    }
}

fn policy(under: &mut Under<'_>, service: &Service, policy: &Policy, name: &dyn Fn(&ServiceId) -> String) {
    under.put("ready_timeout", time(policy.ready_timeout));
    match service.heartbeat_interval.zip(policy.heartbeat) {
        None => under.put("heartbeat", None),
        Some((interval, heartbeat)) => {
            under.put("heartbeat.interval", time(interval));
            under.put("heartbeat.timeout", time(heartbeat.timeout));
            under.put("heartbeat.signal", signal(heartbeat.signal));
        }
    }
    under.put("watch", json!(service.watch));
    under.put("after", json!(policy.after.iter().map(name).collect::<Vec<_>>()));
    under.put("start_delay", time(policy.start_delay));
    under.put("restart", word(policy.restart));
    under.put("unrecoverable_exit_codes", json!(policy.unrecoverable_exit_codes));
    under.put("backoff.min", time(policy.backoff.min));
    under.put("backoff.max", time(policy.backoff.max));
    under.put("backoff.stable", time(policy.backoff.stable));
    match policy.start_limit {
        None => under.put("start_limit", json!(false)),
        Some(limit) => {
            under.put("start_limit.count", json!(limit.count));
            under.put("start_limit.within", time(limit.within));
            under.put("start_limit.then", word(limit.then));
        }
    }
    stop(under, &policy.stop);
    recycle(under, service, policy.recycle);
    if service.http == Http::default() {
        under.put("http", None);
    } else {
        http::effective(&service.http).into_iter().for_each(|(key, value)| under.put(&format!("http.{key}"), value));
    }
    under.put("rollout.surge", json!(policy.rollout.surge));
    under.put("rollout.unavailable", json!(policy.rollout.unavailable));
    under.put("rollout.settle", time(policy.rollout.settle));
    under.put("rollout.prove", time(policy.rollout.prove));
    under.put("rollout.on_failure", word(policy.rollout.on_failure));
    under.put("rollout.drain", policy.rollout.drain.map(time));
    under.put("rollout.max_draining", json!(policy.rollout.draining));
}

fn recycle(under: &mut Under<'_>, service: &Service, recycle: Recycle) {
    let (memory, requests) = (service.recycle_memory, service.recycle_requests);
    if memory.is_none() && requests.is_none() && recycle == Recycle::default() {
        return under.put("recycle", None);
    }
    under.put("recycle.age", recycle.age.map(time));
    under.put("recycle.memory", memory.map(|memory| json!(size::format(memory))));
    under.put("recycle.requests", requests.map(|requests| json!(requests)));
    under.put("recycle.jitter", json!(recycle.jitter));
}

/// The short form where it says the same as the ladder.
fn stop(under: &mut Under<'_>, ladder: &StopLadder) {
    let is_plain = |step: &StopStep| step.repeat.is_none() && step.increment.is_zero();
    let (first, then) = match &ladder.steps[..] {
        [first] => (first, Signal::Kill),
        [first, second] if first.lasting == second.lasting && second.signal != Signal::Kill => (first, second.signal),
        steps => return under.put("stop", json!(steps.iter().map(step).collect::<Vec<_>>())),
    };
    if !ladder.steps.iter().all(is_plain) {
        return under.put("stop", json!(ladder.steps.iter().map(step).collect::<Vec<_>>()));
    }
    under.put("stop.signal", signal(first.signal));
    under.put("stop.grace", time_or_forever(first.lasting));
    under.put("stop.then", signal(then));
}

fn step(step: &StopStep) -> Json {
    let mut shown = json!({
        "signal": step.signal.name(),
        "increment": duration::format(step.increment),
        "for": time_or_forever(step.lasting),
    });
    if let Some(repeat) = step.repeat {
        shown["repeat"] = time(repeat);
    }
    shown
}

fn path(path: &Path) -> Json {
    json!(path.to_string_lossy())
}

fn time(time: Duration) -> Json {
    json!(duration::format(time))
}

fn time_or_forever(time: Option<Duration>) -> Json {
    time.map_or_else(|| json!("forever"), self::time)
}

fn signal(signal: Signal) -> Json {
    json!(signal.name())
}

fn word<T: Choice + PartialEq>(value: T) -> Json {
    let position = T::VALUES.iter().position(|known| *known == value);
    json!(position.and_then(|position| T::NAMES.get(position)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::key::Section;
    use crate::source::Source;

    /// Every key that can be given beside the others is shown, so that none is forgotten.
    #[test]
    fn every_key_of_the_table_is_shown() {
        let text = "[listen.web]\naddress = \"unix:s\"\n[service.web]\ncommand = [\"a\"]\nheartbeat = {}\n\
                    ready = { fd = 5 }\nlimits = { nice = 1 }\nrecycle = {}\n";
        let source = Source::new("/etc/x.toml".into(), text.to_owned(), Vec::new(), std::iter::empty(), None);
        let settings = source.parse().expect("good");
        let shown: BTreeSet<String> = effective(&settings, |_| None).iter().map(|key| key.key.join(".")).collect();
        let tables = [
            ("engine", &keys::ENGINE),
            ("log", &keys::LOG),
            ("control", &keys::CONTROL),
            ("metrics", &keys::METRICS),
            ("listen.web", &keys::LISTEN),
            ("service.web", &keys::SERVICE),
        ];
        for (table, section) in tables {
            check(&shown, table, section);
        }
    }

    fn check(shown: &BTreeSet<String>, table: &str, section: &'static Section) {
        // Its keys are alternatives; those of the other go with a builtin worker alone.
        if std::ptr::eq(section, &keys::READY) || std::ptr::eq(section, &keys::HTTP) {
            return;
        }
        for key in section.keys.iter().filter(|key| key.is_supported()) {
            let name = format!("{table}.{}", key.name);
            let tables = match &key.shape {
                Shape::Either(shapes) => shapes,
                shape => std::slice::from_ref(shape),
            };
            let inner = tables.iter().find_map(|shape| match shape {
                Shape::Table(section) => Some(*section),
                _ => None,
            });
            match inner {
                Some(inner) => check(shown, &name, inner),
                None => assert!(shown.contains(&name), "{name} is not shown"),
            }
        }
    }
}
