//! A shell without sockets, an engine whose managers come and go, and what askers must never see.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, AskId, End, Event, Fault, Mono, Session, Terms, Unreached, Upon};
use crate::lots::Lots;

/// A request as its asker sees it.
#[derive(Debug)]
struct Asker {
    terms: Terms,
    asked: Mono,
    /// How often it left and reached the engine.
    reached: u32,
    /// The next event it has to be told.
    next: Option<u64>,
    engine: Option<u64>,
}

/// A request as the manager at the other end sees it.
#[derive(Debug)]
struct Taken {
    next: u64,
    greeted: bool,
}

pub(super) struct World {
    session: Session,
    lots: Lots,
    now: Mono,
    asked: u64,
    open: BTreeMap<AskId, Asker>,
    connecting: bool,
    /// What came over the connection, where there is one.
    connection: Option<BTreeMap<AskId, Taken>>,
    /// The last attempt to connect has just failed.
    failed: bool,
    /// The engine, as numbered.
    engine: u64,
    runs: bool,
    busy: bool,
    events: u64,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        Self {
            session: Session::with(fault),
            lots: Lots::new(seed),
            now: Mono::from_nanos(1_000_000_000),
            asked: 0,
            open: BTreeMap::new(),
            connecting: false,
            connection: None,
            failed: false,
            engine: 1,
            runs: true,
            busy: false,
            events: 0,
        }
    }

    fn chance(&mut self, of: u32) -> bool {
        self.lots.draw().is_multiple_of(of)
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        match self.lots.draw() % 12 {
            0 | 1 => self.ask(),
            2 if self.chance(3) => self.cancel(),
            3 if self.chance(3) => self.lose(),
            4 if self.chance(4) => {
                self.busy = !self.busy;
                Ok(())
            }
            5 if self.chance(8) => self.end_engine(),
            6 | 7 => self.pass(),
            8 => {
                self.events += u64::from(self.runs);
                Ok(())
            }
            _ => self.go_on(),
        }
    }

    /// In good weather everything that waits for an answer gets one.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        (self.runs, self.busy) = (true, false);
        for _ in 0..10_000 {
            self.go_on()?;
            self.pass()?;
        }
        match self.open.iter().find(|(_, asker)| asker.terms.upon != Upon::Resume) {
            Some((ask, asker)) => Err(format!("{ask:?} never ends: {asker:?}")),
            None => Ok(()),
        }
    }

    fn ask(&mut self) -> Result<(), String> {
        self.asked += 1;
        let upon = [Upon::Repeat, Upon::Tell, Upon::Resume][self.lots.draw() as usize % 3];
        let timeout = self.chance(2).then(|| Duration::from_millis(u64::from(self.lots.draw() % 20_000)));
        let timeout = timeout.filter(|_| upon != Upon::Resume);
        let usual = self.chance(2).then_some(Duration::from_secs(10)).filter(|_| upon != Upon::Resume);
        let terms = Terms { upon, timeout, usual, exact: self.chance(2), reach: Duration::from_secs(5) };
        let ask = AskId(self.asked);
        let asker = Asker { terms, asked: self.now, reached: 0, next: None, engine: None };
        self.open.insert(ask, asker);
        self.tell(Event::Asked { ask, terms })
    }

    fn cancel(&mut self) -> Result<(), String> {
        let Some(ask) = self.open.keys().next().copied() else { return Ok(()) };
        self.open.remove(&ask);
        self.tell(Event::Cancelled { ask })?;
        match &self.connection {
            Some(taken) if taken.contains_key(&ask) => Err(format!("the engine goes on with {ask:?} for nobody")),
            _ => Ok(()),
        }
    }

    /// The manager dies; some requests had not left.
    fn lose(&mut self) -> Result<(), String> {
        let Some(taken) = self.connection.take() else { return Ok(()) };
        for (ask, taken) in taken.into_iter().rev() {
            if taken.greeted || !self.chance(3) {
                break;
            }
            if let Some(asker) = self.open.get_mut(&ask) {
                asker.reached -= 1;
            }
            self.tell(Event::Unsent { ask })?;
        }
        self.tell(Event::Broken)
    }

    fn end_engine(&mut self) -> Result<(), String> {
        self.runs = !self.runs;
        if self.runs {
            self.engine += 1;
            self.events = 0;
        }
        self.lose()
    }

    /// Time passes, up to the next deadline at most.
    fn pass(&mut self) -> Result<(), String> {
        let some = self.now.after(Duration::from_millis(u64::from(self.lots.draw() % 3000)));
        self.now = self.session.deadline().map_or(some, |deadline| deadline.min(some)).max(self.now);
        self.tell(Event::Tick)
    }

    /// The shell or the engine does what it owes.
    fn go_on(&mut self) -> Result<(), String> {
        if self.connecting {
            self.connecting = false;
            return match (self.runs, self.busy) {
                (true, false) => {
                    self.connection = Some(BTreeMap::new());
                    self.tell(Event::Connected)
                }
                (true, true) => self.tell(Event::Unreached(Unreached::Busy)),
                (false, _) => self.tell(Event::Unreached(Unreached::Nobody)),
            };
        }
        let Some(taken) = &mut self.connection else { return Ok(()) };
        let Some((ask, entry)) = taken.iter_mut().find(|(_, taken)| !taken.greeted || taken.next <= self.events) else {
            return Ok(());
        };
        let (ask, engine) = (*ask, self.engine);
        let follows = self.open.get(&ask).is_some_and(|asker| asker.terms.upon == Upon::Resume);
        if !follows {
            taken.remove(&ask);
            self.open.remove(&ask).ok_or("an answer for nobody")?;
            return self.tell(Event::Heard { ask, terminal: true, next: None, engine: None });
        }
        let greets = !std::mem::replace(&mut entry.greeted, true);
        let told = entry.next;
        entry.next += u64::from(!greets);
        self.hear(ask, told, greets, engine)
    }

    /// A follower hears where it begins, or event `told`.
    fn hear(&mut self, ask: AskId, told: u64, greets: bool, engine: u64) -> Result<(), String> {
        let asker = self.open.get_mut(&ask).ok_or("an event for nobody")?;
        let another = asker.engine.is_some_and(|known| known != engine);
        if !another && asker.next.is_some_and(|next| next != told) {
            return Err(format!("{ask:?} is told {told} and not {:?}", asker.next));
        }
        asker.next = Some(told + u64::from(!greets));
        asker.engine = Some(engine);
        let (next, engine) = (asker.next, greets.then_some(engine));
        self.tell(Event::Heard { ask, terminal: false, next, engine })?;
        match another && self.open.contains_key(&ask) {
            true => Err(format!("{ask:?} goes on with another engine")),
            false => Ok(()),
        }
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        let mut out = Vec::new();
        self.failed = matches!(event, Event::Unreached(_));
        self.session.handle(self.now, event, &mut out);
        for action in out {
            self.perform(action)?;
        }
        if self.session.deadline().is_some_and(|at| at <= self.now) {
            return Err("a deadline is past".to_owned());
        }
        let overdue = |asker: &Asker| asker.terms.bound().is_some_and(|bound| asker.asked.after(bound) <= self.now);
        match self.open.iter().find(|(_, asker)| overdue(asker)) {
            Some((ask, _)) => Err(format!("{ask:?} is late")),
            None => Ok(()),
        }
    }

    fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Connect => {
                if self.connecting || self.connection.is_some() {
                    return Err("a second connection".to_owned());
                }
                self.connecting = true;
                if self.failed {
                    return Err("it connects without a pause".to_owned());
                }
            }
            Action::Send { ask, since, left } => self.send(ask, since, left)?,
            Action::Withdraw { ask } => {
                let taken = self.connection.as_mut().ok_or("a withdrawal without a connection")?;
                taken.remove(&ask).ok_or("a withdrawal of what was never asked")?;
            }
            Action::End { ask, end } => self.end(ask, end)?,
        }
        Ok(())
    }

    fn send(&mut self, ask: AskId, since: Option<u64>, left: Option<Duration>) -> Result<(), String> {
        let taken = self.connection.as_mut().ok_or("sent without a connection")?;
        let asker = self.open.get_mut(&ask).ok_or("sent for nobody")?;
        asker.reached += 1;
        if asker.reached > 1 && asker.terms.upon == Upon::Tell {
            return Err(format!("the change {ask:?} is asked twice"));
        }
        let ends = asker.terms.bound().map(|bound| asker.asked.after(bound));
        if left.zip(ends).is_some_and(|(left, ends)| self.now.after(left) > ends) {
            return Err(format!("the engine has longer for {ask:?} than its asker"));
        }
        let next = since.unwrap_or(self.events + 1);
        match taken.insert(ask, Taken { next, greeted: false }) {
            Some(_) => Err(format!("{ask:?} is asked twice over one connection")),
            None => Ok(()),
        }
    }

    fn end(&mut self, ask: AskId, end: End) -> Result<(), String> {
        let asker = self.open.remove(&ask).ok_or(format!("{ask:?} ends twice: {end:?}"))?;
        let fits = match end {
            End::Unknown => asker.terms.upon == Upon::Tell && asker.reached == 1,
            // Time stops at each deadline.
            End::Late | End::Silent => {
                let bound = asker.terms.bound().map(|bound| asker.asked.after(bound));
                bound == Some(self.now) && asker.terms.timeout.is_some() == (end == End::Late)
            }
            End::Unreachable => self.connection.is_none(),
            End::Nobody => !self.runs,
            End::Over => asker.terms.upon == Upon::Resume,
            End::Forbidden => false,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("{ask:?} ends as {end:?}: {asker:?}")),
        }
    }
}
