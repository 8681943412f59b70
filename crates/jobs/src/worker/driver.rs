//! The one loop of a worker: it tells the core what happened, and does what that decided.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::work::{self, Abilities, Action, Broke, End, Event, LinkId, Outcome, RunId, Settings};
use evercrew_wire::faktory::{Delivery, Reply};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::errors::{Report, WorkerError};
use super::link::{self, Route};
use super::runs::Runs;
use super::talk::{Kind, Told, Voice, understand};

/// Most messages that are told to the core at once.
const MOST_AT_ONCE: usize = 4096;
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(3);
/// How long the loop sleeps when nothing has a deadline.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// What happened. Answers are bounded by what was asked, ends by the slots.
#[derive(Debug)]
pub(crate) enum Message {
    Opened(LinkId, Abilities),
    Broken(LinkId, Broke, String),
    Said(LinkId, Vec<Reply>),
    Finished(RunId, Outcome<Told>),
    Extended(RunId, Instant),
    Order(Order),
}

/// What somebody else wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Stop,
    StopAtOnce,
    Pause,
    Resume,
}

/// One connection as the loop sees it.
struct Link {
    out: mpsc::UnboundedSender<Vec<u8>>,
    unsent: Vec<u8>,
    asked: VecDeque<Kind>,
}

pub(crate) struct Driver {
    core: work::Worker<Delivery, Told>,
    route: Arc<Route>,
    voice: Voice,
    abilities: Abilities,
    links: HashMap<LinkId, Link>,
    connections: JoinSet<()>,
    runs: Runs,
    tell: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    began: Instant,
    report: Report,
    /// Why the last connection was lost.
    lost: String,
    end: Option<End>,
}

/// When a worker is to stop.
pub(crate) type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Driver {
    pub(crate) fn new(
        settings: Settings,
        route: Route,
        voice: Voice,
        runs: Runs,
        (tell, inbox): (mpsc::UnboundedSender<Message>, mpsc::UnboundedReceiver<Message>),
    ) -> Self {
        Self {
            core: work::Worker::new(settings),
            route: Arc::new(route),
            voice,
            abilities: Abilities::default(),
            links: HashMap::new(),
            connections: JoinSet::new(),
            runs,
            tell,
            inbox,
            began: Instant::now(),
            report: Report::default(),
            lost: String::new(),
            end: None,
        }
    }

    /// Works until it is to stop, and has.
    pub(crate) async fn run(mut self, stop: Option<Stopping>) -> Result<Report, WorkerError> {
        let mut stop: Stopping = stop.unwrap_or_else(|| Box::pin(std::future::pending()));
        let mut is_stopped = false;
        self.tell(vec![Event::Ticked]);
        while self.end.is_none() {
            let deadline = self.core.deadline().map_or_else(|| Instant::now() + LONGEST_SLEEP, |at| self.instant(at));
            let events = tokio::select! {
                biased;
                message = self.inbox.recv() => self.events(message),
                () = &mut stop, if !is_stopped => {
                    is_stopped = true;
                    vec![Event::Stopped]
                }
                () = sleep_until(deadline) => vec![Event::Ticked],
            };
            self.tell(events);
            // Reports must not starve the handlers of a runtime with one thread.
            tokio::task::yield_now().await;
        }
        self.close().await;
        match self.end {
            Some(End { denied: true, .. }) => Err(WorkerError::Denied(self.route.address.clone(), self.lost)),
            Some(End { undelivered, .. }) => Ok(Report { undelivered, ..self.report }),
            None => Ok(self.report),
        }
    }

    /// Lets connections send what was said last.
    async fn close(&mut self) {
        self.links.clear();
        let _ = timeout(CLOSING, async { while self.connections.join_next().await.is_some() {} }).await;
    }

    fn now(&self) -> Mono {
        Mono::from_nanos(1).after(self.began.elapsed())
    }

    fn instant(&self, at: Mono) -> Instant {
        // A little later: the core's time is that of a look at the clock, and none is to be in vain.
        self.began + at.since(Mono::from_nanos(0))
    }

    /// This message and those that are here already, as the core knows them.
    fn events(&mut self, first: Option<Message>) -> Vec<Event<Delivery, Told>> {
        let mut events = Vec::new();
        let mut next = first;
        let mut count = 0;
        while let Some(message) = next {
            self.understand(message, &mut events);
            count += 1;
            next = if count < MOST_AT_ONCE { self.inbox.try_recv().ok() } else { None };
        }
        events
    }

    fn understand(&mut self, message: Message, events: &mut Vec<Event<Delivery, Told>>) {
        match message {
            Message::Opened(link, abilities) => {
                if abilities != Abilities::default() {
                    self.abilities = abilities;
                }
                events.push(Event::Opened(link, self.abilities));
            }
            Message::Broken(link, broke, why) => {
                self.lost = why;
                self.links.remove(&link);
                events.push(Event::Broken(link, broke));
            }
            Message::Said(link, replies) => {
                for reply in replies {
                    // What a link says that was given up counts no more.
                    let Some(open) = self.links.get_mut(&link) else { return };
                    let answer = open.asked.pop_front().and_then(|kind| understand(kind, reply));
                    match answer {
                        Some(answer) => events.push(Event::Answered(link, answer)),
                        None => {
                            self.lost = "an answer does not fit its question".to_owned();
                            self.links.remove(&link);
                            events.push(Event::Broken(link, Broke::Lost));
                        }
                    }
                }
            }
            Message::Finished(run, outcome) => {
                self.runs.ended(run);
                match &outcome {
                    Outcome::Done => self.report.done += 1,
                    Outcome::Failed(_) => self.report.failed += 1,
                    Outcome::GivenBack => {}
                }
                events.push(Event::Finished(run, outcome));
            }
            Message::Extended(run, until) => {
                let until = Mono::from_nanos(1).after(until.saturating_duration_since(self.began));
                events.push(Event::Extended(run, until));
            }
            Message::Order(order) => events.push(match order {
                Order::Stop => Event::Stopped,
                Order::StopAtOnce => Event::StoppedAtOnce,
                Order::Pause => Event::Paused,
                Order::Resume => Event::Resumed,
            }),
        }
    }

    fn tell(&mut self, events: Vec<Event<Delivery, Told>>) {
        let mut actions = Vec::new();
        self.core.handle(self.now(), events, &mut actions);
        actions.into_iter().for_each(|action| self.perform(action));
        for link in self.links.values_mut().filter(|link| !link.unsent.is_empty()) {
            // A link that is no more says so itself.
            let _ = link.out.send(std::mem::take(&mut link.unsent));
        }
        while self.connections.try_join_next().is_some() {}
    }

    fn perform(&mut self, action: Action<Delivery, Told>) {
        match action {
            Action::Open(id, is_first) => {
                let (out, bytes) = mpsc::unbounded_channel();
                self.links.insert(id, Link { out, unsent: Vec::new(), asked: VecDeque::new() });
                self.connections.spawn(link::run(Arc::clone(&self.route), id, is_first, bytes, self.tell.clone()));
            }
            Action::Close(id) => {
                if let Some(link) = self.links.remove(&id) {
                    // It ends once nobody can send any more.
                    let _ = if link.unsent.is_empty() { Ok(()) } else { link.out.send(link.unsent) };
                }
            }
            Action::Ask(id, question) => {
                if let Some(link) = self.links.get_mut(&id) {
                    let kind = self.voice.ask(&mut link.unsent, self.abilities, question);
                    link.asked.push_back(kind);
                }
            }
            Action::Start(run, job) => self.runs.start(run, job),
            Action::Cancel(run, why) => self.runs.cancel(run, why),
            Action::Abandon(run) => {
                self.report.abandoned += 1;
                self.runs.abandon(run);
            }
            Action::End(end) => self.end = Some(end),
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Driver({})", self.route.address)
    }
}
