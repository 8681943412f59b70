//! One run: boot, chaos, good weather, stop.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, Event, Fault, Pace, ServiceId, ServiceState, ServiceView, Slot, WorkerState};

use crate::oracle::Verdict;
use crate::plan::{Plan, Weather, policy};
use crate::program::Code;
use crate::random::Random;
use crate::shell::{Configured, Shell};
use crate::world::Happening;

/// In good weather everything is as wanted after this long: the longest backoff, then a rollout slot by slot with a
/// full stop ladder each.
const LONGEST_RECOVERY: Duration = Duration::from_secs(1800);
/// It stays as wanted.
const STAYS: Duration = Duration::from_secs(5);

/// How a run ended that held every property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Events handled.
    pub events: u64,
    /// Virtual time that passed.
    pub lasted: Duration,
}

/// A property that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Of which seed.
    pub seed: u64,
    /// When, since the run began.
    pub at: Duration,
    /// What does not hold.
    pub message: String,
    /// Every event and action, when a trace was asked for.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} after {:?}: {}", self.seed, self.at, self.message)?;
        write!(f, "replay: EVERCREW_SIM_SEED={} cargo test -p evercrew-sim -- --nocapture", self.seed)
    }
}

impl std::error::Error for Failure {}

/// Runs one seed, with a fault planted if one is given.
///
/// # Errors
///
/// The first property that does not hold.
pub fn run(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random);
    let mut shell = Shell::new(seed, random, plan.weather, fault);
    shell.trace = trace.then(Vec::new);
    shell.say(|| format!("{plan:#?}"));
    let start = shell.now;
    let mut simulation = Simulation { shell, plan, clears: None, settled: None, goal: None };
    match simulation.play() {
        Ok(()) => Ok(Summary { events: simulation.shell.events, lasted: simulation.shell.now.since(start) }),
        Err(message) => Err(Box::new(Failure {
            seed,
            at: simulation.shell.now.since(start),
            message,
            trace: simulation.shell.trace.unwrap_or_default(),
        })),
    }
}

fn pace(random: &mut Random) -> Pace {
    *random.pick(&[Pace::Gradual, Pace::Gradual, Pace::Gradual, Pace::Detached, Pace::AtOnce])
}

struct Simulation {
    shell: Shell,
    plan: Plan,
    /// When the weather turned good.
    clears: Option<Mono>,
    /// Since when everything is as wanted.
    settled: Option<Mono>,
    /// When everything has to be as wanted, or the engine gone.
    goal: Option<Mono>,
}

impl Simulation {
    fn play(&mut self) -> Verdict {
        let services = self.plan.services.clone();
        for (id, policy) in services {
            self.shell.services.insert(id, Configured::new(policy.clone()));
            let epoch = self.shell.services[&id].epoch;
            self.shell.feed(Event::Define { service: id, policy, epoch })?;
        }
        let now = self.shell.now;
        self.plan_command();
        if self.plan.stops_early {
            let at = now.after(self.plan.chaos / 2);
            self.plan_shutdown(at);
        } else {
            self.shell.world.plan(now.after(self.plan.chaos), Happening::Clears);
        }
        while !self.shell.oracle.exited {
            self.advance()?;
            self.judge_progress()?;
        }
        let left = self.shell.world.processes.len();
        if left > 0 { Err(format!("{left} processes outlive the engine")) } else { Ok(()) }
    }

    /// Sleeps until something happens or the fleet's deadline comes, and lets the fleet know.
    fn advance(&mut self) -> Verdict {
        let shell = &mut self.shell;
        let late = if shell.random.rarely(2) { shell.random.millis(0, 900) } else { shell.random.millis(0, 2) };
        let due = shell.fleet.deadline().map(|(at, _)| at.max(shell.now).after(late));
        let next = shell.world.next();
        let Some(wake) = [due, next].into_iter().flatten().min() else {
            return Err("nothing will ever happen again, and the engine runs".into());
        };
        shell.now = wake.max(shell.now);
        let now = shell.now;
        while let Some(happening) = self.shell.world.take(now) {
            if let Some(other) = self.shell.world.perform(now, happening) {
                self.shell.read_inbox()?;
                self.happen(other)?;
            }
        }
        self.shell.read_inbox()?;
        let due = self.shell.fleet.deadline().is_some_and(|(at, _)| at <= self.shell.now);
        if due && !self.shell.oracle.exited { self.shell.feed(Event::Tick) } else { Ok(()) }
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Command => {
                self.plan_command();
                if self.clears.is_none() { self.command() } else { Ok(()) }
            }
            Happening::Asks(event) => self.ask(*event),
            Happening::Clears => self.clear(),
            Happening::Shutdown { now } => {
                let grace = Duration::from_secs(600);
                self.goal = Some(self.shell.now.after(grace));
                self.shell.feed(Event::Shutdown { now })
            }
            _ => Ok(()),
        }
    }

    /// A service that was removed comes back as it is configured by then.
    fn ask(&mut self, event: Event) -> Verdict {
        match event {
            Event::Define { service, .. } => {
                let known = &self.shell.services[&service];
                let (policy, epoch) = (known.policy.clone(), known.epoch);
                self.shell.feed(Event::Define { service, policy, epoch })
            }
            Event::Stop { .. } | Event::Restart { .. } if self.clears.is_some() => Ok(()),
            Event::Restart { service, slot, pace, .. } => {
                let epoch = self.epoch(service);
                self.shell.feed(Event::Restart { service, slot, epoch, pace })
            }
            other => self.shell.feed(other),
        }
    }

    /// For any time, or until shortly after a deadline, when it can least be told from a busy machine.
    fn stand_still(&mut self, machine: bool) -> Verdict {
        let due = self.shell.fleet.deadline();
        let shell = &mut self.shell;
        let lasts = match due.filter(|_| shell.random.chance(50)) {
            Some((at, _)) => at.since(shell.now) + shell.random.millis(0, 1_500),
            None => shell.random.millis(100, 90_000),
        };
        self.shell.say(|| format!("stands still for {lasts:?}, machine {machine}"));
        if machine {
            self.shell.world.postpone(lasts);
        }
        self.shell.now = self.shell.now.after(lasts);
        self.shell.oracle.stood_still = true;
        if !machine {
            self.shell.live();
        }
        // Whichever the shell's poll returns first.
        if self.shell.random.chance(50) {
            self.shell.feed(Event::Tick)?;
        }
        self.shell.read_inbox()
    }

    fn plan_command(&mut self) {
        let mean = u64::try_from(self.plan.command_every.as_millis()).unwrap_or(1000);
        let after = self.shell.random.millis(1, mean * 2);
        let at = self.shell.now.after(after);
        self.shell.world.plan(at, Happening::Command);
    }

    fn plan_shutdown(&mut self, at: Mono) {
        let random = &mut self.shell.random;
        let now = random.chance(25);
        let again = random.chance(30).then(|| random.millis(1, 5_000));
        self.shell.world.plan(at, Happening::Shutdown { now });
        if let Some(after) = again {
            self.shell.world.plan(at.after(after), Happening::Shutdown { now: true });
        }
    }

    /// An operator, or somebody with kill -9, does something.
    fn command(&mut self) -> Verdict {
        if self.shell.fleet.stopping() {
            return Ok(());
        }
        let shell = &mut self.shell;
        let ids: Vec<ServiceId> = shell.services.keys().copied().collect();
        let service = *shell.random.pick(&ids);
        let workers = shell.random.below(7) as u32;
        match shell.random.below(26) {
            0..=2 => shell.feed(Event::Scale { service, workers }),
            3 => {
                let less = shell.fleet.service(service).map_or(0, |view| view.wanted.saturating_sub(1));
                shell.feed(Event::Scale { service, workers: less })?;
                shell.feed(Event::Scale { service, workers: less.saturating_sub(1) })
            }
            4 => {
                let (epoch, pace) = (shell.services[&service].epoch, pace(&mut shell.random));
                shell.feed(Event::Restart { service, slot: None, epoch, pace })
            }
            5 => {
                let (slot, epoch) = (Some(Slot(workers)), shell.services[&service].epoch);
                let pace = pace(&mut shell.random);
                shell.feed(Event::Restart { service, slot, epoch, pace })
            }
            6..=8 => self.new_version(service),
            9 => self.change_policy(service),
            10 | 11 => self.stop_for_a_while(service),
            12 => self.remove_for_a_while(service),
            13..=15 => self.kill_one(),
            16 | 17 => {
                let machine = self.shell.random.chance(50);
                self.stand_still(machine)
            }
            18 => shell.feed(Event::Start { service }),
            19 | 20 => self.reload(service),
            21 => self.pause_for_a_while(service),
            22 | 23 => shell.feed(Event::Undo { service }),
            24 => self.restart_again_and_again(service),
            _ => {
                let (policy, epoch) = (shell.services[&service].policy.clone(), self.epoch(service));
                self.shell.feed(Event::Define { service, policy, epoch })
            }
        }
    }

    /// The version that the fleet has: a shell follows a rollout that was stopped.
    fn epoch(&mut self, service: ServiceId) -> Epoch {
        let known = self.shell.services.get_mut(&service).expect("configured");
        if let Some(view) = self.shell.fleet.service(service) {
            known.epoch = view.epoch;
        }
        known.epoch
    }

    fn new_version(&mut self, service: ServiceId) -> Verdict {
        let random = &mut self.shell.random;
        let code = if random.chance(60) { *random.pick(&Code::BAD) } else { Code::Good };
        let by_hand = random.chance(50);
        let known = self.shell.services.get_mut(&service).expect("configured");
        let (epoch, policy) = (known.next(code), known.policy.clone());
        self.shell.say(|| format!("{service:?} {epoch:?} is {code:?}"));
        if by_hand {
            let pace = pace(&mut self.shell.random);
            self.shell.feed(Event::Restart { service, slot: None, epoch, pace })
        } else {
            self.shell.feed(Event::Define { service, policy, epoch })
        }
    }

    fn change_policy(&mut self, service: ServiceId) -> Verdict {
        let epoch = self.epoch(service);
        let mut policy = policy(service.0, &mut self.shell.random);
        let known = self.shell.services.get_mut(&service).expect("configured");
        policy.after = known.policy.after.clone();
        // What a worker was told at its start cannot change while it runs.
        policy.ready = known.policy.ready;
        policy.restart = known.policy.restart;
        policy.others = known.policy.others.clone();
        policy.before_start = known.policy.before_start;
        known.policy = policy.clone();
        self.shell.feed(Event::Define { service, policy, epoch })
    }

    /// A new file: the policy and the command change in one, also how workers become ready and whether they beat.
    fn reload(&mut self, service: ServiceId) -> Verdict {
        let random = &mut self.shell.random;
        let code = if random.chance(50) { *random.pick(&Code::BAD) } else { Code::Good };
        let mut policy = policy(service.0, random);
        let known = self.shell.services.get_mut(&service).expect("configured");
        policy.after = known.policy.after.clone();
        policy.restart = known.policy.restart;
        let epoch = known.reload(policy, code);
        let policy = known.policy.clone();
        self.shell.say(|| format!("{service:?} {epoch:?} is {code:?}"));
        self.shell.feed(Event::Define { service, policy, epoch })
    }

    fn stop_for_a_while(&mut self, service: ServiceId) -> Verdict {
        let random = &mut self.shell.random;
        let (now, again) = (random.chance(30), random.millis(1, 20_000));
        let second = random.chance(30).then(|| random.millis(1, 3_000));
        let at = self.shell.now;
        self.shell.world.plan(at.after(again), Happening::Asks(Box::new(Event::Start { service })));
        if let Some(after) = second {
            let stop = Event::Stop { service, now: true };
            self.shell.world.plan(at.after(after), Happening::Asks(Box::new(stop)));
        }
        self.shell.feed(Event::Stop { service, now })
    }

    fn restart_again_and_again(&mut self, service: ServiceId) -> Verdict {
        let pace = pace(&mut self.shell.random);
        let mut at = self.shell.now;
        for _ in 0..4 {
            at = at.after(self.shell.random.millis(2_000, 15_000));
            let restart = Event::Restart { service, slot: None, epoch: Epoch(0), pace };
            self.shell.world.plan(at, Happening::Asks(Box::new(restart)));
        }
        Ok(())
    }

    fn pause_for_a_while(&mut self, service: ServiceId) -> Verdict {
        let again = self.shell.random.millis(1, 20_000);
        let at = self.shell.now.after(again);
        self.shell.world.plan(at, Happening::Asks(Box::new(Event::Resume { service })));
        self.shell.feed(Event::Pause { service })
    }

    fn remove_for_a_while(&mut self, service: ServiceId) -> Verdict {
        let again = self.shell.random.millis(1, 20_000);
        let known = &self.shell.services[&service];
        let define = Event::Define { service, policy: known.policy.clone(), epoch: known.epoch };
        let at = self.shell.now.after(again);
        self.shell.world.plan(at, Happening::Asks(Box::new(define)));
        self.shell.feed(Event::Remove { service })
    }

    fn kill_one(&mut self) -> Verdict {
        let workers: Vec<_> = self.shell.world.processes.keys().copied().collect();
        if !workers.is_empty() {
            let worker = *self.shell.random.pick(&workers);
            self.shell.say(|| format!("somebody kills {worker:?}"));
            self.shell.world.signal(self.shell.now, worker, evercrew_core::Signal::Kill);
        }
        Ok(())
    }

    /// The weather turns good, and every service gets a version that works.
    fn clear(&mut self) -> Verdict {
        self.shell.weather = Weather::GOOD;
        self.shell.world.loses_beats = 0;
        self.shell.say(|| "the weather turns good".into());
        let now = self.shell.now;
        self.clears = Some(now);
        self.goal = Some(now.after(LONGEST_RECOVERY));
        let ids: Vec<ServiceId> = self.shell.services.keys().copied().collect();
        for service in ids {
            let known = self.shell.services.get_mut(&service).expect("configured");
            let (policy, epoch) = (known.policy.clone(), known.next(Code::Good));
            self.shell.feed(Event::Define { service, policy, epoch })?;
            self.shell.feed(Event::Start { service })?;
            self.shell.feed(Event::Restart { service, slot: None, epoch, pace: Pace::Gradual })?;
        }
        Ok(())
    }

    /// In good weather everything becomes as wanted, and stays so; then the engine is stopped, and ends.
    fn judge_progress(&mut self) -> Verdict {
        let now = self.shell.now;
        let Some(goal) = self.goal else { return Ok(()) };
        if self.shell.fleet.stopping() {
            return if now > goal { Err("the engine does not end".into()) } else { Ok(()) };
        }
        let missing = self.shell.fleet.services().iter().find_map(|view| self.unsettled(view));
        match (missing, self.settled) {
            (Some(what), None) if now > goal => Err(format!("not as wanted after {LONGEST_RECOVERY:?}: {what}")),
            (Some(_), None) => Ok(()),
            (Some(what), Some(_)) if !self.recycles(&what) => Err(format!("it did not stay as wanted: {what}")),
            (Some(_), Some(_)) | (None, Some(_)) => Ok(()),
            (None, None) => {
                self.shell.say(|| "everything is as wanted".into());
                self.settled = Some(now);
                self.plan_shutdown(now.after(STAYS));
                Ok(())
            }
        }
    }

    fn recycles(&self, _: &str) -> bool {
        self.shell.services.values().any(|known| known.policy.recycle.age.is_some())
    }

    /// Whether a service that it comes after, or one before that, wants no workers: then it cannot start.
    fn is_blocked(&self, service: ServiceId) -> bool {
        self.shell.services[&service].policy.after.iter().any(|before| {
            self.shell.fleet.service(*before).is_none_or(|view| view.wanted == 0) || self.is_blocked(*before)
        })
    }

    /// What of a service is not as wanted.
    fn unsettled(&self, view: &ServiceView) -> Option<String> {
        let known = self.shell.services.get(&view.service)?;
        let processes = view.workers.iter().filter(|row| row.worker.is_some());
        let right = processes.clone().all(|row| row.state == WorkerState::Ready && row.epoch == known.epoch);
        let count = processes.count() as u32;
        let recycling = known.policy.recycle.age.is_some();
        let expected = if view.wanted == 0 { ServiceState::Stopped } else { ServiceState::Ready };
        if self.is_blocked(view.service) && view.state == ServiceState::Starting && count == 0 {
            return None;
        }
        let whole = view.state == expected && !view.rolling && view.epoch == known.epoch;
        let exact = right && count == view.wanted && view.ready == view.wanted;
        (!whole || !(exact || recycling && view.ready >= view.wanted)).then(|| format!("{view:#?}"))
    }
}
