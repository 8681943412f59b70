//! `dump`: everything that a person who looks for a fault wants to see of the engine itself, as one document.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use evercrew_core::Mono;
use evercrew_core::fleet::{Action, Event};
use evercrew_sys::{clock, process};
use evercrew_wire::control::{Reply, Request};
use serde_json::{Value, json};

use crate::commands::ok;
use crate::crew::LOGGER_NAME;
use crate::input::Input;
use crate::manager::Manager;
use crate::notices::Level;
use crate::text;

/// Decisions kept.
const KEPT: usize = 256;
/// Decisions shown unless more are asked for.
const SHOWN: u64 = 64;

/// What was last decided: each event that led to something, and what it led to.
#[derive(Debug, Default)]
pub(crate) struct Decisions(VecDeque<(Mono, Event, Vec<Action>)>);

impl Decisions {
    /// A beat or a moment that changed nothing is not worth its place.
    pub(crate) fn keep(&mut self, now: Mono, event: &Event, actions: &[Action]) {
        if actions.is_empty() && matches!(event, Event::Beat { .. } | Event::Tick) {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, event.clone(), actions.to_vec()));
    }

    fn last(&self, count: usize) -> Vec<Value> {
        let skip = self.0.len().saturating_sub(count);
        let one = |(at, event, actions): &(Mono, Event, Vec<Action>)| {
            let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
            json!({"at": text::wall_of(*at), "event": format!("{event:?}"), "actions": actions})
        };
        self.0.iter().skip(skip).map(one).collect()
    }
}

impl Manager {
    pub(crate) fn dump(&mut self, request: &Request) -> Reply {
        self.ask_for_dumps();
        let last = request.args.get("last").and_then(Value::as_u64).unwrap_or(SHOWN);
        let document = self.inside(last);
        ok(request, "", document)
    }

    /// The same as a file in the engine's directory, for its user alone. A thread writes it, as a disk may be slow.
    pub(crate) fn dump_to_file(&mut self) {
        self.ask_for_dumps();
        let document = self.inside(SHOWN);
        let at: String = document["at"].as_str().unwrap_or("now").chars().filter(char::is_ascii_alphanumeric).collect();
        let path = self.engine.directory.join(format!("dump-{at}.json"));
        let inputs = self.inputs.clone();
        let written = std::thread::Builder::new().name("dump".to_owned()).spawn(move || {
            let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
            let written = file.and_then(|mut file| file.write_all(format!("{document:#}\n").as_bytes()));
            let outcome = written.map_err(|error| format!("cannot write {}: {error}", path.display()));
            // The loop has ended where nobody takes it.
            let _ = inputs.blocking_send(Input::Dumped(outcome.map(|()| path)));
        });
        if let Err(error) = written {
            self.dumped(Err(format!("cannot start a thread that writes it: {error}")));
        }
    }

    /// Says what became of a dump.
    pub(crate) fn dumped(&mut self, outcome: Result<PathBuf, String>) {
        match outcome {
            Ok(path) => {
                let words = format!("wrote {}", path.display());
                self.tell(Level::Info, "engine.dump", json!({"file": path.display().to_string()}), &words);
            }
            Err(why) => {
                let words = format!("no dump: {why}");
                self.tell(Level::Error, "engine.problem", json!({"message": words}), &words);
            }
        }
    }

    fn inside(&mut self, last: u64) -> Value {
        let services = self.services();
        let status = crate::status::document(&self.fleet, &self.crew, &self.engine, &mut self.samples, &services);
        json!({
            "at": text::wall(clock::wall()),
            "version": env!("CARGO_PKG_VERSION"),
            "log": self.log.level(),
            "processes": self.own_processes(),
            "queues": self.queues(),
            "timers": self.timers(),
            "counters": self.events.counters(),
            "status": status,
            "decisions": self.decisions.last(usize::try_from(last).unwrap_or(usize::MAX)),
        })
    }

    /// The engine's own: supervisor, manager, logger.
    fn own_processes(&self) -> Vec<Value> {
        let logger = self.crew.processes.values().find(|process| process.label.service == LOGGER_NAME);
        let ours = [("supervisor", Some(self.engine.supervisor)), ("manager", Some(std::process::id()))];
        let all = ours.into_iter().chain([("logger", logger.map(|process| process.pid))]);
        let one = |(name, pid): (&str, Option<u32>)| {
            let descriptors = pid.and_then(process::descriptors);
            json!({
                "name": name,
                "pid": pid,
                "memory_bytes": pid.and_then(process::memory),
                "private_bytes": pid.and_then(process::anonymous),
                "cpu_seconds": pid.and_then(process::cpu_time).map(|time| time.as_secs_f64()),
                "descriptors": descriptors.as_ref().map(|kinds| kinds.values().sum::<usize>()),
                "descriptors_by_kind": descriptors,
            })
        };
        all.map(one).collect()
    }

    /// What waits for somebody.
    fn queues(&self) -> Value {
        json!({
            "records_to_supervisor": self.link.queued(),
            "records_to_logger": self.logger.as_ref().map(|(_, link)| link.queued()),
            "records_after_deposit": self.decided.len(),
            "deposit_is_due": self.dirty,
            "events_for_the_fleet": self.later.len(),
            "pipes_without_a_logger": self.unread.len(),
            "inputs_free": self.inputs.capacity(),
            "clients": self.clients.len(),
            "commands_that_wait": self.waitings.len(),
            "followers_of_events": self.events.followers(),
            "events_kept": self.events.kept(),
            "next_event": self.events.next(),
        })
    }

    fn timers(&self) -> Vec<Value> {
        let now = clock::mono();
        let one = |(at, why)| {
            let at: Mono = at;
            let overdue = now.since(at).as_secs_f64();
            json!({"why": format!("{why:?}"), "in_seconds": at.since(now).as_secs_f64() - overdue})
        };
        self.fleet.timers().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evercrew_core::fleet::WorkerId;

    #[test]
    fn the_last_decisions_are_kept_and_beats_take_no_place() {
        let mut decisions = Decisions::default();
        for worker in 0..KEPT as u64 + 10 {
            let event = Event::Ready { worker: WorkerId(worker) };
            decisions.keep(Mono::default(), &event, &[Action::Exit]);
            decisions.keep(Mono::default(), &Event::Beat { worker: WorkerId(worker) }, &[]);
            decisions.keep(Mono::default(), &Event::Tick, &[]);
        }
        assert_eq!(decisions.0.len(), KEPT);
        let shown = decisions.last(2);
        assert_eq!(shown.len(), 2);
        assert!(shown[1]["event"].as_str().is_some_and(|event| event.contains("265")), "{shown:?}");
        assert_eq!(shown[1]["actions"], json!(["Exit"]));
    }
}
