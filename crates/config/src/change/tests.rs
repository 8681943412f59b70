use super::*;
use crate::key::{Key, Shape};
use crate::settings::Limits;
use crate::source::Source;

const BASE: &str = "[listen.web]\naddress = \"127.0.0.1:8080\"\n[service.db]\ncommand = [\"db\"]\n";

fn parse(text: &str) -> Settings {
    let source = Source::new("/etc/x.toml".into(), text.to_owned(), Vec::new(), std::iter::empty(), None);
    source.parse().unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(false)))
}

fn web(keys: &str) -> Settings {
    let program = if keys.contains("command") || keys.contains("builtin") { "" } else { "command = [\"a\"]\n" };
    parse(&format!("{BASE}[service.web]\n{program}{keys}\n"))
}

/// A worker of ours, with its own limits.
const BUILTIN: &str = "builtin = \"hello\"\nlisten = [\"web\"]\n";

/// Every key of `[service.NAME]` with two values of it. A key that is new in the table needs a line here, and its
/// decision in `keys.rs`.
const SERVICE: &[(&str, &str, &str)] = &[
    ("command", "command = [\"a\"]", "command = [\"a\", \"b\"]"),
    ("builtin", "command = [\"a\"]\nlisten = [\"web\"]", "builtin = \"hello\"\nlisten = [\"web\"]"),
    ("listen", "", "listen = [\"web\"]"),
    ("workers", "", "workers = 2"),
    ("directory", "", "directory = \"/srv\""),
    ("env", "", "env = { A = \"b\" }"),
    ("env_file", "env = { A = \"b\" }", "env = { A = \"c\" }"),
    ("clear_env", "", "clear_env = true"),
    ("command_pipe", "command = [\"a\"]", "command = [\"a\"]\ncommand_pipe = true"),
    ("ready", "", "ready = \"notify\""),
    ("ready.fd", "ready = { fd = 5 }", "ready = { fd = 6 }"),
    ("ready.output", "ready = { output = \"a\" }", "ready = { output = \"b\" }"),
    ("ready.connect", "port = 9000", "port = 9000\nready = { connect = true }"),
    ("ready.http", "port = 9000\nready = { http = \"/a\" }", "port = 9000\nready = { http = \"/b\" }"),
    ("ready_timeout", "", "ready_timeout = \"5s\""),
    ("heartbeat", "", "heartbeat = {}"),
    ("heartbeat.interval", "heartbeat = {}", "heartbeat = { interval = \"1s\" }"),
    ("heartbeat.timeout", "heartbeat = {}", "heartbeat = { timeout = \"40s\" }"),
    ("heartbeat.signal", "heartbeat = {}", "heartbeat = { signal = \"TERM\" }"),
    ("after", "", "after = [\"db\"]"),
    ("start_delay", "", "start_delay = \"1s\""),
    ("restart", "", "restart = \"never\""),
    ("unrecoverable_exit_codes", "", "unrecoverable_exit_codes = [3]"),
    ("backoff", "", "backoff = { min = \"1s\" }"),
    ("backoff.min", "", "backoff = { min = \"1s\" }"),
    ("backoff.max", "", "backoff = { max = \"1m\" }"),
    ("backoff.stable", "", "backoff = { stable = \"1m\" }"),
    ("start_limit", "", "start_limit = false"),
    ("start_limit.count", "", "start_limit = { count = 6 }"),
    ("start_limit.within", "", "start_limit = { within = \"1m\" }"),
    ("start_limit.then", "", "start_limit = { then = \"give-up\" }"),
    ("stop", "", "stop = [{ signal = \"INT\", repeat = \"1s\" }]"),
    ("stop.signal", "", "stop = { signal = \"INT\" }"),
    ("stop.grace", "", "stop = { grace = \"1s\" }"),
    ("stop.then", "", "stop = { then = \"INT\" }"),
    ("http", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { idle = \"2s\" }"),
    ("http.head_size", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { head_size = \"1KiB\" }"),
    ("http.target_size", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { target_size = \"1KiB\" }"),
    ("http.header_count", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { header_count = 5 }"),
    ("http.body_size", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { body_size = \"1KiB\" }"),
    ("http.head_time", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { head_time = \"1s\" }"),
    ("http.idle", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { idle = \"1s\" }"),
    ("http.body_rate", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { body_rate = 5 }"),
    ("http.body_grace", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { body_grace = \"1s\" }"),
    ("http.write_stall", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { write_stall = \"1s\" }"),
    ("http.requests", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { requests = 5 }"),
    ("http.connections", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { connections = 5 }"),
    ("http.per_address", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { per_address = 5 }"),
    ("http.health_paths", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { health_paths = [\"/up\"] }"),
    ("http.access_log", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { access_log = \"json\" }"),
    ("http.request_id", BUILTIN, "builtin = \"hello\"\nlisten = [\"web\"]\nhttp = { request_id = true }"),
    ("recycle", "", "recycle = { age = \"1h\" }"),
    ("recycle.age", "recycle = { age = \"1h\" }", "recycle = { age = \"2h\" }"),
    ("recycle.memory", "recycle = { age = \"1h\" }", "recycle = { age = \"1h\", memory = \"64MiB\" }"),
    (
        "recycle.requests",
        "builtin = \"hello\"\nlisten = [\"web\"]\nrecycle = { requests = 10 }",
        "builtin = \"hello\"\nlisten = [\"web\"]\nrecycle = { requests = 20 }",
    ),
    ("recycle.jitter", "recycle = { age = \"1h\" }", "recycle = { age = \"1h\", jitter = 0.1 }"),
    ("watch", "", "watch = [\"*.py\"]"),
    ("rollout", "", "rollout = { settle = \"1s\" }"),
    ("rollout.surge", "", "rollout = { surge = 2 }"),
    ("rollout.unavailable", "", "rollout = { unavailable = 1 }"),
    ("rollout.settle", "", "rollout = { settle = \"1s\" }"),
    ("rollout.prove", "", "rollout = { prove = \"1m\" }"),
    ("rollout.on_failure", "", "rollout = { on_failure = \"pause\" }"),
    ("rollout.drain", "", "rollout = { drain = \"1m\" }"),
    ("rollout.max_draining", "", "rollout = { max_draining = 1 }"),
    ("user", "", "user = \"app\""),
    ("group", "", "group = \"app\""),
    ("umask", "", "umask = \"027\""),
    ("limits", "", "limits = { nice = 1 }"),
    ("limits.nice", "limits = { nice = 1 }", "limits = { nice = 2 }"),
    ("limits.memory", "limits = { memory = \"1GiB\" }", "limits = { memory = \"2GiB\" }"),
    ("limits.pids", "limits = { pids = 100 }", "limits = { pids = 200 }"),
    ("limits.cpus", "limits = { cpus = 1 }", "limits = { cpus = 2 }"),
    ("limits.oom_score_adj", "limits = { nice = 1 }", "limits = { nice = 1, oom_score_adj = 2 }"),
    ("log", "", "log = { keep = 6 }"),
    ("log.files", "", "log = { files = \"service\" }"),
    ("log.format", "", "log = { format = \"json\" }"),
    ("log.max_size", "", "log = { max_size = \"1MiB\" }"),
    ("log.max_age", "", "log = { max_age = \"24h\" }"),
    ("log.keep", "", "log = { keep = 6 }"),
    ("log.compress", "", "log = { compress = false }"),
    ("log.terminal", "", "log = { terminal = false }"),
    ("port", "", "port = 9000"),
    ("before_start", "", "before_start = [[\"./migrate\"]]"),
];

/// The names of every key in the section and in the tables among its values.
fn names(under: &str, section: &'static Section, found: &mut Vec<(String, &'static Key)>) {
    for key in section.keys.iter().filter(|key| key.is_supported()) {
        let name = format!("{under}{}", key.name);
        // A ladder is one value.
        if let Some(inner) = key.shape.table().filter(|_| !matches!(key.shape, Shape::Limit { .. })) {
            names(&format!("{name}."), inner, found);
        }
        found.push((name, key));
    }
}

#[test]
fn every_key_of_a_service_has_its_decision_and_keeps_to_it() {
    let mut known = Vec::new();
    names("", &keys::SERVICE, &mut known);
    let resource = |name: &str| name.strip_prefix("limits.").is_some_and(|name| Limits::NAMES.contains(&name));
    for (name, key) in known {
        let change = if resource(&name) {
            diff(&web("limits = { nice = 1 }"), &web(&format!("limits = {{ nice = 1, {} = 1000 }}", &name[7..])))
        } else {
            let (_, before, after) = SERVICE.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| {
                panic!("`{name}` has no pair of values in this test; decide in keys.rs whether its change is live")
            });
            diff(&web(before), &web(after))
        };
        let keys = change.services.get("web").unwrap_or_else(|| panic!("no change of `{name}` was seen")).keys();
        let all = match key.on_reload {
            OnReload::Live => {
                assert!(keys.roll.is_empty(), "a change of `{name}` is to touch no worker: {keys:?}");
                &keys.live
            }
            OnReload::Roll => &keys.roll,
            OnReload::Fixed => &keys.fixed,
        };
        let of = |text: &&String| text.split('.').next() == name.split('.').next() || name == "env_file";
        assert!(all.iter().any(|key| of(&key)) || name == "builtin", "`{name}` is missing: {keys:?}");
        assert!(!change.services.contains_key("db"), "another service is touched by `{name}`");
    }
}

#[test]
fn what_means_the_same_changes_nothing() {
    let text = format!("{BASE}[service.web]\ncommand = [\"a\"]\nlisten = [\"web\"]\n");
    let moved = "[service.web]\n# as it was\nlisten = [ \"web\" ]\nworkers = 1\ncommand = [\"a\"]\n[service.db]\n\
                 command = [\"db\"]\n[listen.web]\nbacklog = 1024\naddress = \"127.0.0.1:8080\"\n";
    assert_eq!(diff(&parse(&text), &parse(&text)), Diff::default());
    assert_eq!(diff(&parse(&text), &parse(moved)), Diff::default());
}

#[test]
fn services_and_listeners_come_and_go_by_name() {
    let old = parse(&format!("{BASE}[service.web]\ncommand = [\"a\"]\nlisten = [\"web\"]\n"));
    let new = parse(
        "[listen.other]\naddress = \"unix:s\"\n[service.db]\ncommand = [\"db\"]\n[service.api]\n\
                     command = [\"a\"]\nlisten = [\"other\"]\n",
    );
    let change = diff(&old, &new);
    let added = |name: &str, changes: &BTreeMap<String, Change>| changes.get(name) == Some(&Change::Added);
    let removed = |name: &str, changes: &BTreeMap<String, Change>| changes.get(name) == Some(&Change::Removed);
    assert!(added("api", &change.services) && removed("web", &change.services) && change.services.len() == 2);
    assert!(added("other", &change.listeners) && removed("web", &change.listeners) && change.listeners.len() == 2);
}

#[test]
fn a_listener_that_moves_replaces_the_workers_that_have_it_and_a_backlog_does_not() {
    let text = |listen: &str| {
        format!(
            "[listen.web]\n{listen}\n[service.web]\ncommand = [\"a\"]\nlisten = [\"web\"]\n[service.b]\ncommand = [\"b\"]"
        )
    };
    let at = |listen: &str| parse(&text(listen));
    let old = at("address = \"127.0.0.1:8080\"");
    let moved = diff(&old, &at("address = \"127.0.0.1:8081\""));
    assert_eq!(moved.services["web"].keys().roll, ["listen.web.address"]);
    assert_eq!(moved.services.len(), 1);
    let longer = diff(&old, &at("address = \"127.0.0.1:8080\"\nbacklog = 10"));
    assert!(longer.services.is_empty());
    assert_eq!(longer.listeners["web"].keys().live, ["backlog"]);
}

#[test]
fn keys_of_the_engine_hold_at_once_or_not_at_all() {
    let at = |keys: &str| parse(&format!("[engine]\n{keys}\n[service.a]\ncommand = [\"a\"]\n"));
    let samples = [
        ("directory", "directory = \"/run/other\"", OnReload::Fixed),
        ("exit", "exit = \"all-done\"", OnReload::Live),
        ("manager_restart_wait", "manager_restart_wait = \"1s\"", OnReload::Live),
        ("pid_file", "pid_file = \"e.pid\"", OnReload::Fixed),
        ("signals", "signals = \"gunicorn\"", OnReload::Live),
        ("user", "user = \"app\"", OnReload::Fixed),
        ("group", "group = \"app\"", OnReload::Fixed),
        ("umask", "umask = \"027\"", OnReload::Fixed),
    ];
    for key in keys::ENGINE.keys.iter().filter(|key| key.is_supported()) {
        let Some((_, text, means)) = samples.iter().find(|(name, ..)| *name == key.name) else {
            panic!("`{}` of [engine] has no value in this test", key.name)
        };
        let keys = diff(&at(""), &at(text)).engine;
        let expected = match means {
            OnReload::Live => &keys.live,
            OnReload::Roll => &keys.roll,
            OnReload::Fixed => &keys.fixed,
        };
        assert_eq!(expected, &[key.name], "{keys:?}");
    }
}

#[test]
fn every_key_of_the_log_holds_at_once() {
    let at = |keys: &str| parse(&format!("[log]\n{keys}\n[service.a]\ncommand = [\"a\"]\n"));
    let samples = [
        ("directory", "directory = \"/var/log/crew\""),
        ("level", "level = \"debug\""),
        ("files", "files = \"service\""),
        ("format", "format = \"json\""),
        ("max_size", "max_size = \"1MiB\""),
        ("max_age", "max_age = \"24h\""),
        ("keep", "keep = 6"),
        ("compress", "compress = false"),
        ("terminal", "terminal = false"),
    ];
    for key in keys::LOG.keys {
        let Some((_, text)) = samples.iter().find(|(name, _)| *name == key.name) else {
            panic!("`{}` of [log] has no value in this test", key.name)
        };
        let diff = diff(&at(""), &at(text));
        assert_eq!(diff.log.live, [key.name]);
        let for_services = diff.services.get("a").map(|change| change.keys().live).unwrap_or_default();
        let is_a_service_s_too = keys::SERVICE_LOG.key(key.name).is_some();
        assert_eq!(for_services, if is_a_service_s_too { vec![format!("log.{}", key.name)] } else { vec![] });
    }
}

#[test]
fn values_of_variables_are_not_told() {
    let change = diff(&web("env = { TOKEN = \"old-secret\" }"), &web("env = { TOKEN = \"new-secret\" }"));
    assert_eq!(change.services["web"].keys().roll, ["env.TOKEN"]);
}
