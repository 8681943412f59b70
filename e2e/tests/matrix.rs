//! Every program in every role that it can play: a table, a row each. What a role has to hold stands in `matrix/role.rs`.
//!
//! All rows of a program are services of one engine and are tried at the same time.

mod answer;
mod role;

use std::time::Duration;

use answer::Answers;
use evercrew_e2e::Engine;
use evercrew_e2e::programs::{self, free_port};
use role::{Ends, Role, Row};

use crate::EVERCREW;

/// A row for a program that listens, or works until it is told to stop.
const fn serves(role: Role, command: &'static [&'static str], settings: &'static str, says: &'static str) -> Row {
    Row { role, command, settings, file: None, answers: Answers::Http, ends: Ends::Code(0), says }
}

/// A row for a program that ends by itself.
const fn ends(role: Role, command: &'static [&'static str], settings: &'static str, says: &'static str) -> Row {
    Row { answers: Answers::Nothing, ..serves(role, command, settings, says) }
}

const TERM: Ends = Ends::Signal("SIGTERM");
const NOTIFY: &str = "ready = \"notify\"\n";
/// PHP beats only where it is asked to every second or less often.
const BEATS: &str = "ready = \"notify\"\nheartbeat = { interval = \"1050ms\", timeout = \"2100ms\" }\n";
/// Readiness is unknown, so the signal may come before the program listens for it.
const QUIT: &str = "stop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\n";
const HTTP: &str = "ready = { http = \"/\" }\n";
const AGAIN: &str = "restart = \"on-failure\"\n";
const NODE_NOTIFY: &str = "ready = \"notify\"\nenv = { NOTIFIER = \"BIN/python APPS/notifier.py\" }\n";
const NODE_BEATS: &str = "ready = \"notify\"\nheartbeat = { interval = \"1050ms\", timeout = \"2100ms\" }\n\
                          env = { NOTIFIER = \"BIN/python APPS/notifier.py\" }\n";

const UVICORN: [Row; 5] = [
    Row {
        ends: TERM,
        ..serves(Role::Web, &["uvicorn", "--app-dir", "APPS", "asgi:app", "--fd", "3"], "", "Uvicorn running on")
    },
    Row {
        ends: TERM,
        ..serves(
            Role::Plain,
            &["uvicorn", "--app-dir", "APPS", "asgi:app", "--port", "PORT"],
            HTTP,
            "Uvicorn running on",
        )
    },
    Row {
        ends: TERM,
        ..serves(Role::Notify, &["uvicorn", "--app-dir", "APPS", "asgi:app", "--fd", "3"], NOTIFY, "Uvicorn running on")
    },
    Row {
        ends: TERM,
        ..serves(
            Role::Watchdog,
            &["uvicorn", "--app-dir", "APPS", "asgi:app", "--fd", "3"],
            BEATS,
            "Uvicorn running on",
        )
    },
    ends(Role::Oneshot, &["uvicorn", "--version"], AGAIN, "Running uvicorn"),
];

const GUNICORN: [Row; 5] = [
    serves(Role::Web, &["gunicorn", "--chdir", "APPS", "--no-control-socket", "wsgi:app"], "", "Booting worker"),
    serves(
        Role::Plain,
        &["gunicorn", "--chdir", "APPS", "--no-control-socket", "--bind", "127.0.0.1:PORT", "wsgi:app"],
        HTTP,
        "Booting worker",
    ),
    serves(Role::Notify, &["gunicorn", "--chdir", "APPS", "--no-control-socket", "wsgi:app"], NOTIFY, "Booting worker"),
    ends(Role::Oneshot, &["gunicorn", "--chdir", "APPS", "--check-config", "wsgi:app"], AGAIN, ""),
    ends(
        Role::Retried,
        &["gunicorn", "--chdir", "APPS", "--check-config", "flaky:app"],
        "restart = \"on-failure\"\nenv = { FLAKY = \"HOME/tried\" }\n",
        "the first import always fails",
    ),
];

const PUMA: [Row; 5] = [
    Row { ends: TERM, ..serves(Role::Web, &["puma", "-C", "APPS/puma.rb"], "", "Puma starting") },
    Row {
        ends: TERM,
        ..serves(
            Role::Plain,
            &["puma", "-C", "-", "-e", "production", "-b", "tcp://127.0.0.1:PORT", "APPS/config.ru"],
            HTTP,
            "Puma starting",
        )
    },
    Row { ends: TERM, ..serves(Role::Notify, &["puma", "-C", "APPS/puma.rb"], NOTIFY, "Puma starting") },
    Row { ends: TERM, ..serves(Role::Watchdog, &["puma", "-C", "APPS/puma.rb"], BEATS, "Puma starting") },
    ends(Role::Oneshot, &["puma", "--version"], AGAIN, "puma version"),
];

const UNICORN: [Row; 3] = [
    serves(
        Role::Web,
        &["unicorn", "-c", "APPS/unicorn.rb", "-E", "production", "APPS/config.ru"],
        QUIT,
        "worker=0 ready",
    ),
    serves(
        Role::Plain,
        &["unicorn", "-l", "127.0.0.1:PORT", "-E", "production", "APPS/config.ru"],
        "ready = { http = \"/\" }\nstop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\n",
        "worker=0 ready",
    ),
    ends(Role::Oneshot, &["unicorn", "--version"], AGAIN, "unicorn v"),
];

const NODE: [Row; 6] = [
    serves(Role::Web, &["node", "APPS/server.js"], "ready = { fd = 4 }\nenv = { READY_FD = \"4\" }\n", "listening"),
    serves(Role::Plain, &["node", "APPS/server.js"], HTTP, "listening"),
    serves(Role::Notify, &["node", "APPS/server.js"], NODE_NOTIFY, "listening"),
    serves(Role::Watchdog, &["node", "APPS/server.js"], NODE_BEATS, "listening"),
    ends(Role::Oneshot, &["node", "--eval", "console.log('done at once')"], AGAIN, "done at once"),
    ends(
        Role::Retried,
        &[
            "node",
            "--eval",
            "try { fs.unlinkSync('HOME/todo') } catch { fs.writeFileSync('HOME/todo', ''); throw 'not yet' }",
        ],
        AGAIN,
        "not yet",
    ),
];

const NGINX: [Row; 3] = [
    Row {
        file: Some("nginx.conf"),
        ..serves(
            Role::Web,
            &["python", "APPS/nonblocking.py", "BIN/nginx", "-p", "FOLDER", "-c", "FOLDER/nginx.conf", "-e", "stderr"],
            "stop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\nenv = { NGINX = \"3;\" }\n",
            "start worker process",
        )
    },
    Row {
        file: Some("nginx.conf"),
        ..serves(
            Role::Plain,
            &["nginx", "-p", "FOLDER", "-c", "FOLDER/nginx.conf", "-e", "stderr"],
            "ready = { http = \"/\" }\nstop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\n",
            "start worker process",
        )
    },
    Row {
        file: Some("nginx.conf"),
        ..ends(
            Role::Oneshot,
            &["nginx", "-t", "-p", "FOLDER", "-c", "FOLDER/nginx.conf", "-e", "stderr"],
            AGAIN,
            "test is successful",
        )
    },
];

const REDIS: [Row; 3] = [
    Row {
        answers: Answers::Redis,
        ..serves(
            Role::Plain,
            &["redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--save", ""],
            "ready = { output = \"Ready to accept connections\" }\n",
            "Ready to accept connections",
        )
    },
    Row {
        answers: Answers::Redis,
        ..serves(
            Role::Notify,
            &["redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--supervised", "systemd"],
            NOTIFY,
            "Ready to accept connections",
        )
    },
    ends(
        Role::Oneshot,
        &["redis-cli", "-p", "OTHER", "PING"],
        "restart = \"on-failure\"\nafter = [\"plain\"]\n",
        "PONG",
    ),
];

const FPM: &[&str] = &["php-fpm", "-n", "-R", "-F", "-y", "FOLDER/php-fpm.conf"];
const FPM_SAYS: &str = "ready to handle connections";
const PHP: [Row; 6] = [
    Row {
        file: Some("php-fpm.conf"),
        answers: Answers::FastCgi,
        ..serves(
            Role::Web,
            FPM,
            "stop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\nenv = { FPM_SOCKETS = \"127.0.0.1:PORT=3\" }\n",
            FPM_SAYS,
        )
    },
    Row {
        ends: TERM,
        ..serves(Role::Plain, &["php", "-n", "-S", "127.0.0.1:PORT", "APPS/hello.php"], HTTP, "Development Server")
    },
    Row {
        file: Some("php-fpm.conf"),
        answers: Answers::FastCgi,
        ..serves(
            Role::Notify,
            FPM,
            "ready = \"notify\"\nstop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\nenv = { FPM_SOCKETS = \"127.0.0.1:PORT=3\" }\n",
            FPM_SAYS,
        )
    },
    Row {
        file: Some("php-fpm.conf"),
        answers: Answers::FastCgi,
        ..serves(
            Role::Watchdog,
            FPM,
            "ready = \"notify\"\nheartbeat = { interval = \"1050ms\", timeout = \"2100ms\" }\n\
             stop = [{ signal = \"QUIT\", repeat = \"1s\", for = \"10s\" }]\nenv = { FPM_SOCKETS = \"127.0.0.1:PORT=3\" }\n",
            FPM_SAYS,
        )
    },
    ends(Role::Oneshot, &["php", "-n", "-r", "echo 'done at once', PHP_EOL;"], AGAIN, "done at once"),
    ends(
        Role::Retried,
        &["php", "-n", "-r", "if (!@unlink('HOME/todo')) { touch('HOME/todo'); fwrite(STDERR, 'not yet'); exit(3); }"],
        AGAIN,
        "not yet",
    ),
];

const SH: [Row; 5] = [
    Row {
        answers: Answers::Nothing,
        ..serves(Role::Plain, &["sh", "APPS/worker.sh"], "ready = { output = \"ready\" }\n", "worker.sh: ready")
    },
    Row {
        answers: Answers::Nothing,
        ..serves(Role::Notify, &["sh", "APPS/worker.sh"], NODE_NOTIFY, "worker.sh: ready")
    },
    Row {
        answers: Answers::Nothing,
        ..serves(Role::Watchdog, &["sh", "APPS/worker.sh"], NODE_BEATS, "worker.sh: ready")
    },
    ends(Role::Oneshot, &["sh", "-c", "echo done at once"], AGAIN, "done at once"),
    ends(Role::Retried, &["sh", "-c", "rm HOME/todo || { touch HOME/todo; exit 3; }"], AGAIN, "rm: cannot remove"),
];

/// Tries every row of a program's table in one engine.
fn every_row(rows: &[Row]) {
    let needed = rows.iter().filter(|row| row.command[0] != "sh").map(|row| row.command[0]);
    let helpers = rows.iter().filter(|row| row.settings.contains("BIN/python")).map(|_| "python");
    if needed.chain(helpers).any(|name| programs::program(name).is_none()) {
        return println!("SKIP {} rows of the matrix", rows.len());
    }
    let mut engine = Engine::new(EVERCREW, "");
    let ports: Vec<u16> = rows.iter().map(|_| free_port()).collect();
    let configuration: String =
        rows.iter().zip(&ports).map(|(row, port)| row.configuration(engine.home(), *port, ports[0])).collect();
    engine.configure(&configuration);
    engine.start();
    std::thread::scope(|scope| {
        for (row, port) in rows.iter().zip(&ports) {
            let engine = &engine;
            scope.spawn(move || row.holds(engine, *port));
        }
    });
    assert_eq!(engine.down(), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn uvicorn_holds_in_every_role() {
    every_row(&UVICORN);
}

#[test]
fn gunicorn_holds_in_every_role() {
    every_row(&GUNICORN);
}

#[test]
fn puma_holds_in_every_role() {
    every_row(&PUMA);
}

#[test]
fn unicorn_holds_in_every_role() {
    every_row(&UNICORN);
}

#[test]
fn node_holds_in_every_role() {
    every_row(&NODE);
}

#[test]
fn nginx_holds_in_every_role() {
    every_row(&NGINX);
}

#[test]
fn redis_holds_in_every_role() {
    every_row(&REDIS);
}

#[test]
fn php_holds_in_every_role() {
    every_row(&PHP);
}

#[test]
fn a_shell_script_holds_in_every_role() {
    every_row(&SH);
}
