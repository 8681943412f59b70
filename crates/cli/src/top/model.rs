//! What is known, and what a key does.

use std::collections::VecDeque;
use std::path::PathBuf;

use ratatui::crossterm::event::KeyCode;
use serde_json::Value;

use super::columns::COLUMNS;
use super::order::Order;
use super::rates::Rates;
use crate::table;

/// Events that are kept: as many as an engine keeps.
const EVENTS: usize = 4096;
/// Longest text that is typed.
const TYPED: usize = 64;
/// Orders that are not answered yet.
const UNDER_WAY: usize = 8;

/// What comes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key was pressed.
    Key(KeyCode),
    /// Ctrl-C.
    Interrupted,
    /// The engine's status, and a minute ago as its events have moments.
    Status { document: Value, minute_ago: String },
    /// What happened since.
    Events(Vec<Value>),
    /// Another engine than before: its events have other numbers.
    Renewed,
    /// No status could be had.
    Broken(String),
    /// The last lines that the pane of logs shows.
    Lines(Vec<String>),
    /// How an order goes on.
    Progress(String),
    /// How an order ended.
    Answered(Result<String, String>),
    /// The terminal has another size, or this process was stopped for a while.
    Redraw,
}

/// What the terminal's owner is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    #[default]
    Watching,
    /// What names should contain.
    Filtering,
    /// Whether that is meant.
    Confirming(Order),
    /// Which signal.
    Signalling { name: String, typed: String },
    /// Nothing: the keys are explained.
    Help,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Quit,
    Ask(Order),
}

/// What is shown of one service or worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// A slot is there twice during a rollout.
    pub(crate) generation: Option<u64>,
    pub(crate) service: String,
    pub(crate) state: String,
    pub(crate) cells: [String; COLUMNS],
}

/// The last answer to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) good: bool,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) document: Value,
    /// Why the status is not of this moment.
    pub(crate) broken: Option<String>,
    pub(crate) events: VecDeque<Value>,
    pub(crate) rates: Rates,
    pub(crate) lines: Vec<String>,
    /// The pane shows logs instead of events.
    pub(crate) logs: bool,
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    pub(crate) said: Option<Said>,
    cursor: Option<(String, Option<u64>)>,
    /// Where the cursor was: it stays there when its row goes.
    place: usize,
    under_way: usize,
}

impl Model {
    /// Takes one input.
    pub(crate) fn take(&mut self, input: Input) -> Effect {
        match input {
            Input::Key(key) => return self.key(key),
            Input::Interrupted => return Effect::Quit,
            Input::Status { document, minute_ago } => {
                (self.document, self.broken) = (document, None);
                self.rates = Rates::of(&self.events, &minute_ago);
                self.keep_cursor();
            }
            Input::Events(events) => {
                self.events.extend(events);
                let surplus = self.events.len().saturating_sub(EVENTS);
                self.events.drain(..surplus);
            }
            Input::Renewed => self.events.clear(),
            Input::Broken(why) => self.broken = Some(why),
            Input::Lines(lines) => self.lines = lines,
            Input::Progress(text) => self.say(text, true),
            Input::Answered(answer) => {
                self.under_way = self.under_way.saturating_sub(1);
                match answer {
                    Ok(text) => self.say(text, true),
                    Err(text) => self.say(text, false),
                }
            }
            Input::Redraw => {}
        }
        Effect::Nothing
    }

    /// The rows that the filter lets through.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for service in self.document["services"].as_array().into_iter().flatten() {
            let head = service_row(service);
            let whole = head.name.contains(&self.filter);
            let workers = service["workers"].as_array().into_iter().flatten();
            let workers = workers.map(|worker| worker_row(&head.name, worker));
            let mut workers: Vec<Row> = workers.filter(|row| whole || row.name.contains(&self.filter)).collect();
            if whole || !workers.is_empty() {
                rows.push(head);
                rows.append(&mut workers);
            }
        }
        rows
    }

    /// Where the cursor is among [`Model::rows`].
    pub(crate) fn selected(&self, rows: &[Row]) -> Option<usize> {
        let (name, generation) = self.cursor.as_ref()?;
        rows.iter().position(|row| row.name == *name && row.generation == *generation)
    }

    /// Whose lines the pane of logs shows, and the directory they are in; `None` while it is closed.
    pub(crate) fn wanted_lines(&self) -> Option<(PathBuf, String)> {
        let directory = self.document["logs"].as_str().filter(|_| self.logs)?;
        let (name, _) = self.cursor.as_ref()?;
        Some((PathBuf::from(directory), name.clone()))
    }

    fn say(&mut self, text: String, good: bool) {
        if !text.is_empty() {
            self.said = Some(Said { text, good });
        }
    }

    /// The cursor is on a row whenever there is one.
    fn keep_cursor(&mut self) {
        let rows = self.rows();
        match self.selected(&rows) {
            Some(at) => self.place = at,
            None => self.put_cursor(&rows, self.place),
        }
    }

    fn put_cursor(&mut self, rows: &[Row], at: usize) {
        self.place = at.min(rows.len().saturating_sub(1));
        self.cursor = rows.get(self.place).map(|row| (row.name.clone(), row.generation));
    }

    fn move_cursor(&mut self, by: isize) {
        let rows = self.rows();
        let at = self.selected(&rows).unwrap_or(self.place);
        self.put_cursor(&rows, at.saturating_add_signed(by));
    }

    fn key(&mut self, key: KeyCode) -> Effect {
        match std::mem::take(&mut self.mode) {
            Mode::Watching => return self.key_watching(key),
            Mode::Filtering => self.key_filtering(key),
            Mode::Confirming(order) => match key {
                KeyCode::Char('y' | 'Y') => return self.order(order),
                _ => self.say(format!("not done: {order}"), true),
            },
            Mode::Signalling { name, mut typed } => match key {
                KeyCode::Enter if !typed.is_empty() => return self.order(Order::Signal { name, signal: typed }),
                KeyCode::Enter | KeyCode::Esc => {}
                other => {
                    edit(&mut typed, other);
                    self.mode = Mode::Signalling { name, typed };
                }
            },
            // Any key closes it.
            Mode::Help => {}
        }
        Effect::Nothing
    }

    fn key_watching(&mut self, key: KeyCode) -> Effect {
        self.said = None;
        match key {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filtering,
            KeyCode::Char('l') => {
                self.logs = !self.logs;
                self.lines.clear();
            }
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Up => self.move_cursor(-1),
            KeyCode::Down => self.move_cursor(1),
            KeyCode::PageUp => self.move_cursor(-10),
            KeyCode::PageDown => self.move_cursor(10),
            KeyCode::Home => self.move_cursor(isize::MIN),
            KeyCode::End => self.move_cursor(isize::MAX),
            KeyCode::Char(letter @ ('r' | 's' | '+' | '-' | 'k')) => self.propose(letter),
            _ => {}
        }
        Effect::Nothing
    }

    fn key_filtering(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => {}
            KeyCode::Esc => self.set_filter(String::new()),
            other => {
                let mut filter = self.filter.clone();
                edit(&mut filter, other);
                self.set_filter(filter);
                self.mode = Mode::Filtering;
            }
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.keep_cursor();
    }

    /// Nothing changes by one key alone.
    fn propose(&mut self, letter: char) {
        let rows = self.rows();
        let Some(row) = self.selected(&rows).and_then(|at| rows.get(at)) else {
            return self.say("nothing is selected".to_owned(), false);
        };
        if self.broken.is_some() {
            return self.say("the engine does not answer; nothing can be asked of it".to_owned(), false);
        }
        let service = row.service.clone();
        self.mode = Mode::Confirming(match letter {
            'r' => Order::Restart(row.name.clone()),
            '+' => Order::More(service),
            '-' => Order::Fewer(service),
            'k' => {
                self.mode = Mode::Signalling { name: row.name.clone(), typed: String::new() };
                return;
            }
            _ if self.rests(&service) => Order::Start(service),
            _ => Order::Stop(service),
        });
    }

    /// Whether the service is stopped, or about to be, so that it can be started.
    fn rests(&self, service: &str) -> bool {
        let mut services = self.document["services"].as_array().into_iter().flatten();
        let found = services.find(|entry| entry["name"] == service);
        found.is_some_and(|entry| matches!(entry["state"].as_str(), Some("stopped" | "stopping" | "finished")))
    }

    fn order(&mut self, order: Order) -> Effect {
        if self.under_way >= UNDER_WAY {
            self.say(format!("not done: {order}: {UNDER_WAY} others are under way"), false);
            return Effect::Nothing;
        }
        self.under_way += 1;
        self.say(format!("asked: {order}"), true);
        Effect::Ask(order)
    }
}

fn edit(text: &mut String, key: KeyCode) {
    match key {
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char(character) if text.chars().count() < TYPED && !character.is_control() => text.push(character),
        _ => {}
    }
}

fn service_row(service: &Value) -> Row {
    let text = |field: &str| service[field].as_str().unwrap_or_default().to_owned();
    let (name, state) = (text("name"), text("state"));
    let mut cells = std::array::from_fn(|_| String::new());
    cells[0] = name.clone();
    cells[1] = with_progress(service);
    cells[4] = table::number(service, "revision");
    Row { service: name.clone(), name, generation: None, state, cells }
}

/// Its state with how far its rollout is.
fn with_progress(service: &Value) -> String {
    let rollout = &service["rollout"];
    let paused = if rollout["paused"] == true { " (paused)" } else { "" };
    let progress = match (rollout["done"].as_u64(), rollout["total"].as_u64()) {
        (Some(done), Some(total)) => format!(" {done}/{total}{paused}"),
        _ => String::new(),
    };
    table::service_state(service) + &progress
}

fn worker_row(service: &str, worker: &Value) -> Row {
    let [name, state, pid, generation, uptime, restarts, memory, cpu, last_exit] = table::worker_row(worker);
    let revision = table::number(worker, "revision");
    Row {
        name: name.trim_start().to_owned(),
        generation: worker["generation"].as_u64(),
        service: service.to_owned(),
        state: state.clone(),
        cells: [name, state, pid, generation, revision, uptime, restarts, memory, cpu, last_exit],
    }
}

#[cfg(test)]
mod tests;
