//! One run: successors are asked for and come or fail.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::handover::{Action, Event, Fault, Handover, PROVING};

use super::oracle::{Oracle, Successor};
use crate::random::Random;
use crate::simulation::{Failure, Summary};

const STEPS: u64 = 400;
const ASKED: Event = Event::Asked { patience: PROVING };

struct Run {
    random: Random,
    handover: Handover,
    oracle: Oracle,
    now: Mono,
    trace: Option<Vec<String>>,
    events: u64,
}

/// Runs one seed of handovers, with a fault planted if one is given.
///
/// # Errors
/// The first property that does not hold.
pub fn hand_over(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut run = Run {
        random: Random::new(seed),
        handover: Handover::default(),
        oracle: Oracle::new(),
        now: Mono::default(),
        trace: trace.then(Vec::new),
        events: 0,
    };
    if let Some(fault) = fault {
        run.handover.plant(fault);
    }
    match run.play() {
        Ok(()) => Ok(Summary { events: run.events, lasted: run.now.since(Mono::default()) }),
        Err(message) => Err(Box::new(Failure {
            seed,
            at: run.now.since(Mono::default()),
            message,
            trace: run.trace.unwrap_or_default(),
        })),
    }
}

impl Run {
    fn play(&mut self) -> Result<(), String> {
        // Some crews hand over without trouble, so that every step is reached often.
        let trouble = self.random.between(0, 30);
        for _ in 0..STEPS {
            self.wait()?;
            if !self.oracle.manager_lives {
                self.oracle.manager_lives = true;
            }
            let event = if self.random.chance(trouble) { self.trouble() } else { self.step() };
            if let Some(event) = event {
                self.tell(event)?;
            }
        }
        // In good weather the next one comes through.
        self.now = self.now.after(Duration::from_secs(100));
        self.tell(Event::Tick)?;
        let before = self.oracle.commits;
        for event in [ASKED, Event::Ready, left(), Event::Applied] {
            self.tell(event)?;
        }
        if self.oracle.commits == before { Err("a good successor does not come through".to_owned()) } else { Ok(()) }
    }

    /// Some time passes; what is due meanwhile is told when it is due.
    fn wait(&mut self) -> Result<(), String> {
        let longest = if self.random.chance(10) { 90_000 } else { 400 };
        let until = self.now.after(self.random.millis(0, longest));
        while let Some(at) = self.handover.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.tell(Event::Tick)?;
        }
        self.now = until;
        self.tell(Event::Tick)
    }

    /// What a good next step is.
    fn step(&mut self) -> Option<Event> {
        match self.oracle.successor {
            None => self.random.chance(33).then_some(ASKED),
            Some(Successor::Given) => Some(Event::Applied),
            Some(Successor::Applied) => None,
            Some(Successor::Tried) if self.handover.is_held() => Some(left()),
            Some(Successor::Tried) => Some(Event::Ready),
        }
    }

    fn trouble(&mut self) -> Option<Event> {
        let successor = self.oracle.successor;
        Some(match self.random.between(0, 10) {
            0 => ASKED,
            1 if successor == Some(Successor::Tried) => Event::NotStarted,
            2 | 3 if successor.is_some() => Event::SuccessorEnded,
            4 => Event::ManagerEnded { by_itself: true },
            5 => Event::ManagerEnded { by_itself: false },
            6 => Event::StopAsked,
            // Out of turn: a successor may say what it likes.
            7 if successor.is_some() => Event::Ready,
            8 if self.handover.is_held() && !self.handover.is_frozen() => Event::Kept,
            // It hangs.
            _ => return None,
        })
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        let event = if event == Event::NotStarted { self.without_process(event) } else { event };
        self.events += 1;
        self.oracle.sees(self.now, event);
        let mut actions: Vec<Action> = Vec::new();
        self.handover.handle(self.now, event, &mut actions);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} {event:?} → {actions:?}", self.now.since(Mono::default())));
        }
        self.oracle.judge(self.now, event, &actions)?;
        self.oracle.agrees(self.handover.is_under_way())?;
        if self.handover.deadline().is_some_and(|at| at <= self.now) {
            return Err("what was due is still due".to_owned());
        }
        Ok(())
    }

    fn without_process(&mut self, event: Event) -> Event {
        self.oracle.successor = None;
        event
    }
}

/// The manager leaves; handing on takes half a second at most.
fn left() -> Event {
    Event::Left { patience: Duration::from_millis(500) }
}
