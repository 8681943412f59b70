//! Asking for a change, and waiting until the engine got there, with progress on standard error.

use std::io::{self, IsTerminal};

use evercrew_wire::control::Reply;
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Lost, Question};
use crate::failure::Failure;
use crate::output::{print_json, say, say_raw};

/// The arguments of a verb that takes names.
pub(super) fn names(names: &[String]) -> Map<String, Value> {
    let mut args = Map::new();
    if !names.is_empty() {
        args.insert("names".into(), json!(names));
    }
    args
}

/// The same with a flag, which is not sent unless it is set.
pub(super) fn with_flag(mut args: Map<String, Value>, name: &str, set: bool) -> Map<String, Value> {
    if set {
        args.insert(name.into(), json!(true));
    }
    args
}

/// A command that ends when the engine got there.
///
/// # Errors
/// When it did not.
pub(super) fn ask(global: &Global, verb: &'static str, args: Map<String, Value>, lost: Lost) -> Result<u8, Failure> {
    let question = Question { lost, appearing: verb == "wait", ..Question::change(verb, args, global.timeout) };
    let live = io::stderr().is_terminal();
    let mut shown = false;
    let result = Engine::of(global).ask(&question, |reply| {
        if !reply.message.is_empty() {
            let (before, after) = if live { ("\r\x1b[K", "") } else { ("", "\n") };
            say_raw(&format!("{before}{}{after}", reply.message));
            shown = live;
        }
    });
    if shown {
        say_raw("\n");
    }
    done(global, &result?)
}

/// Shows the answer of a change that came to be.
///
/// # Errors
/// When it cannot be written.
pub(super) fn done(global: &Global, reply: &Reply) -> Result<u8, Failure> {
    if global.json {
        print_json(&json!({"status": "ok", "message": reply.message, "content": reply.content}))?;
    } else {
        say(&reply.message);
    }
    Ok(0)
}
