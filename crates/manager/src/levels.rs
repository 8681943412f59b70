//! `log-level`: which lines each process writes, shown and set while everything runs.

use evercrew_core::Filter;
use evercrew_core::fleet::{WorkerId, WorkerState};
use evercrew_core::gather::{Plan, Question, Strategy};
use evercrew_sys::clock;
use evercrew_wire::command_pipe::{LOG_LEVEL, LogLevel};
use evercrew_wire::control::{Reply, Request};
use evercrew_wire::logger::ToLogger;
use evercrew_wire::supervisor::ToSupervisor;
use serde_json::{Map, Value, json};

use crate::clients::ClientId;
use crate::commands::{Refusal, ok};
use crate::crew::LOGGER_NAME;
use crate::hub::Asker;
use crate::manager::Manager;
use crate::notices::Level;
use crate::output;
use crate::waiting::deadline;

/// The engine's own processes, as a filter names them.
const SUPERVISOR: &str = "supervisor";
const MANAGER: &str = "manager";
const LOGGER: &str = "logger";
/// How long workers have to answer where the client says nothing.
const USUAL_MS: u64 = 2000;

impl Manager {
    /// Shows or sets which lines processes write. What is set outlives this manager and the workers that it is of.
    pub(crate) fn log_level(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let set = match request.args.get("filter").and_then(Value::as_str) {
            Some(text) => Some(self.filter(text)?),
            None => None,
        };
        if let Some(filter) = &set {
            let before = self.log.filter().to_string();
            self.log.set_filter(filter);
            self.tell_log_level();
            let now = self.log.filter().to_string();
            let fields = json!({"from": before, "to": now});
            self.tell(Level::Info, "engine.log-level", fields, &format!("log level {now} (was {before})"));
        }
        let asked = self.workers_with_a_level(set.as_ref());
        if asked.is_empty() {
            return Ok(Some(ok(request, &self.log.filter().to_string(), self.own_levels())));
        }
        self.ask_levels(client, request, asked, set.is_some());
        Ok(None)
    }

    /// The configuration says another level: as if an operator did.
    pub(crate) fn level_is_configured(&mut self, level: Level) {
        let filter = Filter::of_all(level);
        self.log.set_filter(&filter);
        self.tell_log_level();
        let asked = self.workers_with_a_level(Some(&filter));
        let nobody = Request { id: String::new(), verb: String::new(), args: Map::new(), deadline_ms: None };
        if !asked.is_empty() {
            self.ask_levels(ClientId::NOBODY, &nobody, asked, true);
        }
    }

    /// # Errors
    /// A part of the text that says nothing, or a name that nobody has.
    fn filter(&self, text: &str) -> Result<Filter, Refusal> {
        let filter = Filter::parse(text).map_err(|part| {
            let part: String = part.chars().take(40).collect();
            let hint =
                "trace, debug, info, warn, error or fatal, for all or for some: `debug`, `web=debug,manager=trace`";
            (2, format!("`{part}` is no level of the log"), hint.to_owned())
        })?;
        for name in filter.names().filter(|name| ![SUPERVISOR, MANAGER, LOGGER].contains(name)) {
            self.named(name)?;
        }
        Ok(filter)
    }

    /// Those that are asked: own workers, and others where a filter names them.
    fn workers_with_a_level(&self, set: Option<&Filter>) -> Vec<(WorkerId, String)> {
        let is_named =
            |filter: &Filter, service: &str, name: &str| filter.names().any(|known| known == service || known == name);
        let shown = self.log.filter();
        let meant = |(id, process): (&WorkerId, &crate::crew::Process)| {
            let (service, name) = (&process.label.service, &process.label.name);
            let is_own = self.crew.find(service).and_then(|service| self.crew.service(service)).is_some_and(is_own);
            let filter = set.unwrap_or(&shown);
            let is_meant = is_named(filter, service, name) || (is_own && (set.is_none() || filter.all().is_some()));
            let hears = process.command.is_some() && !process.closed && service != LOGGER_NAME;
            let lives = !matches!(
                self.fleet.worker(*id),
                None | Some((.., WorkerState::Stopping | WorkerState::Failed | WorkerState::Stopped))
            );
            (is_meant && hears && lives).then(|| (*id, name.clone()))
        };
        self.crew.processes.iter().filter_map(meant).collect()
    }

    fn ask_levels(&mut self, client: ClientId, request: &Request, asked: Vec<(WorkerId, String)>, sets: bool) {
        let now = clock::mono();
        let deadline_ms = Some(request.deadline_ms.unwrap_or(USUAL_MS));
        // Each has its own level: one request a level, put to those who are to have it.
        let mut calls: Vec<(String, Value)> = Vec::new();
        let mut questions = Vec::new();
        for (worker, name) in &asked {
            let service = self.crew.processes.get(worker).map(|process| process.label.service.clone());
            let level = self.log.filter().of(name, service.as_deref()).filter(|_| sets);
            let args = LogLevel { level: level.map(|level| level.name().to_owned()) }.content();
            let index = calls.iter().position(|(_, known)| *known == args).unwrap_or_else(|| {
                calls.push((LOG_LEVEL.to_owned(), args));
                calls.len() - 1
            });
            questions.push(Question { worker: *worker, request: u32::try_from(index).unwrap_or(u32::MAX) });
        }
        let plan = Plan { strategy: Strategy::Map, deadline: deadline(now, deadline_ms), streams: false };
        let names = asked.into_iter().collect();
        let asker = Asker {
            client,
            request: request.id.clone(),
            calls,
            deadline_ms,
            names,
            missing: Vec::new(),
            began: now,
            levels: true,
        };
        self.ask_workers(asker, questions, plan);
    }

    /// The engine's own processes.
    fn own_levels(&self) -> Value {
        let level = |name: &str| json!(self.log.level_of(name, None).name());
        let processes: Map<String, Value> =
            [MANAGER, SUPERVISOR, LOGGER].into_iter().map(|name| (name.to_owned(), level(name))).collect();
        json!({"filter": self.log.filter().to_string(), "processes": processes})
    }

    /// The answer, with the lines of those who were asked.
    pub(crate) fn levels_reply(&self, asker: &Asker, lines: Vec<Value>) -> Reply {
        let mut content = self.own_levels();
        let mut silent = Vec::new();
        for line in lines {
            let name = line["name"].as_str().unwrap_or_default().to_owned();
            match LogLevel::of(&line["content"]).level {
                Some(level) if line["outcome"] == "ok" => content["processes"][name] = json!(level),
                _ => silent.push(line),
            }
        }
        if !silent.is_empty() {
            content["unanswered"] = json!(silent);
        }
        Reply::new(&asker.request, evercrew_wire::control::ReplyStatus::Ok, self.log.filter().to_string())
            .with_content(content)
    }

    /// The supervisor's and the logger's lines go through the same filter.
    pub(crate) fn tell_log_level(&mut self) {
        let level = |name: &str| self.log.level_of(name, None).name().to_owned();
        let (supervisor, logger) = (level(SUPERVISOR), level(LOGGER));
        self.send(&ToSupervisor::LogLevel { level: supervisor }, Vec::new());
        if let Some((_, link)) = &mut self.logger {
            output::push(link, &ToLogger::LogLevel { level: logger }, Vec::new());
        }
    }
}

/// Whether it is a program of the engine's library.
fn is_own(service: &evercrew_config::Service) -> bool {
    !matches!(service.program, evercrew_config::Program::Command(_))
}
