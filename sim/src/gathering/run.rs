//! One run: askers come and go, workers say what they like, managers hand over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::WorkerId;
use evercrew_core::gather::{
    Action, Answer, AskId, Event, Exit, Fault, Gather, Limits, Plan, Question, Strategy, TaskId,
};

use super::oracle::{LONGEST, Oracle};
use crate::random::Random;
use crate::simulation::{Failure, Summary};

const LIMITS: Limits = Limits { tasks: 10_000, asks: 100_000, answer: LONGEST, progress: 1000 };
/// How long askers come.
const LASTS: Duration = Duration::from_secs(60);

/// What happens at a moment.
#[derive(Clone, Debug)]
enum Happening {
    Ask,
    Event(Event<u64>),
    Handover,
    /// Everybody is gone: nothing can stay open.
    End,
}

struct Run {
    random: Random,
    gather: Gather<u64>,
    oracle: Oracle,
    fault: Option<Fault>,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Happening>,
    workers: BTreeSet<WorkerId>,
    next: u64,
    trace: Option<Vec<String>>,
    events: u64,
}

/// Runs one seed of a gathering, with a fault planted if one is given.
///
/// # Errors
/// The first property that does not hold.
pub fn gather(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut run = Run {
        random: Random::new(seed),
        gather: Gather::new(1, LIMITS),
        oracle: Oracle::default(),
        fault,
        now: Mono::default(),
        queue: BTreeMap::new(),
        workers: BTreeSet::new(),
        next: 0,
        trace: trace.then(Vec::new),
        events: 0,
    };
    if let Some(fault) = fault {
        run.gather.plant(fault, false);
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
        for worker in 0..self.random.between(0, 8) {
            self.workers.insert(WorkerId(worker));
        }
        for _ in 0..self.random.between(1, 40) {
            let at = Mono::default().after(self.random.millis(0, 60_000));
            self.at(at, Happening::Ask);
        }
        for _ in 0..self.random.between(0, 6) {
            let (at, exit) = (Mono::default().after(self.random.millis(0, 60_000)), self.exit());
            let worker = WorkerId(self.random.below(8));
            self.at(at, Happening::Event(Event::Gone { worker, exit }));
        }
        for _ in 0..self.random.between(0, 3) {
            let at = Mono::default().after(self.random.millis(0, 60_000));
            self.at(at, Happening::Handover);
        }
        self.at(Mono::default().after(LASTS * 3), Happening::End);
        loop {
            let first = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (self.gather.deadline().map(|(at, _)| at), first) {
                (Some(at), first) if first.is_none_or(|first| at <= first) => {
                    if at < self.now {
                        return Err(format!("the deadline {at:?} is over at {:?}", self.now));
                    }
                    self.now = at;
                    self.tell(Event::Tick)?;
                }
                (_, Some(_)) => self.step()?,
                (..) => return self.oracle.end_of_run(),
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return Ok(()) };
        self.now = self.now.max(at);
        match happening {
            Happening::Ask => self.ask(),
            Happening::Event(event) => {
                if let Event::Gone { worker, .. } = &event {
                    self.workers.remove(worker);
                }
                self.tell(event)
            }
            Happening::Handover => {
                let first = if self.random.chance(50) { 1 } else { self.next * 1000 };
                self.gather = Gather::restore(self.gather.memory(), first, LIMITS);
                if let Some(fault) = self.fault {
                    self.gather.plant(fault, true);
                }
                Ok(())
            }
            Happening::End => {
                for worker in std::mem::take(&mut self.workers) {
                    self.tell(Event::Gone { worker, exit: Exit::Died })?;
                }
                Ok(())
            }
        }
    }

    fn at(&mut self, at: Mono, happening: Happening) {
        self.next += 1;
        self.queue.insert((at, self.next), happening);
    }

    fn soon(&mut self, most: u64, event: Event<u64>) {
        let at = self.now.after(self.random.millis(0, most));
        self.at(at, Happening::Event(event));
    }

    fn exit(&mut self) -> Exit {
        if self.random.chance(50) { Exit::Died } else { Exit::Replaced }
    }

    fn ask(&mut self) -> Result<(), String> {
        self.next += 1;
        let task = TaskId(self.next);
        let requests = self.random.between(1, 3);
        let some = self.random.chance(30);
        let mut questions = Vec::new();
        for worker in self.workers.clone() {
            if some && self.random.chance(50) {
                continue;
            }
            let request = |request| Question { worker, request };
            questions.extend((0..requests).filter_map(|number| u32::try_from(number).ok()).map(request));
        }
        let number = u32::try_from(self.random.below(6)).unwrap_or(0);
        let strategy = *self.random.pick(&[Strategy::All, Strategy::Map, Strategy::First, Strategy::Quorum(number)]);
        let deadline = self.random.chance(80).then(|| self.now.after(self.random.millis(0, 3000)));
        let plan = Plan { strategy, deadline, streams: self.random.chance(30) };
        self.tell(Event::Asked { task, questions, plan })?;
        if self.random.chance(15) {
            self.soon(2000, Event::Cancelled { task });
        }
        Ok(())
    }

    fn tell(&mut self, event: Event<u64>) -> Result<(), String> {
        let mut actions = Vec::new();
        self.gather.handle(self.now, event.clone(), &mut actions);
        self.events += 1;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} {event:?} → {actions:?}", self.now.since(Mono::default())));
        }
        self.oracle.judge(self.now, &event, &actions)?;
        if self.gather.tasks() != self.oracle.tasks().len() {
            return Err(format!("{} tasks are kept, {:?} are open", self.gather.tasks(), self.oracle.tasks()));
        }
        for action in actions {
            if let Action::Ask { ask, worker, .. } = action {
                self.behave(worker, ask);
            }
        }
        Ok(())
    }

    /// What a worker makes of a question.
    fn behave(&mut self, worker: WorkerId, ask: AskId) {
        let content = ask.0 * 10 + worker.0;
        let said = |worker, answer, size| Event::Answered { worker, ask, answer, size };
        let ok = said(worker, Answer::Ok(content), 10);
        match self.random.below(12) {
            0 => {}
            1 => self.soon(0, Event::Unasked { ask, reason: "it reads nothing".to_owned() }),
            2 => {
                let answer = Answer::Failed { reason: "cannot".to_owned(), content };
                self.soon(500, said(worker, answer, 10));
            }
            3 => {
                self.soon(500, ok.clone());
                self.soon(5000, ok);
            }
            4 => {
                let other = WorkerId((worker.0 + 1) % 8);
                self.soon(500, said(other, Answer::Ok(content + 1), 10));
                self.soon(1000, ok);
            }
            5 => self.soon(500, said(worker, Answer::Ok(content), LONGEST + 1)),
            6 => {
                for _ in 0..3 {
                    self.soon(1000, said(worker, Answer::Progress(content), 10));
                }
                self.soon(1500, ok);
            }
            7 => {
                let exit = self.exit();
                self.soon(800, Event::Gone { worker, exit });
            }
            8 => self.soon(9000, ok),
            _ => self.soon(500, ok),
        }
    }
}
