//! `signal`: a signal or a word to workers on an operator's behalf.

use evercrew_core::fleet::WorkerId;
use evercrew_core::{Signal, Word};
use evercrew_sys::signal;
use evercrew_wire::control::{Reply, Request};
use evercrew_wire::supervisor::{Label, Scope, ToSupervisor};
use serde_json::{Value, json};

use crate::commands::{Refusal, flag, ok};
use crate::manager::Manager;
use crate::notices::Level;
use crate::words;

impl Manager {
    /// The fleet is not told: a worker that ends by it has ended unasked.
    pub(crate) fn signal_command(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let targets = self.some_targets(request)?;
        let text = request.args.get("signal").and_then(Value::as_str).unwrap_or_default();
        let scope = if flag(request, "group") { Scope::Group } else { Scope::Process };
        let order = order(text, scope)?;
        let fits = |label: &Label| {
            targets.iter().any(|(service, slot)| {
                label.service == self.crew.name(*service) && slot.is_none_or(|slot| slot.0 == label.slot)
            })
        };
        let found: Vec<(WorkerId, String, String, u32)> = self
            .crew
            .processes
            .iter()
            .filter(|(_, process)| fits(&process.label))
            .map(|(id, process)| (*id, process.label.service.clone(), process.label.name.clone(), process.pid))
            .collect();
        if found.is_empty() {
            let hint = "`evercrew status` shows which workers run".to_owned();
            return Err((1, "none of these has a process".to_owned(), hint));
        }
        let (mut workers, mut untold) = (Vec::new(), Vec::new());
        for (worker, service, name, pid) in found {
            match order {
                Order::Word(word) => {
                    if let Err(reason) = self.say(worker, word, "by an operator") {
                        untold.push(reason);
                        continue;
                    }
                }
                Order::Signal(signal) => {
                    let (worker, signal_name) = (worker.0, signal.name().to_owned());
                    let record = ToSupervisor::Signal { worker, signal: signal_name, scope, aside: true, word: None };
                    self.after_deposit(&record, Vec::new());
                    let fields = json!({"service": service, "worker": name, "pid": pid, "signal": signal.to_string()});
                    self.tell(Level::Info, "worker.signalled", fields, &format!("{name}: {signal}, by an operator"));
                }
            }
            workers.push(json!({"name": name, "pid": pid}));
        }
        let count = workers.len();
        let what = match order {
            Order::Word(word) if !untold.is_empty() => {
                let (text, hint) = words::untold(word, &untold, &workers);
                return Err((1, text, hint));
            }
            Order::Word(word) => word.to_string(),
            Order::Signal(signal) => signal.to_string(),
        };
        let text = format!("{what} sent to {count} {}", if count == 1 { "worker" } else { "workers" });
        Ok(ok(request, &text, json!({"workers": workers})))
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Order {
    Signal(Signal),
    Word(Word),
}

fn order(text: &str, scope: Scope) -> Result<Order, Refusal> {
    match (text.parse(), scope) {
        (Ok(word), Scope::Process) => return Ok(Order::Word(word)),
        (Ok(word), Scope::Group) => {
            let hint = "a word is for the one process that reads its command pipe".to_owned();
            return Err((2, format!("{word} cannot be sent to a group"), hint));
        }
        (Err(()), _) => {}
    }
    signal_named(text).map(Order::Signal).ok_or_else(|| {
        let hint = format!(
            "name one that `kill -l` lists: HUP, USR1, USR2, TERM, KILL, STOP, CONT; or a word for a program with a \
             command pipe: {}",
            words::names()
        );
        (2, format!("`{}` is no signal", text.chars().take(40).collect::<String>()), hint)
    })
}

/// `USR1`, `SIGUSR1`, `usr1` or `10`.
fn signal_named(text: &str) -> Option<Signal> {
    match text.parse::<i32>() {
        Ok(number) => signal::from_number(number),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        for text in ["USR1", "SIGUSR1", "usr1", "10"] {
            assert_eq!(signal_named(text), Some(Signal::Usr1), "{text}");
        }
        for text in ["", "0", "-1", "999", "USR3", "SIG", "TERM KILL"] {
            assert_eq!(signal_named(text), None, "{text}");
        }
    }
}
