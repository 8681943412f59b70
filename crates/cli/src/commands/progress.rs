//! Waiting for rollouts, with a line for each service: on a terminal it is written anew as the rollout goes on.

use std::io::{self, IsTerminal};

use serde_json::{Map, Value};

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{say, say_raw};

/// The lines on the terminal, in the order in which their services were first heard of.
#[derive(Debug, Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    /// What has to be written for this line to stand where its service has its place.
    fn set(&mut self, service: &str, text: &str) -> String {
        let index = match self.0.iter().position(|(known, _)| known == service) {
            Some(index) => {
                text.clone_into(&mut self.0[index].1);
                index
            }
            None => {
                self.0.push((service.to_owned(), text.to_owned()));
                return format!("{text}\n");
            }
        };
        let up = self.0.len() - index;
        format!("\x1b[{up}A\r\x1b[K{text}\x1b[{up}B\r")
    }
}

/// Asks for it and ends when all of it is done.
///
/// # Errors
/// When it did not come to that.
pub(super) fn ask(global: &Global, verb: &'static str, args: Map<String, Value>) -> Result<u8, Failure> {
    let question = Question::change(verb, args, global.timeout);
    let (live, mut lines) = (io::stderr().is_terminal(), Lines::default());
    let reply = Engine::of(global).ask(&question, |reply| {
        if reply.message.is_empty() {
            return;
        }
        match reply.content["service"].as_str() {
            Some(service) if live => say_raw(&lines.set(service, &reply.message)),
            Some(_) | None => say(&reply.message),
        }
    })?;
    change::done(global, &reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_keeps_its_line() {
        let mut lines = Lines::default();
        assert_eq!(lines.set("web", "web 0 of 2"), "web 0 of 2\n");
        assert_eq!(lines.set("api", "api 0 of 1"), "api 0 of 1\n");
        assert_eq!(lines.set("web", "web 1 of 2"), "\x1b[2A\r\x1b[Kweb 1 of 2\x1b[2B\r");
        assert_eq!(lines.set("api", "api 1 of 1"), "\x1b[1A\r\x1b[Kapi 1 of 1\x1b[1B\r");
    }
}
