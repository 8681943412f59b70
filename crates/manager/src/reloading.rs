//! Reloads at work: what the files say becomes listeners, workers and, all at once, the configuration in force.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use evercrew_config::Settings;
use evercrew_core::Word;
use evercrew_core::fleet::{Epoch, Event, Pace, ServiceId};
use evercrew_sys::clock;
use evercrew_wire::control::{Reply, ReplyStatus};
use evercrew_wire::deposit::MAX;
use evercrew_wire::supervisor::ToSupervisor;
use serde_json::{Value, json};

use crate::clients::failure;
use crate::edition::Edition;
use crate::input::Input;
use crate::listeners;
use crate::manager::Manager;
use crate::notices::Level;
use crate::plan::{Fate, Plan};
use crate::reload::{self, Asked, BINDING, Candidate, Proof, READING, Reread, Running, Stage};
use crate::waiting::Settling;
use crate::{boot, deposit, growth};

/// What a first new worker gets beyond its `ready_timeout`: others may have to make room for it first.
const PROVING: Duration = Duration::from_secs(60);
/// Longest text of a refusal among the events.
const LONGEST_EVENT: usize = 16 * 1024;

impl Manager {
    /// Begins, goes on with or gives up reloads. Called once a batch.
    pub(crate) fn go_on_reloading(&mut self) {
        self.advance_reload();
        while let Some(asked) = self.reloads.next() {
            self.begin_reload(asked);
        }
    }

    fn advance_reload(&mut self) {
        let Some(running) = self.reloads.running.take() else { return };
        let late = clock::mono() >= running.until;
        if self.fleet.stopping() {
            return self.refuse(running, "the engine is being stopped".to_owned());
        }
        match running.stage {
            Stage::Reading if late => {
                let text = format!("the configuration could not be read within {} s", READING.as_secs());
                self.refuse(running, text);
            }
            Stage::Binding(..) if late => self.refuse(running, "the listeners could not be opened in time".to_owned()),
            Stage::Reading | Stage::Binding(..) => self.reloads.running = Some(running),
            Stage::Proving(ref candidate, ref services) => {
                let epoch = Epoch(candidate.revision);
                let proofs: Vec<(ServiceId, Proof)> = services
                    .iter()
                    .map(|id| (*id, self.fleet.service(*id).map_or(Proof::Failed, |view| reload::proof(&view, epoch))))
                    .collect();
                let failed = proofs.iter().find(|(_, proof)| *proof == Proof::Failed || late);
                if let Some((service, _)) = failed.filter(|_| proofs.iter().any(|(_, proof)| *proof != Proof::Given)) {
                    let name = self.crew.name(*service);
                    let text = format!(
                        "the first new worker of {name} did not become ready; its log (`{name}`) says why, and the old \
                         workers serve on"
                    );
                    self.refuse(running, text);
                } else if proofs.iter().all(|(_, proof)| *proof == Proof::Given) {
                    self.commit(running);
                } else {
                    self.reloads.running = Some(running);
                }
            }
        }
    }

    fn begin_reload(&mut self, asked: Asked) {
        if !self.reloads.begin(asked, clock::mono()) {
            let text = "earlier readings of the configuration hang: the file system does not answer".to_owned();
            return self.refuse_asked(asked, 75, &text);
        }
        if !asked.is_dry() {
            let path = self.crew.edition.source.path.display().to_string();
            let words = format!("reading {path} again");
            self.tell(Level::Info, "reload.started", json!({"file": path}), &words);
        }
        let source = deposit::source(&self.configuration);
        let inputs = self.inputs.clone();
        // Not a thread of the runtime, which would wait at its end for one that hangs.
        let reader = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            let outcome = reload::read(&source);
            // The loop is gone only when the process ends.
            let _ = inputs.blocking_send(Input::Reread(Box::new(Reread { number: asked.number, outcome })));
        });
        if let Err(error) = reader {
            self.reloads.has_read(asked.number);
            self.refuse_asked(asked, 75, &format!("cannot start a thread to read the configuration: {error}"));
        }
    }

    /// The files were read.
    pub(crate) fn reread(&mut self, Reread { number, outcome }: Reread) {
        let Some(asked) = self.reloads.has_read(number) else { return };
        let candidate = match outcome.and_then(|(source, settings)| self.candidate(source, settings)) {
            Ok(candidate) => candidate,
            Err(text) => return self.refuse_asked(asked, 78, &text),
        };
        if asked.is_dry() || candidate.plan.is_empty() {
            let text = if asked.is_dry() { "nothing was changed" } else { "nothing to do: nothing changed" };
            return self.answer_unchanged(asked, &candidate, text);
        }
        if let Err(error) = reachable(&candidate.edition.settings) {
            return self.refuse_asked(
                asked,
                78,
                &format!("cannot open the engine's directory to other users: {error}"),
            );
        }
        let candidate = Candidate { revision: self.reloads.new_revision(), ..candidate };
        // The number counts as given from here on.
        self.dirty = true;
        let missing: Vec<_> = listeners::used(&candidate.edition.settings)
            .flat_map(listeners::binds)
            .filter(|bind| !self.open.contains(&bind.listener))
            .collect();
        for remark in boot::make_socket_directories(&candidate.edition.settings) {
            self.write_log(Level::Error, &remark);
        }
        let keys: BTreeSet<String> = missing.iter().map(|bind| bind.listener.clone()).collect();
        for bind in missing {
            self.ask_for_listener(bind);
        }
        let until = clock::mono().after(BINDING);
        let running = Running { asked, stage: Stage::Binding(candidate, keys), until };
        self.bound_further(running);
    }

    /// Checks what only the engine knows.
    fn candidate(&self, source: evercrew_config::Source, settings: Settings) -> Result<Candidate, String> {
        let current = self.crew.settings();
        let whose = |settings: &Settings| {
            let evercrew_config::Engine { user, group, umask, .. } = &settings.engine;
            (user.clone(), group.clone(), *umask)
        };
        if whose(current) != whose(&settings) {
            // The supervisor starts every manager as it was told first; workers of another user would be out of its reach.
            return Err(
                "`user`, `group` and `umask` of [engine] cannot change while it runs: `evercrew down`, then `up`"
                    .to_owned(),
            );
        }
        let runs = |name: &str| {
            let view = self.fleet.service(self.crew.find(name)?)?;
            Some((view.epoch, &self.crew.edition(view.epoch).settings))
        };
        let mut plan = Plan::new(current, &settings, runs);
        let mut remarks: Vec<String> = settings.warnings.iter().map(|warning| warning.render(false)).collect();
        remarks.extend(plan.remarks());
        let edition = if plan.engine.fixed.is_empty() {
            Edition::new(source, settings)
        } else {
            // What cannot change stays, also for a manager that parses this text later.
            let pinned =
                evercrew_config::Source { directory_override: Some(current.engine.directory.clone()), ..source };
            let edition = Edition::of(pinned).map_err(|errors| errors.render(false))?;
            // What follows from it, like where the logs are, stays too.
            let fixed = std::mem::take(&mut plan.engine.fixed);
            plan = Plan::new(current, &edition.settings, runs);
            plan.engine.fixed = fixed;
            edition
        };
        edition.check_identities().map_err(str::to_owned)?;
        boot::check_open_files(boot::most_at_a_time(&edition.settings), self.nofile)?;
        // Escaped, it can be that much longer in the deposit.
        let kept = self.crew.earlier().map(|(_, edition)| size(edition)).sum::<usize>();
        if (kept + size(&self.crew.edition) + size(&edition)).saturating_mul(4) > MAX {
            return Err("it is too large beside those before it that workers still run; try again when they are gone"
                .to_owned());
        }
        Ok(Candidate { revision: 0, edition: Arc::new(edition), plan, remarks })
    }

    /// A listener is open.
    pub(crate) fn bound(&mut self, key: String) {
        if let Some(Running { stage: Stage::Binding(_, open), .. }) = &mut self.reloads.running {
            open.remove(&key);
        }
        self.open.insert(key);
        if let Some(running) = self.reloads.running.take() {
            self.bound_further(running);
        }
    }

    /// A listener could not be opened.
    pub(crate) fn bind_failed(&mut self, key: &str, message: &str) {
        let Some(running) = self
            .reloads
            .running
            .take_if(|running| matches!(&running.stage, Stage::Binding(_, open) if open.contains(key)))
        else {
            return;
        };
        let name = running.candidate().map_or(key, |candidate| name_of(&candidate.edition.settings, key));
        let ours = name_of(self.crew.settings(), key);
        let mut text = format!("cannot listen for `{name}`: {message}");
        if ours != key || overlaps(&self.open, key) {
            text.push_str("\n  help: the engine itself listens there or on an address that covers it; take that listener out with one reload, and bring the new one with the next");
        }
        self.refuse(running, text);
    }

    fn bound_further(&mut self, running: Running) {
        match running {
            Running { asked, stage: Stage::Binding(candidate, open), .. } if open.is_empty() => {
                self.prove(asked, candidate);
            }
            Running { .. } => self.reloads.running = Some(running),
        }
    }

    /// Starts one worker of each of our own services that is replaced; what they show decides.
    fn prove(&mut self, asked: Asked, candidate: Candidate) {
        let view = |name: &str| self.fleet.service(self.crew.find(name)?);
        let services = reload::to_prove(&candidate, view);
        let (revision, edition) = (candidate.revision, Arc::clone(&candidate.edition));
        if services.is_empty() {
            let until = clock::mono();
            return self.commit(Running { asked, stage: Stage::Proving(candidate, services), until });
        }
        let patience = services.iter().filter_map(|id| self.crew.service(*id));
        let patience = patience.map(|service| service.policy.ready_timeout).max().unwrap_or_default();
        let until = clock::mono().after(patience.saturating_add(PROVING));
        self.crew.remember(revision, edition);
        for service in services.clone() {
            if let Some(policy) = self.crew.policy(service) {
                self.decide(Event::Define { service, policy, epoch: Epoch(revision) });
            }
        }
        self.reloads.running = Some(Running { asked, stage: Stage::Proving(candidate, services), until });
    }

    /// From here on it is the configuration. State and text leave in one record, before anything that follows.
    fn commit(&mut self, running: Running) {
        let Running { asked, stage, .. } = running;
        let (Stage::Proving(candidate, _) | Stage::Binding(candidate, _)) = stage else { return };
        let Candidate { revision, edition, plan, .. } = &candidate;
        let gone: Vec<ServiceId> = plan
            .services
            .iter()
            .filter(|(_, fate)| *fate == Fate::Remove)
            .filter_map(|(name, _)| self.crew.find(name))
            .collect();
        let known: Vec<ServiceId> = self.crew.names().map(|(id, _)| id).collect();
        let needed: BTreeSet<Epoch> = known.iter().flat_map(|id| self.fleet.versions(*id)).collect();
        let runs: BTreeMap<ServiceId, Epoch> =
            known.iter().filter_map(|id| Some((*id, self.fleet.service(*id)?.epoch))).collect();
        let longer: Vec<_> = listeners::used(&edition.settings)
            .filter(|listener| {
                let before = self.crew.settings().listeners.iter().find(|old| old.address == listener.address);
                before.is_some_and(|before| {
                    (before.backlog, before.nonblocking) != (listener.backlog, listener.nonblocking)
                })
            })
            .flat_map(listeners::binds)
            .collect();
        self.crew.adopt(*revision, Arc::clone(edition), &needed, |id| runs.get(&id).copied().into_iter().collect());
        self.launcher.forget_all();
        self.operator.speak(self.crew.settings().engine.signals);
        self.growth.ask(growth::is_asked(self.crew.settings()), clock::mono());
        (self.dirty, self.reconfigured) = (true, true);
        if plan.log.live.iter().any(|key| key == "level") {
            self.level_is_configured(self.crew.settings().log.level);
        }
        self.configure_logger();
        if plan.hub.live.iter().any(|key| key.starts_with("control")) {
            self.open_to_others();
        }
        self.serve_metrics();
        for bind in longer {
            self.send(&ToSupervisor::Bind(bind), Vec::new());
        }
        for service in &gone {
            self.decide(Event::Remove { service: *service });
        }
        for service in self.crew.ids().to_vec() {
            if let Some(policy) = self.crew.policy(service) {
                self.decide(Event::Define { service, policy, epoch: self.crew.asked(service) });
            }
        }
        let fleet = &self.fleet;
        self.crew.forget(|id| fleet.service(id).is_some());
        self.tell_commit(asked, &candidate, gone);
        self.deploy(asked);
        self.say_to_all(&self.fleet.staying(), Word::Reload, "a new configuration is in force");
    }

    /// Replaces what a new configuration alone leaves in place.
    fn deploy(&mut self, asked: Asked) {
        if asked.deploys() {
            self.restart_all(Pace::Gradual);
        }
    }

    fn tell_commit(&mut self, asked: Asked, candidate: &Candidate, gone: Vec<ServiceId>) {
        let Candidate { revision, plan, remarks, .. } = candidate;
        for remark in remarks {
            self.write_log(Level::Warn, remark.trim_end());
        }
        let words = format!("revision {revision} of the configuration is in force: {}", plan.lines().join("; "));
        let fields = json!({"revision": revision, "plan": plan.to_json()});
        self.tell(Level::Info, "reload.committed", fields, &words);
        let id = |name: &String| self.crew.find(name);
        let rolling = |service: &ServiceId| self.fleet.service(*service).is_some_and(|view| view.rolling);
        let changed = |fate: &Fate| matches!(fate, Fate::Add | Fate::Live(_) | Fate::Roll { .. });
        let touched = plan.services.iter().filter(|(_, fate)| changed(fate)).filter_map(|(name, _)| id(name));
        let touched: Vec<ServiceId> = touched.collect();
        let settling = Settling {
            rolling: touched.iter().copied().filter(rolling).collect(),
            ready: touched,
            gone,
            stopped: Vec::new(),
            content: content(candidate),
        };
        for (client, reply) in self.waitings.committed(asked.number, &settling) {
            self.clients.reply(client, &reply);
        }
    }

    /// Nothing changes, or nothing is to change.
    fn answer_unchanged(&mut self, asked: Asked, candidate: &Candidate, text: &str) {
        if !asked.is_dry() {
            let revision = self.crew.revision;
            let words = format!("the configuration is as it was: revision {revision} stays in force");
            self.tell(
                Level::Info,
                "reload.committed",
                json!({"revision": revision, "plan": candidate.plan.to_json()}),
                &words,
            );
        }
        let mut content = content(candidate);
        content["revision"] = json!(self.crew.revision);
        self.answer_askers(asked, |id| Reply::new(id, ReplyStatus::Ok, text).with_content(content.clone()));
        self.deploy(asked);
        self.say_to_all(&self.fleet.staying(), Word::Reload, "a new configuration is in force");
    }

    /// Gives up what was begun: workers of the candidate are replaced by what served, its listeners closed.
    fn refuse(&mut self, running: Running, text: String) {
        let Running { asked, stage, .. } = running;
        if let Stage::Proving(_, services) = stage {
            for service in services {
                if let Some(policy) = self.crew.policy(service) {
                    self.decide(Event::Define { service, policy, epoch: self.crew.asked(service) });
                }
            }
        }
        self.dirty = true;
        self.refuse_asked(asked, 78, &text);
    }

    fn refuse_asked(&mut self, asked: Asked, code: u8, text: &str) {
        if !asked.is_dry() {
            let words = format!("reload refused, nothing was changed: {text}");
            let mut end = text.len().min(LONGEST_EVENT);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            self.tell(Level::Error, "reload.refused", json!({"message": &text[..end]}), words.trim_end());
        }
        let (text, hint) = text.split_once("\n  help: ").unwrap_or((text, ""));
        let text = format!("nothing was changed: {text}");
        self.answer_askers(asked, |id| failure(id, code, text.trim_end(), hint));
    }

    fn answer_askers(&mut self, asked: Asked, reply: impl Fn(&str) -> Reply) {
        for (client, request) in self.waitings.take_reload(asked.number) {
            self.clients.reply(client, &reply(&request));
        }
    }

    /// What nobody uses any more is closed: before the workers that had it are told to leave, so that they find its
    /// queue without newcomers. What a service goes back to is opened again, before its workers are started.
    pub(crate) fn tend_listeners(&mut self) {
        if !self.dirty || (self.reloads.tried() == 1 && self.open_as_configured()) {
            return;
        }
        let needed = listeners::needed(&self.crew, &self.fleet);
        let missing = needed.iter().filter(|(key, _)| !self.open.contains(*key));
        let missing: Vec<_> = missing.map(|(_, bind)| bind.clone()).collect();
        let candidate = self.reloads.candidate();
        let tried = candidate.iter().flat_map(|candidate| listeners::used(&candidate.edition.settings));
        let tried: BTreeSet<String> = tried.flat_map(listeners::keys).collect();
        let useless = |key: &&String| !needed.contains_key(*key) && !tried.contains(*key);
        let useless: Vec<String> = self.open.iter().filter(useless).cloned().collect();
        for bind in missing {
            // Asked for once; what comes of it is told.
            self.open.insert(bind.listener.clone());
            self.ask_for_listener(bind);
        }
        for listener in useless {
            self.open.remove(&listener);
            self.write_log(Level::Info, &format!("nobody uses the listener {listener} any more: it is closed"));
            self.send(&ToSupervisor::Unbind { listener }, Vec::new());
        }
    }

    /// Nothing was ever reloaded: a listener that could not be opened at a takeover is told once.
    fn open_as_configured(&self) -> bool {
        listeners::used(self.crew.settings()).flat_map(listeners::keys).count() >= self.open.len()
    }
}

/// A worker of another user reaches its notify socket through the engine's directory.
fn reachable(settings: &Settings) -> std::io::Result<()> {
    let others = settings.services.iter().any(|service| service.user.is_some() || service.group.is_some());
    let directory = &settings.engine.directory;
    for path in [directory.clone(), directory.join("notify")].iter().filter(|_| others) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

fn size(edition: &Edition) -> usize {
    edition.source.text.len() + edition.source.files.iter().map(|(_, text)| text.len()).sum::<usize>()
}

impl Running {
    fn candidate(&self) -> Option<&Candidate> {
        match &self.stage {
            Stage::Reading => None,
            Stage::Binding(candidate, _) | Stage::Proving(candidate, _) => Some(candidate),
        }
    }
}

/// What clients are told of a plan.
fn content(candidate: &Candidate) -> Value {
    let Candidate { revision, plan, remarks, .. } = candidate;
    json!({"revision": revision, "plan": plan.to_json(), "lines": plan.lines(), "remarks": remarks})
}

fn name_of<'a>(settings: &'a Settings, key: &'a str) -> &'a str {
    let listener = settings.listeners.iter().find(|listener| listeners::keys(listener).any(|its| its == key));
    listener.map_or(key, |listener| &listener.name)
}

/// Whether one of these addresses has the same port.
fn overlaps(open: &BTreeSet<String>, key: &str) -> bool {
    let port = |key: &str| key.split(' ').next()?.parse().ok().map(|address: std::net::SocketAddr| address.port());
    port(key).is_some_and(|wanted| open.iter().any(|open| port(open) == Some(wanted)))
}
