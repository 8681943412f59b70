//! The machine.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Fault;
use super::{Action, AskId, End, Event, Terms, Unreached, Upon};
use crate::Mono;

/// Between a failed attempt to connect and the next one; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that lasted so long, or over which something came, was a good one.
const LASTING: Duration = Duration::from_secs(1);

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Nobody needs one.
    Down,
    Connecting,
    Pausing {
        until: Mono,
    },
    Up {
        since: Mono,
        heard: bool,
    },
}

/// A request that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    terms: Terms,
    asked: Mono,
    /// Since when it has no connection.
    apart: Option<Mono>,
    /// It has left over this connection.
    sent: bool,
    /// Where it goes on after a break.
    next: Option<u64>,
    /// Whom it follows.
    engine: Option<u64>,
}

/// One client's requests, over one connection after the other.
#[derive(Debug)]
pub struct Session {
    link: Link,
    pause: Duration,
    open: BTreeMap<AskId, Open>,
    fault: Option<Fault>,
}

impl Default for Session {
    fn default() -> Self {
        Self { link: Link::Down, pause: FIRST_PAUSE, open: BTreeMap::new(), fault: None }
    }
}

impl Session {
    /// Takes in what was observed; says what to do.
    pub fn handle(&mut self, now: Mono, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Asked { ask, terms } => self.asked(now, ask, terms, out),
            Event::Cancelled { ask } => self.withdraw(ask, out),
            Event::Connected => self.connected(now, out),
            Event::Unreached(why) => self.unreached(now, why, out),
            Event::Unsent { ask } => {
                if let Some(open) = self.open.get_mut(&ask) {
                    open.sent = self.fault == Some(Fault::UnsentForgotten);
                }
            }
            Event::Broken => self.broken(now, out),
            Event::Heard { ask, terminal, next, engine } => self.heard(ask, terminal, next, engine, out),
            Event::Tick => {}
        }
        self.tick(now, out);
    }

    /// When to come back with [`Event::Tick`].
    pub fn deadline(&self) -> Option<Mono> {
        let pause = match self.link {
            Link::Pausing { until } => Some(until),
            Link::Down | Link::Connecting | Link::Up { .. } => None,
        };
        let bounds = self.open.values().flat_map(|open| [open.bound(), open.reach()]).flatten();
        match self.fault {
            Some(Fault::LatestDeadline) => bounds.chain(pause).max(),
            _ => bounds.chain(pause).min(),
        }
    }

    fn asked(&mut self, now: Mono, ask: AskId, terms: Terms, out: &mut Vec<Action>) {
        let open = Open { terms, asked: now, apart: Some(now), sent: false, next: None, engine: None };
        self.open.insert(ask, open);
        match self.link {
            Link::Up { .. } => self.send(now, ask, out),
            Link::Down => self.connect(out),
            Link::Connecting | Link::Pausing { .. } => {}
        }
    }

    fn connect(&mut self, out: &mut Vec<Action>) {
        self.link = Link::Connecting;
        out.push(Action::Connect);
    }

    fn connected(&mut self, now: Mono, out: &mut Vec<Action>) {
        self.link = Link::Up { since: now, heard: false };
        let waiting: Vec<AskId> = self.open.iter().filter(|(_, open)| !open.sent).map(|(ask, _)| *ask).collect();
        for ask in waiting {
            self.send(now, ask, out);
        }
    }

    fn send(&mut self, now: Mono, ask: AskId, out: &mut Vec<Action>) {
        let Some(open) = self.open.get_mut(&ask) else { return };
        (open.sent, open.apart) = (true, None);
        let passed = if self.fault == Some(Fault::WholeTimeAgain) { Duration::ZERO } else { now.since(open.asked) };
        let left = open.terms.told().map(|told| told.saturating_sub(passed));
        let since = open.next.filter(|_| self.fault != Some(Fault::SinceForgotten));
        out.push(Action::Send { ask, since, left });
    }

    fn unreached(&mut self, now: Mono, why: Unreached, out: &mut Vec<Action>) {
        match why {
            Unreached::Busy => {}
            Unreached::Nobody => {
                let end = |open: &Open| if open.next.is_some() { End::Over } else { End::Nobody };
                self.end_all(end, out);
            }
            Unreached::Forbidden => self.end_all(|_| End::Forbidden, out),
        }
        self.again(now, out);
    }

    /// The next attempt, after a pause, where somebody needs one.
    fn again(&mut self, now: Mono, out: &mut Vec<Action>) {
        if self.open.is_empty() {
            (self.link, self.pause) = (Link::Down, FIRST_PAUSE);
        } else if self.fault == Some(Fault::NoPause) {
            self.connect(out);
        } else {
            self.link = Link::Pausing { until: now.after(self.pause) };
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn broken(&mut self, now: Mono, out: &mut Vec<Action>) {
        let Link::Up { since, heard } = self.link else { return };
        let fault = self.fault;
        self.open.retain(|ask, open| {
            let is_over = match open.terms.upon {
                Upon::Tell => open.sent && fault != Some(Fault::ChangeRepeated),
                Upon::Repeat => open.sent && fault == Some(Fault::LookForgotten),
                Upon::Resume => false,
            };
            if is_over {
                out.push(Action::End { ask: *ask, end: End::Unknown });
            } else if fault != Some(Fault::BreakIgnored) {
                (open.sent, open.apart) = (false, Some(now));
            }
            !is_over
        });
        if self.open.is_empty() {
            self.link = Link::Down;
        } else if heard || now.since(since) >= LASTING {
            self.pause = FIRST_PAUSE;
            self.connect(out);
        } else {
            self.again(now, out);
        }
    }

    fn heard(&mut self, ask: AskId, terminal: bool, next: Option<u64>, engine: Option<u64>, out: &mut Vec<Action>) {
        if let Link::Up { heard, .. } = &mut self.link {
            *heard = true;
        }
        let Some(open) = self.open.get_mut(&ask) else { return };
        open.next = next.or(open.next);
        let another = open.engine.zip(engine).is_some_and(|(known, engine)| known != engine);
        open.engine = engine.or(open.engine);
        if another && self.fault != Some(Fault::EngineForgotten) {
            self.withdraw(ask, out);
            out.push(Action::End { ask, end: End::Over });
        } else if terminal {
            self.open.remove(&ask);
        }
    }

    /// Forgets a request that has not ended by itself.
    fn withdraw(&mut self, ask: AskId, out: &mut Vec<Action>) {
        let Some(open) = self.open.remove(&ask) else { return };
        if open.sent && matches!(self.link, Link::Up { .. }) && self.fault != Some(Fault::WithdrawForgotten) {
            out.push(Action::Withdraw { ask });
        }
    }

    fn end_all(&mut self, end: impl Fn(&Open) -> End, out: &mut Vec<Action>) {
        for (ask, open) in std::mem::take(&mut self.open) {
            out.push(Action::End { ask, end: end(&open) });
        }
    }

    /// Whatever is due.
    fn tick(&mut self, now: Mono, out: &mut Vec<Action>) {
        let is_over = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let late = self.open.iter().filter_map(|(ask, open)| {
            let end = if is_over(open.bound()) {
                if open.terms.timeout.is_some() { End::Late } else { End::Silent }
            } else if is_over(open.reach()) && self.fault != Some(Fault::ReachForgotten) {
                End::Unreachable
            } else {
                return None;
            };
            Some((*ask, end))
        });
        for (ask, end) in late.collect::<Vec<_>>() {
            self.withdraw(ask, out);
            out.push(Action::End { ask, end });
        }
        if let Link::Pausing { until } = self.link
            && until <= now
        {
            match self.open.is_empty() {
                true => self.link = Link::Down,
                false => self.connect(out),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn with(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::default() }
    }
}

impl Open {
    fn bound(&self) -> Option<Mono> {
        self.terms.bound().map(|bound| self.asked.after(bound))
    }

    fn reach(&self) -> Option<Mono> {
        self.apart.map(|apart| apart.after(self.terms.reach))
    }
}
