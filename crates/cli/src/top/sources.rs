//! Where inputs come from: a thread each, all into one bounded channel.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_logger::{Entry, Snapshot, harmless};
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::signal::{Received, SignalFd};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::{Map, Value, json};

use super::live::Heard;
use super::model::Input;
use super::order::Order;
use super::rates::MINUTE;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::commands::may_have;
use crate::failure::Failure;

/// Between two looks.
pub(crate) const REFRESH: Duration = Duration::from_secs(1);
/// How long the engine may take to answer one.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two looks at log files.
const LOOK: Duration = Duration::from_millis(500);
/// More than the highest terminal shows.
const LINES: usize = 200;
const KEYBOARD: u64 = 0;
const SIGNALS: u64 = 1;

/// Keys and signals, until the terminal is lost.
pub(crate) fn listen(signals: &SignalFd, heard: &SyncSender<Heard>) {
    let ended = listened(signals, heard).err();
    let why = ended.map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
    let _ = heard.send(Heard::TerminalLost(why));
}

fn listened(signals: &SignalFd, heard: &SyncSender<Heard>) -> io::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add(io::stdin(), KEYBOARD, Interest::READABLE)?;
    epoll.add(signals, SIGNALS, Interest::READABLE)?;
    let mut ready = Vec::new();
    loop {
        epoll.wait(&mut ready, None)?;
        for one in &ready {
            match one.token {
                SIGNALS => {
                    while let Some(received) = signals.read()? {
                        if !tell(heard, of_signal(received)) {
                            return Ok(());
                        }
                    }
                }
                // Looked at first: reading from a terminal that is gone never ends.
                _ if one.hangup => return Ok(()),
                _ => {
                    while event::poll(Duration::ZERO)? {
                        if !tell(heard, of_event(event::read()?)) {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// Whether somebody still listens.
fn tell(heard: &SyncSender<Heard>, what: Option<Heard>) -> bool {
    what.is_none_or(|what| heard.send(what).is_ok())
}

fn of_signal(received: Received) -> Option<Heard> {
    match received.signal {
        Some(Signal::Term | Signal::Hup | Signal::Int | Signal::Quit) => {
            u8::try_from(received.number).ok().map(Heard::Ended)
        }
        Some(Signal::Cont) => Some(Heard::Continued),
        Some(Signal::Winch) => Some(Heard::Input(Input::Redraw)),
        Some(_) | None => None,
    }
}

fn of_event(event: Event) -> Option<Heard> {
    let input = match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => return None,
        Event::Key(key) if key.modifiers.contains(KeyModifiers::CONTROL) => match key.code {
            KeyCode::Char('c') => Input::Interrupted,
            KeyCode::Char('l') => return Some(Heard::Continued),
            _ => return None,
        },
        Event::Key(key) => Input::Key(key.code),
        Event::Resize(..) => Input::Redraw,
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => return None,
    };
    Some(Heard::Input(input))
}

/// Asks the engine once a second, and when it is `poked`.
pub(crate) fn watch(global: &Global, poked: &Receiver<()>, heard: &SyncSender<Heard>) {
    let engine = Engine::of(global);
    let (mut next, mut of) = (None::<u64>, None::<u64>);
    loop {
        let inputs = look(&engine, &mut next, &mut of).unwrap_or_else(|failure| vec![Input::Broken(failure.message)]);
        for input in inputs {
            if heard.send(Heard::Input(input)).is_err() {
                return;
            }
        }
        if poked.recv_timeout(REFRESH) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// What happened since event `next` of the engine whose supervisor is `of`, and how things stand.
fn look(engine: &Engine, next: &mut Option<u64>, of: &mut Option<u64>) -> Result<Vec<Input>, Failure> {
    let document = ask(engine, "status", Map::new())?;
    let mut inputs = Vec::new();
    let supervisor = document["supervisor"]["pid"].as_u64();
    if *of != supervisor {
        (*next, *of) = (None, supervisor);
        inputs.push(Input::Renewed);
    }
    let since = next.map(|next| ("since".to_owned(), json!(next)));
    let told = ask(engine, "events", since.into_iter().collect())?;
    *next = told["next"].as_u64();
    inputs.push(Input::Events(told["events"].as_array().cloned().unwrap_or_default()));
    inputs.push(Input::Status { document, minute_ago: evercrew_logger::ago(MINUTE) });
    Ok(inputs)
}

fn ask(engine: &Engine, verb: &'static str, args: Map<String, Value>) -> Result<Value, Failure> {
    Ok(engine.ask(&Question::look(verb, args, Some(ANSWER)), |_| {})?.content)
}

/// Asks for a change and waits for its end.
pub(crate) fn carry_out(global: &Global, order: &Order, heard: &SyncSender<Heard>) {
    let question = Question::change(order.verb(), order.args(), global.timeout);
    let answer = Engine::of(global).ask(&question, |reply| {
        let _ = heard.send(Heard::Input(Input::Progress(reply.message.clone())));
    });
    let answer = match answer {
        Ok(reply) => Ok(format!("{order}: {}", reply.message)),
        Err(failure) => Err(format!("{order}: {}", failure.message)),
    };
    let _ = heard.send(Heard::Input(Input::Answered(answer)));
}

/// The last lines of whoever is `wanted`, while anybody is.
pub(crate) fn read(wanted: &Receiver<Option<(PathBuf, String)>>, heard: &SyncSender<Heard>) {
    let (mut whose, mut shown) = (None, Vec::new());
    loop {
        let told = match &whose {
            None => wanted.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => wanted.recv_timeout(LOOK),
        };
        match told {
            // Only the last of them is on the screen.
            Ok(told) => (whose, shown) = (wanted.try_iter().last().unwrap_or(told), Vec::new()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some((directory, name)) = &whose else { continue };
        let lines = last_lines(directory, name).unwrap_or_else(|error| vec![format!("(cannot read logs: {error})")]);
        if lines != shown {
            shown.clone_from(&lines);
            if heard.send(Heard::Input(Input::Lines(lines))).is_err() {
                return;
            }
        }
    }
}

/// As `logs NAME` prints them.
fn last_lines(directory: &Path, name: &str) -> io::Result<Vec<String>> {
    let wanted = |entry: &Entry| entry.worker.is_empty() || entry.worker == name || entry.service == name;
    let mut entries = Vec::new();
    for base in evercrew_logger::names(directory)?.iter().filter(|base| may_have(base, name)) {
        entries.extend(Snapshot::take(directory, base)?.last(LINES, "", &wanted)?);
    }
    entries.sort_by(|one, other| one.time.cmp(&other.time));
    let first = entries.len().saturating_sub(LINES);
    let line = |entry: &Entry| format!("{} {} | {}", entry.time, entry.worker, harmless(&entry.text));
    Ok(entries[first..].iter().map(line).collect())
}
