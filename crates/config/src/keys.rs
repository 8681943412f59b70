//! Every key of the configuration, in one table: what is known, expected, assumed and documented.

use evercrew_core::fleet::{GiveUp, OnFailure, Restart};

use crate::choice::Choice;
pub(crate) use crate::control::{CONTROL, METRICS};
pub(crate) use crate::engine::ENGINE;
pub(crate) use crate::http::HTTP;
use crate::key::{Absent, Key, OnReload, Section, Shape};
pub(crate) use crate::log::{LOG, SERVICE_LOG};
pub(crate) use crate::queue::QUEUE;
use crate::settings::ListenMode;

// Without another word a changed key replaces the workers, which is right for every key if not always needed.

pub(crate) const fn key(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, shape, default: Absent::Means(default), doc, on_reload: OnReload::Roll }
}

pub(crate) const fn open(name: &'static str, shape: Shape, otherwise: &'static str, doc: &'static str) -> Key {
    Key { name, shape, default: Absent::Otherwise(otherwise), doc, on_reload: OnReload::Roll }
}

const fn later(name: &'static str) -> Key {
    Key { name, shape: Shape::Later, default: Absent::Otherwise(""), doc: "", on_reload: OnReload::Roll }
}

pub(crate) const TIME: Shape = Shape::Duration { zero: true, forever: false };
pub(crate) const TIME_ABOVE_ZERO: Shape = Shape::Duration { zero: false, forever: false };

/// The most processes one service may have.
pub(crate) const MOST_WORKERS: u32 = evercrew_core::fleet::MAX_WORKERS;

/// The whole file.
pub(crate) static FILE: Section = Section {
    title: "the file",
    doc: "Every relative path is relative to the file's own directory.",
    keys: &[
        open("engine", Shape::Table(&ENGINE), "", "the engine itself"),
        open("log", Shape::Table(&LOG), "", "what becomes of lines"),
        open("control", Shape::Table(&CONTROL), "", "who may use the control socket"),
        open("metrics", Shape::Table(&METRICS), "", "where metrics are served"),
        open("listen", Shape::Named(&LISTEN), "", "sockets that services listen on"),
        open("service", Shape::Named(&SERVICE), "", "what runs"),
        open(
            "include",
            Shape::Globs,
            "none",
            "further files with tables [listen.NAME] and [service.NAME], sorted by name; `*` and `?` may stand in the \
             last part of a path and do not match a leading dot",
        ),
        open("queue", Shape::Table(&QUEUE), "no queue server", "the built-in queue server"),
    ],
};

/// `[listen.NAME]`.
pub(crate) static LISTEN: Section = Section {
    title: "[listen.NAME]",
    doc: "One listening socket, held by the engine for its whole life and shared by all workers that name it.",
    keys: &[
        open("address", Shape::Address, "required", "IP address and port, or `unix:` and a path"),
        key(
            "backlog",
            Shape::Integer { min: 1, max: 65_535 },
            "1024",
            "connections that may wait to be accepted; the kernel's somaxconn bounds it",
        )
        .live(),
        key(
            "mode",
            Shape::Choice(ListenMode::NAMES),
            "\"shared\"",
            "one queue of connections, or four of them on one address, over which the kernel spreads what comes \
             (`reuseport`: TCP with a port of its own and builtin workers only). Every worker takes from all of them, so \
             that none is left without one",
        ),
        open(
            "nonblocking",
            Shape::Boolean,
            "true where builtin workers alone use it, else false",
            "the socket is non-blocking when workers get it: builtin workers take connections from such a one at less cost, and \
             nginx expects it of one that its NGINX variable names. That is a property of the socket, for all that share it: \
             a program that waits in accept() finds nothing to accept then",
        )
        .live(),
    ],
};

/// `[service.NAME]`.
pub(crate) static SERVICE: Section = Section {
    title: "[service.NAME]",
    doc: "A set of equal workers. Exactly one of `command` and `builtin` says what they run.",
    keys: &[
        open(
            "command",
            Shape::Argv,
            "`builtin`",
            "program and arguments, never run by a shell; a program with a `/` is relative to the file's directory, \
             one without is looked for on PATH",
        ),
        open("builtin", Shape::Builtin, "`command`", "a worker that is part of the program itself; `evercrew` has these"),
        key(
            "listen",
            Shape::Names("listeners"),
            "[]",
            "listeners handed to each worker as descriptors 3, 4, … with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES",
        ),
        open(
            "workers",
            Shape::Either(&[Shape::Integer { min: 0, max: MOST_WORKERS }, Shape::Choice(&["auto"])]),
            "WEB_CONCURRENCY, else 1",
            "how many processes; \"auto\" is the number of processors this process may use, by affinity and cgroup quota",
        ).live(),
        key("directory", Shape::Path, "\".\"", "the workers' working directory"),
        open(
            "env",
            Shape::Variables,
            "none",
            "variables added to the environment that the workers inherit, at most 1,024 with those of `env_file`",
        ),
        open(
            "env_file",
            Shape::Path,
            "none",
            "file with lines NAME=value, read when the configuration is; `env` overrides it. Values may be quoted; a \
             line that begins with `#` is a comment; nothing is expanded",
        ),
        key("clear_env", Shape::Boolean, "false", "inherit nothing: workers see `env` and what the engine sets"),
        open(
            "ready",
            Shape::Either(&[Shape::Choice(&["exec", "notify"]), Shape::Table(&READY)]),
            "\"notify\" with `builtin`, \"exec\" with `command`",
            "how a worker says that it can work: not at all (`exec`), by READY=1 on NOTIFY_SOCKET (`notify`), or in one \
             of the ways below",
        ),
        key(
            "ready_timeout",
            TIME_ABOVE_ZERO,
            "\"60s\"",
            "time from exec to ready; a worker that needs longer is killed",
        ).live(),
        open(
            "heartbeat",
            Shape::Table(&HEARTBEAT),
            "on with `builtin`, off with `command`",
            "kill a worker that stops sending WATCHDOG=1 on NOTIFY_SOCKET",
        ),
        key(
            "after",
            Shape::Names("services"),
            "[]",
            "services that must be ready before this one starts; this one stops before them",
        ).live(),
        key("start_delay", TIME, "\"0s\"", "gap between two starts of this service, with jitter").live(),
        key(
            "restart",
            Shape::Choice(<Restart as Choice>::NAMES),
            "\"always\"",
            "which exits are followed by a new start; a worker that ended badly without one leaves its slot failed",
        )
        .live(),
        key("unrecoverable_exit_codes", Shape::ExitCodes, "[]", "exit codes after which the slot is not started again")
            .live(),
        key("backoff", Shape::Table(&BACKOFF), "{}", "waiting time between restarts").live(),
        key(
            "start_limit",
            Shape::Either(&[Shape::Table(&START_LIMIT), Shape::Off]),
            "{}",
            "starts after which a slot counts as failed; `false` switches it off",
        ).live(),
        key(
            "stop",
            Shape::Either(&[Shape::Table(&STOP), Shape::Tables(&RUNG)]),
            "{}",
            "how a worker is stopped: one signal and a grace, or a ladder of signals; KILL to the whole group follows \
             the last one",
        ).live(),
        open("http", Shape::Table(&HTTP), "the defaults of the table", "limits and deadlines of builtin workers, and their access log"),
        open("recycle", Shape::Table(&RECYCLE), "never", "replace workers for age, memory or requests, replacement first").live(),
        key(
            "watch",
            Shape::Names("files, which may have wildcards"),
            "[]",
            "files below `directory` whose change replaces the workers under `up --watch`, like \"app/**/*.py\"; all if \
             none are named, hidden ones and what tools write left out",
        )
        .live(),
        key("rollout", Shape::Table(&ROLLOUT), "{}", "how `restart` and a changed configuration replace the workers").live(),
        open("user", Shape::Account, "the engine's own", "whom the workers run as, with all groups of that user"),
        open("group", Shape::Account, "the user's own", "the group that the workers run as"),
        open("umask", Shape::Mask, "the engine's own", "permissions that files of the workers are made without"),
        open("limits", Shape::Table(&LIMITS), "the engine's own", "what each worker may use"),
        open("log", Shape::Table(&SERVICE_LOG), "as in [log]", "what becomes of the workers' output").live(),
        open(
            "port",
            Shape::Integer { min: 1, max: 65_535 },
            "none",
            "slot n finds `port` + n - 1 in PORT; with it a rollout replaces a worker only when its port is free",
        ),
        key(
            "before_start",
            Shape::Argvs,
            "[]",
            "commands that run one after the other, each to success within `ready_timeout`, before the first worker of a \
             generation: at the first start, at a start after a stop, and before the canary of a rollout",
        ),
        key("command_pipe", Shape::Boolean, "false", "a stream on EVERCREW_COMMAND_FD takes words like GRACEFUL_STOP, and questions; builtin workers have one without asking"),
        later("jobs"),
    ],
};

/// `ready = { … }`.
pub(crate) static READY: Section = Section {
    title: "ready",
    doc: "Readiness by something other than READY=1: exactly one of these.",
    keys: &[
        open(
            "fd",
            Shape::Integer { min: 3, max: 255 },
            "none",
            "a newline on this descriptor; the listeners take 3, 4, … first",
        ),
        open("output", Shape::Pattern, "none", "a line of its output that this is found in"),
        open(
            "connect",
            Shape::On,
            "none",
            "its own port on 127.0.0.1 accepts a connection; needs `port`, as a shared listener accepts before any \
             worker is there",
        ),
        open(
            "http",
            Shape::UrlPath,
            "none",
            "GET of this path on its own port on 127.0.0.1 is answered with 2xx or 3xx; needs `port`, as any worker \
             might answer on a shared listener",
        ),
    ],
};

/// `heartbeat = { … }`.
pub(crate) static HEARTBEAT: Section = Section {
    title: "heartbeat",
    doc: "Supervised from ready on. Workers find WATCHDOG_USEC and WATCHDOG_PID in their environment.",
    keys: &[
        key("interval", TIME_ABOVE_ZERO, "\"5s\"", "how often a worker is asked to beat"),
        key("timeout", TIME_ABOVE_ZERO, "\"30s\"", "longest silence; at least twice the interval").live(),
        key("signal", Shape::Signal, "\"KILL\"", "sent to a silent worker first; KILL follows").live(),
    ],
};

/// `backoff = { … }`.
pub(crate) static BACKOFF: Section = Section {
    title: "backoff",
    doc: "The first restart after a stable time is immediate; then `min`, doubled up to `max`, with jitter.",
    keys: &[
        key("min", TIME, "\"100ms\"", "the first waiting time").live(),
        key("max", TIME, "\"30s\"", "the longest waiting time").live(),
        key("stable", TIME, "\"10s\"", "time in service after which a death counts as the first again").live(),
    ],
};

/// `start_limit = { … }`.
pub(crate) static START_LIMIT: Section = Section {
    title: "start_limit",
    doc: "Unplanned starts after which a slot is failed.",
    keys: &[
        key("count", Shape::Integer { min: 1, max: 1_000_000 }, "5", "starts allowed").live(),
        key("within", TIME_ABOVE_ZERO, "\"10s\"", "the window").live(),
        key(
            "then",
            Shape::Choice(<GiveUp as Choice>::NAMES),
            "\"retry\"",
            "try a failed slot once every `backoff.max`, or leave it until it is started by hand",
        )
        .live(),
    ],
};

/// `stop = { … }`.
pub(crate) static STOP: Section = Section {
    title: "stop",
    doc: "One signal, a grace, another signal.",
    keys: &[
        key("signal", Shape::Signal, "\"TERM\"", "asks the worker to finish what is begun and end").live(),
        key("grace", Shape::Duration { zero: true, forever: true }, "\"30s\"", "time it may take").live(),
        key("then", Shape::Signal, "\"KILL\"", "sent when the grace is over; one other than KILL gets the same grace")
            .live(),
    ],
};

/// `stop = [{ … }, …]`.
pub(crate) static RUNG: Section = Section {
    title: "stop (ladder)",
    doc: "One step of a ladder.",
    keys: &[
        open("signal", Shape::Signal, "required", "sent at once").live(),
        open("repeat", TIME_ABOVE_ZERO, "sent once", "sent again after this time").live(),
        key("increment", TIME, "\"0s\"", "added to the waiting time after each repetition").live(),
        key(
            "for",
            Shape::Duration { zero: false, forever: true },
            "\"30s\"",
            "how long this step lasts; after \"forever\" no further step is reached",
        )
        .live(),
    ],
};

/// `recycle = { … }`.
pub(crate) static RECYCLE: Section = Section {
    title: "recycle",
    doc: "Replace workers though nothing is wrong with them.",
    keys: &[
        open("age", TIME_ABOVE_ZERO, "never", "age at which a worker is replaced").live(),
        open(
            "memory",
            Shape::Size,
            "never",
            "memory in use at which a worker is replaced, looked at every 10 s: its own and its descendants' anonymous and \
             swapped pages, each by its share (in full where shares cannot be read), without page cache and files",
        )
        .live(),
        key("jitter", Shape::Share, "0.5", "share of these by which each worker's are lowered at random").live(),
        open(
            "requests",
            Shape::Integer { min: 1, max: u32::MAX },
            "never",
            "requests that a builtin worker answers before it is replaced; /healthz is not counted",
        ),
        later("jobs"),
    ],
};

/// `rollout = { … }`.
pub(crate) static ROLLOUT: Section = Section {
    title: "rollout",
    doc: "How workers are replaced. Not both `surge` and `unavailable` may be 0.",
    keys: &[
        open(
            "surge",
            Shape::Integer { min: 0, max: MOST_WORKERS },
            "1; 0 with `port`",
            "processes above `workers` that may exist",
        )
        .live(),
        open(
            "unavailable",
            Shape::Integer { min: 0, max: MOST_WORKERS },
            "0; 1 with `port` and no `surge`",
            "slots that may have no ready worker",
        )
        .live(),
        key("settle", TIME, "\"2s\"", "how long a new worker must stay ready before the next is replaced").live(),
        open(
            "prove",
            TIME,
            "as `settle`",
            "how long the first new worker must stay ready before any other is started; at least `settle`",
        )
        .live(),
        key(
            "on_failure",
            Shape::Choice(OnFailure::NAMES),
            "\"stay\"",
            "when a new worker fails: `stay` ends the rollout and keeps what serves, `pause` waits for `rollout resume` \
             or `rollout undo`",
        )
        .live(),
        open(
            "drain",
            TIME_ABOVE_ZERO,
            "as the first step of `stop`",
            "how long a worker that was replaced may go on with what it has begun",
        )
        .live(),
        key(
            "max_draining",
            Shape::Integer { min: 0, max: 10 },
            "0",
            "generations of replaced workers that may drain beside `workers` + `surge`; one more ends the oldest. With 0 \
             those that drain count as processes, and a rollout waits for them",
        )
        .live(),
    ],
};

const fn limit(name: &'static str, bytes: bool, doc: &'static str) -> Key {
    let pair = if bytes { &BYTE_LIMIT } else { &NUMBER_LIMIT };
    open(name, Shape::Limit { bytes, pair }, "the engine's own", doc)
}

/// `limits = { … }`.
pub(crate) static LIMITS: Section = Section {
    title: "limits",
    doc: "What each worker may use. One number sets the soft and the hard limit; to raise one above the engine's own \
          the engine must run as root. Limits by cgroup hold where \
          the engine's cgroup is its own: in a container or a unit of systemd with `Delegate=yes` that runs nothing else; \
          and as root where the controller has a hierarchy of version 1. Elsewhere the workers run without them, and one line of the log says which are not enforced, and why.",
    keys: &[
        limit("nofile", false, "open files"),
        limit("nproc", false, "processes and threads of the user"),
        limit("core", true, "a core file"),
        limit("fsize", true, "a written file"),
        limit("as", true, "virtual memory"),
        limit("data", true, "the data segment"),
        limit("stack", true, "the main thread's stack"),
        limit("memlock", true, "locked memory"),
        limit("cpu", false, "seconds of processor time"),
        limit("msgqueue", true, "POSIX message queues"),
        limit("sigpending", false, "queued signals of the user"),
        limit("rtprio", false, "ceiling of the real-time priority"),
        limit("rttime", false, "microseconds of real-time work without a blocking call"),
        open("nice", Shape::Signed { min: -20, max: 19 }, "the engine's own", "niceness: 19 yields to all others"),
        open(
            "oom_score_adj",
            Shape::Signed { min: -1000, max: 1000 },
            "the engine's own",
            "how gladly the kernel kills a worker when memory runs out: 1000 first, -1000 never",
        ),
        open(
            "memory",
            Shape::Size,
            "none",
            "memory of a worker and all its descendants together, page cache included and swap not; over it the kernel \
             kills one of them. A worker so killed ends with the reason `oom`. By cgroup",
        ),
        open(
            "pids",
            Shape::Integer { min: 1, max: 4_194_304 },
            "none",
            "processes and threads of a worker and all its descendants together; over it a fork fails. By cgroup",
        ),
        open(
            "cpus",
            Shape::Cpus,
            "none",
            "processors that a worker and all its descendants may use together, like 1.5; over it they wait. By cgroup",
        ),
    ],
};

/// A limit of a number of things.
pub(crate) static NUMBER_LIMIT: Section = Section {
    title: "limits (of a number)",
    doc: "A soft limit, which a worker can raise, and a hard one.",
    keys: &[
        open("soft", Shape::Amount { bytes: false }, "required", "the limit in force"),
        open("hard", Shape::Amount { bytes: false }, "required", "how far a worker may raise it"),
    ],
};

/// A limit of a number of bytes.
pub(crate) static BYTE_LIMIT: Section = Section {
    title: "limits (of bytes)",
    doc: "A soft limit, which a worker can raise, and a hard one.",
    keys: &[
        open("soft", Shape::Amount { bytes: true }, "required", "the limit in force"),
        open("hard", Shape::Amount { bytes: true }, "required", "how far a worker may raise it"),
    ],
};
