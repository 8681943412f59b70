//! The verbs of the command socket.

use std::time::Duration;

use evercrew_core::fleet::{Event, MAX_WORKERS, ServiceId, Slot};
use evercrew_sys::clock;
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use serde_json::{Value, json};

use crate::accepting::Connection;
use crate::access::Role;
use crate::audit::Audited;
use crate::boot;
use crate::clients::{ClientId, MAX_CLIENTS, failure};
use crate::events::Filter;
use crate::manager::Manager;
use crate::notices::Level;
use crate::reload::By;
use crate::status;
use crate::verbs::{self, Entry, Right, VERBS, Verb};
use crate::waiting::{Goal, Waiting, deadline};

/// Requests of one connection that may wait or follow at a time.
const MAX_OPEN: usize = 64;

/// How long a connection may stay without a request where others find no room.
const TIME_TO_ASK: Duration = Duration::from_millis(200);
/// Until the log says again that there is no room.
const CROWDED_AGAIN: Duration = Duration::from_secs(10);

/// Why a request cannot be done: exit code, message, hint.
pub(crate) type Refusal = (u8, String, String);

impl Manager {
    /// Does what a request asks; some are answered later.
    pub(crate) fn command(&mut self, client: ClientId, request: &Request) {
        let done = self.answer(client, request);
        match done {
            Ok(Some(reply)) => self.clients.reply(client, &reply),
            Ok(None) => {}
            Err((code, message, hint)) => self.clients.reply(client, &failure(&request.id, code, message, hint)),
        }
    }

    /// The answer, where there is one at once.
    fn answer(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let Some(entry) = Entry::named(&request.verb) else {
            let known: Vec<&str> = VERBS.iter().map(|entry| entry.name).collect();
            let hint = format!("this engine knows {}", known.join(", "));
            return Err((2, format!("unknown verb `{}`", request.verb), hint));
        };
        entry.check(&request.args).map_err(|(text, hint)| (2, text, hint))?;
        self.metering.asked(entry.name);
        self.permit(client, request, entry)?;
        let stays_open = entry.stays_open && (entry.verb != Verb::Events || flag(request, "follow"));
        if stays_open && self.open_of(client) >= MAX_OPEN {
            let hint = "wait for an answer, cancel one, or use another connection".to_owned();
            return Err((75, format!("{MAX_OPEN} requests are open on this connection"), hint));
        }
        if stays_open && self.clients.is_last(client) {
            let text = "the engine has no file descriptor left for a connection that stays";
            let hint = "end commands that wait or follow, or raise the limit of open files";
            self.clients.refuse(client, &failure(&request.id, 75, text, hint));
            return Ok(None);
        }
        match entry.verb {
            Verb::Status => self.status(request).map(Some),
            Verb::Wait => self.wait(client, request),
            Verb::Scale => self.scale(client, request),
            Verb::Restart => self.restart(client, request),
            Verb::RolloutStatus => self.rollout_status(request).map(Some),
            Verb::RolloutHistory => self.rollout_history(request).map(Some),
            Verb::RolloutPause => self.rollout_pause(request).map(Some),
            Verb::RolloutResume => self.rollout_resume(request).map(Some),
            Verb::RolloutUndo => self.rollout_undo(client, request),
            Verb::Start => self.start(client, request),
            Verb::Stop => self.stop(client, request),
            Verb::Reload => self.reload(client, request),
            Verb::Shutdown => Ok(Some(self.shutdown_command(request))),
            Verb::Upgrade => self.upgrade_command(client, request),
            Verb::Call => self.call(client, request),
            Verb::Metrics => {
                self.metrics(client, request);
                Ok(None)
            }
            Verb::Signal => self.signal_command(request).map(Some),
            Verb::Events => Ok(self.follow_events(client, request)),
            Verb::Surroundings => self.surroundings(request).map(Some),
            Verb::LogLevel => self.log_level(client, request),
            Verb::Dump => Ok(Some(self.dump(request))),
            Verb::Cancel => self.cancel(client, request).map(Some),
            Verb::Version => {
                let content = json!({"version": env!("CARGO_PKG_VERSION"), "verbs": verbs::list()});
                Ok(Some(ok(request, "version", content)))
            }
        }
    }

    /// Refuses what the client's role does not permit; what it changes is written down.
    fn permit(&mut self, client: ClientId, request: &Request, entry: &Entry) -> Result<(), Refusal> {
        let who = self.clients.peer(client);
        // To ask for the level alone changes nothing.
        let looks = entry.verb == Verb::LogLevel && !request.args.contains_key("filter");
        let right = if looks { Right::Look } else { entry.right };
        if right != Right::Look {
            self.clients.audit(client, Audited::new(request, entry.name));
        }
        match who.role {
            Some(role) if role.may(right) => Ok(()),
            role => {
                let role = role.map_or("nobody", Role::name);
                let text = format!("`{}` is not permitted to {who}, who is {role} here", entry.name);
                Err((77, text, "ask an admin: `[control]` of the configuration says who may do what".to_owned()))
            }
        }
    }

    /// Takes a connection in, in place of an idle one if there are too many.
    pub(crate) fn connected(&mut self, connection: Connection) {
        let client = self.clients.connected(connection, &self.inputs);
        if self.clients.len() > MAX_CLIENTS && !self.close_idlest(Some(client), Duration::ZERO) {
            let text = format!("{MAX_CLIENTS} connections are open and all of them wait for something");
            self.clients.refuse(client, &failure("", 75, text, "try again later, or end a command that waits"));
        }
    }

    /// Makes room where no descriptor is left. One that has just come is left the time to ask.
    pub(crate) fn crowded(&mut self) {
        let now = clock::mono();
        if self.crowded.is_none_or(|at| now.since(at) > CROWDED_AGAIN) {
            self.crowded = Some(now);
            let words = "no file descriptor is left for another connection; idle ones are closed for it";
            self.tell(Level::Warn, "engine.problem", json!({"message": words}), words);
        }
        self.close_idlest(None, TIME_TO_ASK);
    }

    fn close_idlest(&mut self, spare: Option<ClientId>, least: Duration) -> bool {
        let (waitings, events, hub, metering) = (&self.waitings, &self.events, &self.hub, &self.metering);
        let open = |client| waitings.count(client) + events.count(client) + hub.count(client) + metering.count(client);
        self.clients.close_idlest(spare, least, |client| open(client) > 0)
    }

    /// How many requests of a client are open.
    fn open_of(&self, client: ClientId) -> usize {
        self.waitings.count(client) + self.events.count(client) + self.hub.count(client) + self.metering.count(client)
    }

    /// Drops what is kept for a connection that is gone.
    pub(crate) fn forget(&mut self, client: ClientId) {
        self.clients.disconnected(client);
        self.events.unsubscribe(client, None);
        self.waitings.remove(client, None);
        self.cancel_calls(client, None);
    }

    /// After each batch: events to those who follow, and an end to connections that are done.
    pub(crate) fn attend_clients(&mut self) {
        let clients = &self.clients;
        for due in self.events.due(|client| clients.room(client)) {
            for content in due.contents {
                let reply = Reply::new(&due.request, ReplyStatus::Processing, "");
                self.clients.reply(due.client, &reply.with_content(content));
            }
            if due.behind {
                self.clients.wants_room(due.client);
            }
        }
        for client in self.clients.take_cut() {
            self.forget(client);
        }
        let (waitings, events, hub, metering) = (&self.waitings, &self.events, &self.hub, &self.metering);
        let open = |client| waitings.count(client) + events.count(client) + hub.count(client) + metering.count(client);
        self.clients.close_ended(|client| open(client) > 0);
        self.samples.end_batch();
        self.write_audit();
    }

    fn status(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let mut asked: Vec<ServiceId> = self.targets(request)?.into_iter().map(|(service, _)| service).collect();
        asked.sort();
        asked.dedup();
        if asked.is_empty() {
            asked = self.services();
        }
        let document = status::document(&self.fleet, &self.crew, &self.engine, &mut self.samples, &asked);
        Ok(ok(request, "", document))
    }

    fn wait(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let mut services: Vec<ServiceId> = self.targets(request)?.into_iter().map(|(service, _)| service).collect();
        if services.is_empty() {
            services = self.services();
        }
        self.later(client, request, Goal::Ready(services));
        Ok(None)
    }

    fn scale(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let mut targets = Vec::new();
        for text in texts(request, "names") {
            let usage = || {
                let hint = "write NAME=N, NAME=+N or NAME=-N: `web=4`".to_owned();
                (2, format!("`{text}` names no service with a number of workers"), hint)
            };
            let (name, count) = text.split_once('=').ok_or_else(usage)?;
            let (service, slot) = self.named(name)?;
            if slot.is_some() {
                let hint = "scale the service it belongs to".to_owned();
                return Err((2, format!("`{name}` is one worker, which cannot be scaled"), hint));
            }
            // Of two changes of one service the second starts from the first.
            let before = targets.iter().find(|(known, _)| *known == service).map(|(_, count)| *count);
            let wanted = before.or(self.fleet.service(service).map(|view| view.wanted)).unwrap_or(0);
            if before.is_some() && !count.starts_with(['+', '-']) {
                let hint = "give one number of workers for each service".to_owned();
                return Err((2, format!("`{text}` is not the only number of workers given for `{name}`"), hint));
            }
            let count = match changed(wanted, count).ok_or_else(usage)? {
                Some(count) => count,
                None => {
                    let hint = format!("{wanted} are wanted now; `{name}=0` stops them all");
                    return Err((2, format!("`{text}` would leave fewer than no workers"), hint));
                }
            };
            if count > MAX_WORKERS {
                let hint = format!("at most {MAX_WORKERS}");
                return Err((2, format!("{count} workers for `{name}` are too many"), hint));
            }
            targets.retain(|(known, _)| *known != service);
            targets.push((service, count));
        }
        if targets.is_empty() {
            return Err((2, "no service is named".into(), "write NAME=N: `evercrew scale web=4`".into()));
        }
        self.fits(&targets)?;
        for (service, workers) in &targets {
            self.decide(Event::Scale { service: *service, workers: *workers });
        }
        self.later(client, request, Goal::Scaled(targets));
        Ok(None)
    }

    /// Refuses what there are no descriptors for.
    fn fits(&self, targets: &[(ServiceId, u32)]) -> Result<(), Refusal> {
        let wanted = |service: ServiceId, now: u32| {
            let asked = targets.iter().rev().find(|(target, _)| *target == service);
            u64::from(asked.map_or(now, |(_, workers)| *workers))
        };
        let each = |service| self.crew.service(service).map_or(0, boot::descriptors_for_one);
        let all = || self.fleet.services().into_iter().map(|view| (view.service, wanted(view.service, view.wanted)));
        let held: u64 = all().map(|(service, workers)| workers.saturating_mul(each(service))).sum();
        let free = boot::descriptors_for_all(self.nofile);
        if held <= free {
            return Ok(());
        }
        let total: u64 = all().map(|(_, workers)| workers).sum();
        let hint = "raise the hard limit of open files (LimitNOFILE) and start the engine anew".to_owned();
        Err((1, format!("{total} workers need {held} open files, more than the {free} that there are for them"), hint))
    }

    fn start(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let services: Vec<ServiceId> = self.whole_services(request)?;
        for service in &services {
            self.decide(Event::Start { service: *service });
        }
        self.later(client, request, Goal::Ready(services));
        Ok(None)
    }

    fn stop(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let services = self.whole_services(request)?;
        let now = flag(request, "now");
        for service in &services {
            self.decide(Event::Stop { service: *service, now });
        }
        self.later(client, request, Goal::Stopped(services));
        Ok(None)
    }

    fn reload(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let Some(number) = self.reloads.ask(By::Command { dry_run: flag(request, "dry_run") }) else {
            return Err((75, "too many reloads wait already".to_owned(), "try again later".to_owned()));
        };
        self.later(client, request, Goal::Reload(number, !flag(request, "no_wait"), None));
        Ok(None)
    }

    fn shutdown_command(&mut self, request: &Request) -> Reply {
        if flag(request, "now") {
            self.stop_now();
        } else {
            self.decide(Event::Shutdown { now: false });
        }
        ok(request, "stopping", json!({"supervisor": {"pid": self.engine.supervisor}}))
    }

    fn follow_events(&mut self, client: ClientId, request: &Request) -> Option<Reply> {
        let since = request.args.get("since").and_then(Value::as_u64);
        let filter = Filter { services: texts(request, "service"), kinds: texts(request, "kind") };
        if flag(request, "follow") {
            let since = since.unwrap_or(self.events.next());
            self.events.subscribe(client, request.id.clone(), since, filter, flag(request, "heartbeats"));
            let following = Reply::new(&request.id, ReplyStatus::Processing, "following");
            let mut content = json!({"next": since, "engine": self.configuration.instance.get(..16)});
            if flag(request, "snapshot") {
                let services = self.services();
                content["snapshot"] =
                    status::document(&self.fleet, &self.crew, &self.engine, &mut self.samples, &services);
            }
            return Some(following.with_content(content));
        }
        let (mut events, _) = self.events.since(since.unwrap_or(0), usize::MAX, &filter);
        // Numbers start at 1: asking for all of them is no gap.
        if since.is_none() {
            events.retain(|event| event.get("lost").is_none());
        }
        Some(ok(request, "", json!({"events": events, "next": self.events.next()})))
    }

    fn cancel(&mut self, client: ClientId, request: &Request) -> Result<Reply, Refusal> {
        let id = request.args.get("id").and_then(Value::as_str).ok_or_else(|| {
            (2, "cancel without `id`".to_owned(), r#"name the request: {"args":{"id":"7"}}"#.to_owned())
        })?;
        let cancelled = self.events.unsubscribe(client, Some(id))
            + self.waitings.remove(client, Some(id))
            + self.cancel_calls(client, Some(id));
        if cancelled == 0 {
            let hint = "it was answered already, or asked over another connection";
            return Err((4, format!("no request `{id}` is open on this connection"), hint.to_owned()));
        }
        // A client that gives one id to several requests gets an answer to each.
        for _ in 0..cancelled {
            self.clients.reply(client, &Reply::new(id, ReplyStatus::Ok, "cancelled"));
        }
        Ok(ok(request, "cancelled", Value::Null))
    }

    pub(crate) fn later(&mut self, client: ClientId, request: &Request, goal: Goal) {
        let deadline = deadline(clock::mono(), request.deadline_ms);
        self.waitings.add(client, Waiting { request: request.id.clone(), goal, deadline });
    }

    pub(crate) fn services(&self) -> Vec<ServiceId> {
        self.crew.ids().to_vec()
    }

    pub(crate) fn whole_services(&self, request: &Request) -> Result<Vec<ServiceId>, Refusal> {
        self.some_targets(request)?;
        self.optional_services(request)
    }

    /// Whole services, or none where none is named.
    pub(crate) fn optional_services(&self, request: &Request) -> Result<Vec<ServiceId>, Refusal> {
        let targets = self.targets(request)?;
        match targets.iter().find(|(_, slot)| slot.is_some()) {
            Some((service, _)) => {
                let hint = format!("name the whole service: `{}`", self.crew.name(*service));
                Err((2, format!("`{}` is not done to one worker alone", request.verb), hint))
            }
            None => Ok(targets.into_iter().map(|(service, _)| service).collect()),
        }
    }

    pub(crate) fn some_targets(&self, request: &Request) -> Result<Vec<(ServiceId, Option<Slot>)>, Refusal> {
        let targets = self.targets(request)?;
        if targets.is_empty() {
            return Err((2, "no service is named".into(), "name one or more: `web`, or one worker: `web.2`".into()));
        }
        Ok(targets)
    }

    fn targets(&self, request: &Request) -> Result<Vec<(ServiceId, Option<Slot>)>, Refusal> {
        texts(request, "names").iter().map(|name| self.named(name)).collect()
    }

    pub(crate) fn named(&self, name: &str) -> Result<(ServiceId, Option<Slot>), Refusal> {
        let unknown = || {
            let known: Vec<&str> = self.crew.settings().services.iter().map(|service| service.name.as_str()).collect();
            let runs = format!("this engine runs {}", known.join(", "));
            let hint = match evercrew_config::nearest_name(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? {runs}"),
                None => runs,
            };
            (4, format!("there is no service or worker `{name}`"), hint)
        };
        let (service, slot) = self.crew.resolve(name).ok_or_else(unknown)?;
        if let (Some(slot), Some(view)) = (slot, self.fleet.service(service))
            && !view.workers.iter().any(|worker| worker.slot == slot)
        {
            return Err(unknown());
        }
        Ok((service, slot))
    }
}

/// `4`, `+1` or `-1` on what is wanted; one sign and digits, nothing else. The inner none is less than no workers.
fn changed(wanted: u32, text: &str) -> Option<Option<u32>> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => Some(Some(wanted.saturating_add(number(more)?))),
        (_, Some(less)) => Some(wanted.checked_sub(number(less)?)),
        (None, None) => number(text).map(Some),
    }
}

pub(crate) fn ok(request: &Request, message: &str, content: Value) -> Reply {
    Reply::new(&request.id, ReplyStatus::Ok, message).with_content(content)
}

pub(crate) fn flag(request: &Request, name: &str) -> bool {
    request.args.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// Of what type they are was checked.
pub(crate) fn texts(request: &Request, name: &str) -> Vec<String> {
    let items = request.args.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn a_number_of_workers_has_one_sign_at_most() {
        let known = ["4", "+1", "-1", "-3", "-4", "0", "+4294967295"].map(|text| changed(3, text));
        let counts = [Some(4), Some(4), Some(2), Some(0), None, Some(0), Some(u32::MAX)];
        assert_eq!(known, counts.map(Some), "three less are none, four less are too few");
        for wrong in ["", "+", "-", "++3", "--3", "+-3", "-+3", " 3", "3 ", "3.0", "x", "4294967296"] {
            assert_eq!(changed(3, wrong), None, "{wrong:?}");
        }
    }
}
