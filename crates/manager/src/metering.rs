//! What is counted: by workers, about their processes, and of the engine itself.
//!
//! The loop keeps the figures; looking at processes and writing the document is the work of a thread, since a thousand
//! workers are some thousand files of `/proc`. One thread at a time: who asks meanwhile is answered by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use evercrew_config::Program;
use evercrew_core::Mono;
use evercrew_core::fleet::{Notice, WorkerId};
use evercrew_core::metrics::{Book, Histogram, Limits, Series, Told};
use evercrew_sys::clock;
use evercrew_wire::control::{Reply, Request};
use evercrew_wire::supervisor::Label;
use evercrew_wire::{command_pipe, handover};
use tokio::sync::oneshot;

use crate::clients::ClientId;
use crate::commands::ok;
use crate::crew::{LOGGER, LOGGER_NAME, PROLOGUE};
use crate::exposition::{Document, Seen, Sight, Totals};
use crate::figures;
use crate::input::Input;
use crate::manager::Manager;
use crate::text;

/// Series of one service, and buckets of one histogram.
const LIMITS: Limits = Limits { series: 1024, buckets: 64 };
/// Upper bounds of how long workers drain, in seconds.
const DRAIN_SECONDS: [f64; 8] = [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 120.0];
/// Upper bounds of how late heartbeats come, in seconds.
const LAG_SECONDS: [f64; 8] = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Names that are the engine's.
const OWN: &str = "evercrew_";
/// Of these, what the queue server tells.
const OF_QUEUE: &str = "evercrew_queue_";

/// Who waits for a document.
#[derive(Debug)]
enum Waiter {
    Client(ClientId, Request),
    Scrape(oneshot::Sender<Arc<str>>),
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Metering {
    book: Book,
    totals: Totals,
    draining: BTreeMap<WorkerId, Mono>,
    waiters: Vec<Waiter>,
    /// For whom a thread is at work.
    served: Vec<Waiter>,
}

impl Default for Metering {
    fn default() -> Self {
        Self {
            book: Book::new(LIMITS),
            totals: Totals::default(),
            draining: BTreeMap::new(),
            waiters: Vec::new(),
            served: Vec::new(),
        }
    }
}

impl Metering {
    /// How many documents this client waits for.
    pub(crate) fn count(&self, client: ClientId) -> usize {
        let is_it = |waiter: &&Waiter| matches!(waiter, Waiter::Client(of, _) if *of == client);
        self.waiters.iter().chain(&self.served).filter(is_it).count()
    }

    /// An answer of a worker changed nothing, for this reason.
    pub(crate) fn disregarded(&mut self, why: &'static str) {
        *self.totals.disregarded.entry(why).or_default() += 1;
    }

    /// For the next manager.
    pub(crate) fn hand_on(&self) -> handover::Figures {
        figures::hand_on(&self.book, &self.totals, &self.draining)
    }

    /// Goes on from where the manager before was.
    pub(crate) fn restore(figures: handover::Figures) -> Self {
        let (book, totals, draining) = figures::go_on(figures, LIMITS);
        Self { book, totals, draining, ..Self::default() }
    }

    /// Somebody waits for a document.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiters.is_empty() || !self.served.is_empty()
    }

    /// A request of this verb came in.
    pub(crate) fn asked(&mut self, verb: &'static str) {
        *self.totals.commands.entry(verb).or_default() += 1;
    }
}

impl Manager {
    /// `metrics`: answered when the processes were looked at.
    pub(crate) fn metrics(&mut self, client: ClientId, request: &Request) {
        self.metering.waiters.push(Waiter::Client(client, request.clone()));
        self.measure();
    }

    /// Somebody scrapes.
    pub(crate) fn scraped(&mut self, answer: oneshot::Sender<Arc<str>>) {
        self.metering.waiters.push(Waiter::Scrape(answer));
        self.measure();
    }

    fn measure(&mut self) {
        if !self.metering.served.is_empty() || self.metering.waiters.is_empty() {
            return;
        }
        self.metering.served = std::mem::take(&mut self.metering.waiters);
        let (seen, inputs) = (self.seen(), self.inputs.clone());
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            // The loop has ended where nobody takes it.
            let _ = inputs.blocking_send(Input::Measured(Box::new(seen.document())));
        });
        if thread.is_err() {
            // Whoever waits is told what is known without a look at processes.
            let document = self.seen().blind().document();
            self.measured_all(&document);
        }
    }

    /// The document is there.
    pub(crate) fn measured_all(&mut self, document: &Document) {
        let mut text = None;
        for waiter in std::mem::take(&mut self.metering.served) {
            match waiter {
                Waiter::Client(client, request) => {
                    let reply: Reply = ok(&request, "", document.json());
                    self.clients.reply(client, &reply);
                }
                Waiter::Scrape(answer) => {
                    let text = text.get_or_insert_with(|| Arc::from(document.text()));
                    let _ = answer.send(Arc::clone(text));
                }
            }
        }
        self.measure();
    }

    /// What a worker counts.
    pub(crate) fn measured(&mut self, worker: WorkerId, label: &Label, metrics: command_pipe::Metrics) {
        // One that has ended would stay among the living for ever.
        if !self.crew.processes.contains_key(&worker) {
            return;
        }
        let is_queue = self.crew.recipe_of(label).is_some_and(|service| service.program == Program::Queue);
        for metric in metrics.metrics {
            let is_reserved = metric.name.starts_with(OWN) && !(is_queue && metric.name.starts_with(OF_QUEUE));
            let name = if is_reserved { String::new() } else { metric.name };
            let series = Series { name, labels: metric.labels };
            let Some(value) = figures::read(metric.value) else {
                self.metering.book.drop_series(&label.service, worker, &series);
                continue;
            };
            // What is refused is counted, and shown.
            let _ = self.metering.book.tell(&label.service, worker, Told { series, help: &metric.help, value });
        }
    }

    /// What a notice adds to the figures.
    pub(crate) fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::WorkerDraining { worker, .. } => {
                self.metering.draining.insert(*worker, clock::mono());
            }
            Notice::WorkerExited { worker, service, slot, reason, .. } if *service != LOGGER => {
                let name = self.crew.name(*service).to_owned();
                if let Some(began) = self.metering.draining.remove(worker) {
                    let drain = self.metering.totals.drains.entry(name.clone());
                    drain.or_insert_with(|| histogram(DRAIN_SECONDS)).observe(clock::mono().since(began).as_secs_f64());
                }
                if *slot != PROLOGUE {
                    *self.metering.totals.exits.entry((name, text::exit_reason(*reason))).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// A worker beats, after the one before; by how much that is later than its service says.
    pub(crate) fn beats(&mut self, worker: WorkerId, now: Mono) {
        let Some(process) = self.crew.processes.get_mut(&worker) else { return };
        let Some(before) = process.beat.replace(now) else { return };
        let name = process.label.service.clone();
        let service = self.crew.find(&name).and_then(|service| self.crew.service(service));
        let Some(interval) = service.and_then(|service| service.heartbeat_interval) else { return };
        let lags = self.metering.totals.lags.entry(name).or_insert_with(|| histogram(LAG_SECONDS));
        lags.observe(now.since(before).saturating_sub(interval).as_secs_f64());
    }

    /// A worker's process is gone.
    pub(crate) fn counts_no_more(&mut self, worker: WorkerId) {
        self.metering.book.gone(worker);
        self.metering.draining.remove(&worker);
    }

    /// Everything that the loop knows, for a thread that looks at the rest.
    fn seen(&mut self) -> Seen {
        let crew = &self.crew;
        self.metering.book.forget(|service| crew.names().any(|(_, name)| name == service));
        let now = clock::mono();
        let tellers = self.metering.book.tellers();
        let mut services = Vec::new();
        for view in self.fleet.services().into_iter().filter(|view| view.service != LOGGER) {
            let restarts = view.workers.iter().map(|worker| u64::from(worker.restarts)).sum();
            services.push((
                crew.name(view.service).to_owned(),
                text::service_state(view.state),
                view.wanted,
                view.ready,
                restarts,
            ));
        }
        let ours = [("supervisor", self.engine.supervisor), ("manager", std::process::id())];
        let logger = crew.processes.values().filter(|process| process.label.service == LOGGER_NAME);
        let engine = ours.into_iter().chain(logger.map(|process| ("logger", process.pid)));
        let workers = crew.processes.iter().filter(|(_, process)| process.label.service != LOGGER_NAME);
        let worker = |(id, process): (&WorkerId, &crate::crew::Process)| Sight {
            service: process.label.service.clone(),
            name: process.label.name.clone(),
            pid: process.pid,
            uptime: now.since(process.started).as_secs_f64(),
            beat: process.beat.map(|beat| now.since(beat).as_secs_f64()),
            reports: process.command.is_some().then(|| tellers.contains(id)),
        };
        let mut totals = self.metering.totals.clone();
        totals.events = self.events.counts();
        Seen {
            services,
            engine: engine.collect(),
            workers: workers.map(worker).collect(),
            merged: crate::exposition::Reported::of(&self.metering.book, |worker| {
                crew.processes.get(&worker).map(|process| process.label.name.clone()).unwrap_or_default()
            }),
            totals,
            generation: self.engine.generation.into(),
            revision: crew.revision,
            clients: self.clients.len(),
            followers: self.events.followers(),
            calls: self.hub.gather.tasks(),
            looks: true,
        }
    }
}

fn histogram(bounds: [f64; 8]) -> Histogram {
    Histogram { buckets: bounds.map(|bound| (bound, 0)).to_vec(), ..Histogram::default() }
}
