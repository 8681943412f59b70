//! Every command but `up`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use evercrew_sys::process;
use serde_json::{Map, Value, json};

use crate::arguments::{Command, Configuration, Global};
use crate::client::{Engine, Lost, Question};
use crate::failure::{Failure, code};
use crate::{configuration, table, up};

/// Runs a command; gives its exit code.
///
/// # Errors
/// How it failed.
pub(crate) fn run(command: &Command, global: &Global) -> Result<u8, Failure> {
    let engine = || {
        Engine::new(evercrew_config::engine_directory(
            &global.config,
            &global.set,
            evercrew_config::environment(),
            global.directory.as_deref(),
        ))
    };
    match command {
        Command::Up => up::up(global),
        Command::Check => check(global),
        Command::Config { question: Configuration::Show { origin } } => {
            print(&configuration::show(global, *origin)?);
            Ok(0)
        }
        Command::Schema => {
            print(&evercrew_config::schema());
            Ok(0)
        }
        Command::Version => Ok(version(global)),
        Command::Down { now } => down(&engine(), global, *now),
        Command::Status { names } => status(&engine(), global, names),
        Command::Wait { names, .. } => done(&engine(), global, "wait", arguments(names), Lost::AskAgain),
        Command::Restart { names } => done(&engine(), global, "restart", arguments(names), Lost::Tell),
        Command::Scale { targets } => done(&engine(), global, "scale", arguments(targets), Lost::Tell),
        Command::Start { names } => done(&engine(), global, "start", arguments(names), Lost::Tell),
        Command::Stop { names, now } => {
            let mut args = arguments(names);
            args.insert("now".into(), json!(now));
            done(&engine(), global, "stop", args, Lost::Tell)
        }
        Command::Events { follow, since } => events(&engine(), global, *follow, *since),
    }
}

fn arguments(names: &[String]) -> Map<String, Value> {
    let mut args = Map::new();
    if !names.is_empty() {
        args.insert("names".into(), json!(names));
    }
    args
}

/// A command that ends when the engine got there, with progress on stderr.
fn done(
    engine: &Engine,
    global: &Global,
    verb: &'static str,
    args: Map<String, Value>,
    lost: Lost,
) -> Result<u8, Failure> {
    let question = Question { verb, args, timeout: global.timeout, prompt: false, lost };
    let live = io::stderr().is_terminal();
    let mut shown = false;
    let result = engine.ask(&question, |reply| {
        if !reply.message.is_empty() {
            eprint!("{}{}{}", if live { "\r\x1b[K" } else { "" }, reply.message, if live { "" } else { "\n" });
            shown = live;
        }
    });
    if shown {
        eprintln!();
    }
    let reply = result?;
    if global.json {
        print_json(&json!({"status": "ok", "message": reply.message, "content": reply.content}));
    } else {
        eprintln!("{}", reply.message);
    }
    Ok(0)
}

fn status(engine: &Engine, global: &Global, names: &[String]) -> Result<u8, Failure> {
    let question = Question {
        verb: "status",
        args: arguments(names),
        timeout: global.timeout,
        prompt: true,
        lost: Lost::AskAgain,
    };
    let reply = match engine.ask(&question, |_| {}) {
        Err(failure) if failure.code == code::UNAVAILABLE && !engine.runs()? => {
            return Err(Failure { code: code::NOT_RUNNING, ..failure });
        }
        reply => reply?,
    };
    if global.json {
        print_json(&reply.content);
    } else {
        print(&table::status(&reply.content));
    }
    Ok(if table::is_well(&reply.content) { 0 } else { code::FAILURE })
}

/// Returns when the supervisor is gone. Its pid comes from itself, and is held as a pidfd before it can go.
fn down(engine: &Engine, global: &Global, now: bool) -> Result<u8, Failure> {
    let mut args = Map::new();
    args.insert("now".into(), json!(now));
    let question = Question { verb: "shutdown", args, timeout: global.timeout, prompt: true, lost: Lost::AskAgain };
    let reply = match engine.ask(&question, |_| {}) {
        Err(failure) if failure.code == code::FORBIDDEN => return Err(failure),
        Err(_) if !engine.runs()? => {
            eprintln!("no engine runs");
            return Ok(0);
        }
        reply => reply?,
    };
    let pid = reply.content["supervisor"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let Some(Ok(pidfd)) = pid.map(process::open) else { return Ok(0) };
    if !engine.runs()? {
        return Ok(0);
    }
    let patience = global.timeout.unwrap_or(Duration::from_secs(u64::from(u32::MAX)));
    match process::wait_exit(std::os::fd::AsFd::as_fd(&pidfd), patience) {
        Ok(true) => Ok(0),
        Ok(false) => {
            Err(Failure::new(code::TIMEOUT, "the engine is still stopping").hint("`evercrew down --now` kills"))
        }
        Err(error) => Err(Failure::new(code::FAILURE, format!("cannot wait for the engine: {error}"))),
    }
}

fn events(engine: &Engine, global: &Global, follow: bool, since: Option<u64>) -> Result<u8, Failure> {
    let mut args = Map::new();
    args.insert("follow".into(), json!(follow));
    if let Some(since) = since {
        args.insert("since".into(), json!(since));
    }
    let mut question = Question { verb: "events", args, timeout: global.timeout, prompt: true, lost: Lost::AskAgain };
    let line = |event: &Value| if global.json { event.to_string() } else { table::event(event) };
    if !follow {
        let reply = engine.ask(&question, |_| {})?;
        for event in reply.content["events"].as_array().into_iter().flatten() {
            print(&format!("{}\n", line(event)));
        }
        return Ok(0);
    }
    engine.follow(&mut question, |event| writeln!(io::stdout(), "{}", line(event)).is_ok())?;
    Ok(0)
}

fn check(global: &Global) -> Result<u8, Failure> {
    let (source, settings) = up::read_configuration(global)?;
    let (services, listeners) = (settings.services.len(), settings.listeners.len());
    if global.json {
        print_json(&json!({"ok": true, "file": source.path, "services": services, "listeners": listeners}));
    } else {
        print(&format!("{}: ok ({services} services, {listeners} listeners)\n", source.path.display()));
    }
    Ok(0)
}

fn version(global: &Global) -> u8 {
    let version = env!("CARGO_PKG_VERSION");
    if global.json {
        print_json(&json!({"version": version}));
    } else {
        print(&format!("evercrew {version}\n"));
    }
    0
}

fn print_json(value: &Value) {
    print(&format!("{value:#}\n"));
}

/// A reader that went away (`| head`) is no error.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
