//! The one table of notable facts: each kind of event with its level in the log, its fields and its counter. The reference
//! page `docs/reference/events.md` is written from it.

use evercrew_core::Level;

/// One kind of event.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// Another level, and when.
    pub(crate) or: Option<(Level, &'static str)>,
    /// What it says beside what every event of its subject has.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for the reference page"))]
    pub(crate) fields: &'static str,
}

const fn kind(name: &'static str, level: Level, fields: &'static str) -> Kind {
    Kind { name, level, or: None, fields }
}

const fn or(level: Level, when: &'static str, kind: Kind) -> Kind {
    Kind { or: Some((level, when)), ..kind }
}

/// The name of a kind that another manager knew.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    KINDS.iter().find(|kind| kind.name == name).map(|kind| kind.name)
}

/// Every kind.
pub(crate) const KINDS: &[Kind] = &[
    kind("worker.spawn", Level::Debug, ""),
    kind("worker.ready", Level::Info, "`took_seconds`: from exec"),
    kind(
        "worker.heartbeat",
        Level::Trace,
        "told to who follows with `heartbeats` alone; no `seq`, not kept, not logged; `missed`: so many before it were dropped",
    ),
    kind("worker.heartbeat-lost", Level::Warn, "`silent_seconds`"),
    kind("worker.ready-timeout", Level::Warn, "`after_seconds`"),
    kind("worker.draining", Level::Info, "`reason`: `itself`, or as in `last_exit`"),
    kind("worker.stop-escalated", Level::Warn, "`signal`: what is sent next"),
    kind("worker.signalled", Level::Info, "`signal`: sent by an operator; no generation"),
    kind("worker.told", Level::Info, "`word`: on its command pipe, by an operator or for a reload or a dump"),
    kind(
        "worker.answered",
        Level::Info,
        "on its command pipe: `status`, `message`, and where they are short `id` and `content`",
    ),
    kind("worker.event", Level::Info, "told on its command pipe: `name`, `message`, and where it is short `content`"),
    kind("worker.noise", Level::Warn, "a line on its command pipe was no answer; told once for a process"),
    or(
        Level::Warn,
        "it was not asked to leave, unless it is a command of `before_start` that succeeded",
        kind(
            "worker.exit",
            Level::Info,
            "`code`, `signal` (both null when no process came of it), `reason`, `ran_seconds`",
        ),
    ),
    kind("worker.backoff", Level::Info, "`wait_seconds`; no generation and pid"),
    kind("worker.failed", Level::Error, "`retry_seconds`, null when it is not tried again; no generation and pid"),
    kind("service.starting", Level::Info, "`from`, `to`"),
    kind("service.ready", Level::Info, "`from`, `to`"),
    kind("service.degraded", Level::Warn, "`from`, `to`"),
    kind("service.failed", Level::Error, "`from`, `to`"),
    kind("service.stopping", Level::Info, "`from`, `to`"),
    kind("service.stopped", Level::Info, "`from`, `to`"),
    kind("service.finished", Level::Info, "`from`, `to`"),
    kind("service.prepared", Level::Info, "every command of `before_start` has succeeded"),
    kind(
        "service.before-start-failed",
        Level::Error,
        "`worker` (`web.before`), `command`: with its arguments, `code`, `signal`, `reason`, `rollout`: whether it stops one",
    ),
    kind("rollout.started", Level::Info, "`epoch`, `total`"),
    kind("rollout.progress", Level::Info, "`done`, `total`"),
    kind("rollout.paused", Level::Warn, "as `rollout.stopped`"),
    kind("rollout.resumed", Level::Info, ""),
    kind("rollout.finished", Level::Info, ""),
    kind(
        "rollout.stopped",
        Level::Error,
        "`reason`, or `by command`; where a worker failed `worker`, `how` and `words`, what it last wrote",
    ),
    kind("reload.started", Level::Info, "`file`"),
    kind("reload.committed", Level::Info, "`revision`, `plan`: what becomes of each service"),
    kind("reload.refused", Level::Error, "`message`: nothing was changed, and why"),
    kind("engine.started", Level::Info, "`generation`, `pid`: of the manager"),
    kind("engine.manager-started", Level::Info, "`generation`, `pid`: of the manager that took over"),
    kind("engine.upgrade-started", Level::Info, "`binary`: of the next manager, which shows what it can"),
    kind("engine.upgraded", Level::Info, "`generation`, `pid`, `version`: of the manager that took over as planned"),
    kind("engine.upgrade-failed", Level::Error, "`reason`, `words`: what the binary last wrote; nothing was changed"),
    kind(
        "engine.upgrade-returned",
        Level::Error,
        "`reason`: the manager after the upgrade ended so, and the binary before it is used again",
    ),
    kind(
        "engine.command",
        Level::Info,
        "`verb`, `args`, `uid`, `pid`, `role`, `status`, `code`, `message`, `workers`: each with its outcome, `took_seconds`: a command that changes something is over",
    ),
    or(
        Level::Warn,
        "it is ignored or stops at once",
        kind("engine.signal", Level::Info, "`signal`, `pid`, `uid`, `from_kernel`"),
    ),
    kind("engine.dump", Level::Info, "`file`: where it was written"),
    kind("engine.signal-ignored", Level::Warn, "`number`: a signal sent to the manager"),
    kind("engine.log-level", Level::Info, "`from`, `to`"),
    or(
        Level::Warn,
        "there are more than can be watched",
        kind("engine.watching", Level::Info, "`directories`, `complete`: of `up --watch`"),
    ),
    kind("engine.files-changed", Level::Info, "`service`: its workers are replaced"),
    or(
        Level::Error,
        "a service failed",
        kind("engine.stopping", Level::Info, "`reason`: `all-done` or `any-failed`, as `engine.exit` says"),
    ),
    kind("log.failed", Level::Warn, "`file`, `message`: it cannot be written, its lines wait and then are dropped"),
    kind("log.resumed", Level::Info, "`file`, `dropped`: lines"),
    kind("engine.away", Level::Warn, "`away_seconds`: the engine did not run; no worker is blamed for it"),
    kind("engine.problem", Level::Error, "`message`, where there is one"),
];

/// The level of a kind; one that is missing from the table is loud enough to be seen.
pub(crate) fn level(name: &str) -> Level {
    KINDS.iter().find(|kind| kind.name == name).map_or(Level::Warn, |kind| kind.level)
}

/// The other level of a kind that has two.
pub(crate) fn otherwise(name: &str) -> Level {
    let kind = KINDS.iter().find(|kind| kind.name == name);
    kind.and_then(|kind| kind.or).map_or_else(|| level(name), |(level, _)| level)
}

/// The counter of a kind: `evercrew_worker_exit_total`.
pub(crate) fn metric(name: &str) -> String {
    format!("evercrew_{}_total", name.replace(['.', '-'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let mut page = "# Events\n\nWritten by the code from its table of events; `EVERCREW_BLESS=1 cargo test -p evercrew-manager reference` writes it\n\
                        again. How they are followed stands in [control socket](control-socket.md#events).\n\n\
                        Every event has `seq`, `at` (UTC) and `kind`. Those of a service also have `service`; those of a worker `service`, `worker`,\n\
                        and where there is or was a process `generation` and `pid`. Level is that of the line in the engine's log, which\n\
                        `evercrew log-level` filters. The counter is shown by `evercrew dump`.\n\n\
                        | kind | level | fields beside those | counter |\n|---|---|---|---|\n"
            .to_owned();
        let upper = |level: Level| level.name().to_uppercase();
        for kind in KINDS {
            let or = kind.or.map_or_else(String::new, |(level, when)| format!(", {} when {when}", upper(level)));
            page += &format!(
                "| `{}` | {}{or} | {} | `{}` |\n",
                kind.name,
                upper(kind.level),
                kind.fields,
                metric(kind.name)
            );
        }
        page
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        crate::reference::is_up_to_date("events.md", &page());
    }

    /// Every literal that looks like a kind, in every file of this crate.
    #[test]
    fn each_kind_that_is_told_is_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut told = 0;
        for entry in std::fs::read_dir(folder).expect("the sources").map(|entry| entry.expect("an entry").path()) {
            let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(&entry).unwrap_or_default();
            // Tests may speak of others.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let subjects = ["worker", "service", "rollout", "reload", "handover", "engine", "log"];
            for literal in text
                .split('"')
                .filter(|text| subjects.iter().any(|s| text.strip_prefix(s).is_some_and(|rest| rest.starts_with('.'))))
            {
                let is_kind =
                    literal.len() < 40 && literal.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-');
                if is_kind && name != "kinds.rs" && name != "verbs.rs" {
                    told += 1;
                    assert!(KINDS.iter().any(|kind| kind.name == literal), "{name}: `{literal}` is not in the table");
                }
            }
        }
        assert!(told > 20, "{told}");
    }
}
