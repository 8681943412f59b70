//! The shell of the simulation: feeds the fleet, performs its actions, is killed and comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{
    Action, Epoch, Event, Fault, Fleet, Generation, Policy, ServiceId, Slot, Snapshot, WorkerId, WorkerState,
};

use crate::oracle::{Oracle, Verdict};
use crate::plan::Weather;
use crate::program::{Code, Script};
use crate::random::Random;
use crate::world::{Process, World};

/// What the shell knows of a service that the fleet does not: its configuration and its versions.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    pub(crate) policy: Policy,
    pub(crate) epoch: Epoch,
    pub(crate) versions: BTreeMap<Epoch, Code>,
}

impl Configured {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, epoch: Epoch(1), versions: BTreeMap::from([(Epoch(1), Code::Good)]) }
    }

    /// A new policy with another version of the command: what workers of the versions before it were told stays so.
    pub(crate) fn reload(&mut self, mut policy: Policy, code: Code) -> Epoch {
        policy.others = self.versions.keys().map(|epoch| (*epoch, self.policy.terms(*epoch))).collect();
        self.policy = policy;
        self.next(code)
    }

    /// A version that was never there before.
    pub(crate) fn next(&mut self, code: Code) -> Epoch {
        let newest = self.versions.keys().next_back().map_or(0, |epoch| epoch.0);
        self.epoch = Epoch(newest + 1);
        self.versions.insert(self.epoch, code);
        self.epoch
    }
}

/// Fleet, world and oracle together.
pub(crate) struct Shell {
    pub(crate) now: Mono,
    pub(crate) fleet: Fleet,
    pub(crate) world: World,
    pub(crate) oracle: Oracle,
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) services: BTreeMap<ServiceId, Configured>,
    pub(crate) fault: Option<Fault>,
    /// Where a trace goes, when one is wanted.
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) events: u64,
    /// The last memory that was written down, and the configuration that it belongs to.
    deposit: Snapshot,
    deposited: Vec<(ServiceId, Policy, Epoch)>,
    out: Vec<Action>,
}

impl Shell {
    pub(crate) fn new(seed: u64, random: Random, weather: Weather, fault: Option<Fault>) -> Self {
        let mut fleet = Fleet::new(seed);
        if let Some(fault) = fault {
            fleet.plant(fault);
        }
        Self {
            now: Mono::from_nanos(1_000_000_000_000),
            fleet,
            world: World::new(weather.loses_beats),
            oracle: Oracle::default(),
            random,
            weather,
            services: BTreeMap::new(),
            fault,
            trace: None,
            events: 0,
            deposit: Snapshot::default(),
            deposited: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6}  {}", self.now.as_nanos() as f64 / 1e9 - 1000.0, text()));
        }
    }

    /// Hands everything that was observed to the fleet.
    pub(crate) fn read_inbox(&mut self) -> Verdict {
        while let Some(event) = self.world.inbox.pop_front() {
            self.feed(event)?;
        }
        Ok(())
    }

    /// One event: decide, write the memory down, perform. The shell may be killed before, between or after.
    pub(crate) fn feed(&mut self, event: Event) -> Verdict {
        let killed = self.random.rarely(self.weather.crashes) && !self.oracle.exited;
        if killed && self.random.chance(25) && is_repeated(&event) {
            self.say(|| format!("killed before {event:?} was handled"));
            return self.crash();
        }
        self.handle(&event)?;
        let actions = std::mem::take(&mut self.out);
        let trifle = matches!(event, Event::Tick | Event::Beat { .. });
        if !(actions.is_empty() && trifle) {
            self.deposit = self.fleet.snapshot();
            self.deposited = self.policies();
        }
        let performed = if killed { self.random.below(actions.len() as u64 + 1) as usize } else { actions.len() };
        for action in &actions[..performed] {
            self.perform(action);
        }
        let ended = actions[..performed].contains(&Action::Exit);
        self.out = actions;
        self.out.clear();
        if killed && !ended {
            // An Exit that nobody performed is said again by the next one.
            self.oracle.exited = false;
            self.say(|| format!("killed after {performed} actions"));
            return self.crash();
        }
        self.world.unconfirmed.retain(|kept| *kept != event);
        Ok(())
    }

    fn handle(&mut self, event: &Event) -> Verdict {
        self.events += 1;
        if let Event::Define { service, policy, epoch } = event
            && let Some(known) = self.services.get_mut(service)
        {
            (known.policy, known.epoch) = (policy.clone(), *epoch);
        }
        self.say(|| format!("-> {event:?}"));
        if let Event::Undo { service } = event {
            self.oracle.hear_undo(*service, self.fleet.service(*service).as_ref());
        }
        self.oracle.hear(self.now, event);
        self.out.clear();
        self.fleet.handle(self.now, event.clone(), &mut self.out);
        if self.trace.is_some() {
            for action in self.out.clone() {
                self.say(|| format!("     {action:?}"));
            }
        }
        self.oracle.judge(event, &self.out, &self.fleet)?;
        if self.events.is_multiple_of(64) { self.compare_restored() } else { Ok(()) }
    }

    fn policies(&self) -> Vec<(ServiceId, Policy, Epoch)> {
        let known = self.services.iter().filter(|(id, _)| self.fleet.service(**id).is_some());
        known.map(|(id, known)| (*id, known.policy.clone(), known.epoch)).collect()
    }

    /// A fleet restored from a memory has that memory.
    fn compare_restored(&self) -> Verdict {
        let snapshot = self.fleet.snapshot();
        let restored = Fleet::restore(1, &snapshot, &self.policies());
        restored.audit()?;
        let again = restored.snapshot();
        if again != snapshot { Err(format!("restored {again:#?}\nfrom {snapshot:#?}")) } else { Ok(()) }
    }

    fn perform(&mut self, action: &Action) {
        match action {
            Action::Spawn { worker, service, slot, generation, epoch } => {
                let Some(known) = self.services.get(service) else { return };
                let code = known.versions.get(epoch).copied().unwrap_or(Code::Good);
                let told = known.policy.terms(*epoch);
                let policy = Policy { ready: told.ready, heartbeat: told.heartbeat, ..known.policy.clone() };
                let script = Script::draw(&policy, code, &self.weather, &mut self.random);
                self.make(*worker, (*service, *slot), (*generation, *epoch), script);
            }
            Action::Prepare { worker, service, generation, epoch, .. } => {
                let script = Script::prologue(&self.weather, &mut self.random);
                self.make(*worker, (*service, Slot(0)), (*generation, *epoch), script);
            }
            Action::Signal { worker, signal, .. } => self.world.signal(self.now, *worker, *signal),
            Action::Notice(_) | Action::Exit => {}
        }
    }

    fn make(
        &mut self,
        worker: WorkerId,
        (service, slot): (ServiceId, Slot),
        (generation, epoch): (Generation, Epoch),
        script: Script,
    ) {
        let (runs, ready, hung, ending, signals) = (false, false, false, false, 0);
        let process = Process { service, slot, generation, epoch, script, runs, ready, hung, ending, signals };
        self.world.spawn(self.now, worker, process);
    }

    /// The shell dies and another one takes over from the last memory and the inventory; rarely the memory is lost.
    fn crash(&mut self) -> Verdict {
        let away = if self.random.chance(90) { self.random.millis(1, 300) } else { self.random.millis(300, 8_000) };
        self.now = self.now.after(away);
        self.live();
        let seed = self.random.draw();
        let lost = self.random.chance(10) && !self.fleet.stopping();
        // What the supervisor has: the highest number ever used, and the configuration that serves.
        if lost {
            let next_worker = self.fleet.snapshot().next_worker;
            self.deposit = Snapshot { next_worker, ..Snapshot::default() };
            self.deposited = self.policies();
            self.oracle.forget();
        }
        self.fleet = Fleet::restore(seed, &self.deposit, &self.deposited);
        if let Some(fault) = self.fault {
            self.fleet.plant(fault);
        }
        self.say(|| if lost { "a new shell, memory lost".into() } else { "a new shell".into() });
        let states: Vec<_> = self.fleet.services().into_iter().map(|view| (view.service, view.state)).collect();
        self.oracle.restored(states.into_iter());
        self.take_inventory()?;
        self.oracle.acts();
        self.feed_quietly(Event::Tick)
    }

    /// Tells the restored fleet what the supervisor has.
    fn take_inventory(&mut self) -> Verdict {
        self.oracle.listens = true;
        self.world.inbox.retain(|event| !is_kept(event));
        for (worker, process) in self.world.processes.clone() {
            if self.fleet.worker(worker).is_none() {
                let Process { service, slot, generation, epoch, .. } = process;
                self.feed_quietly(Event::Adopt { worker, service, slot, generation, epoch })?;
            }
            if process.runs {
                self.feed_quietly(Event::Spawned { worker })?;
            }
            let state = self.fleet.worker(worker).map(|(.., state)| state);
            if process.signals == 0 && matches!(state, Some(WorkerState::Draining | WorkerState::Stopping)) {
                self.feed_quietly(Event::Unsignalled { worker })?;
            }
        }
        for event in std::mem::take(&mut self.world.unconfirmed) {
            self.feed_quietly(event)?;
        }
        let known: Vec<WorkerId> = self.oracle.seen.keys().copied().collect();
        for worker in known {
            if !self.world.processes.contains_key(&worker) {
                self.feed_quietly(Event::Lost { worker })?;
            }
        }
        Ok(())
    }

    /// One event by a shell that is not killed meanwhile.
    fn feed_quietly(&mut self, event: Event) -> Verdict {
        let crashes = std::mem::take(&mut self.weather.crashes);
        let verdict = self.feed(event);
        self.weather.crashes = crashes;
        verdict
    }

    /// Everything that happens in the world up to now, without the shell.
    pub(crate) fn live(&mut self) {
        let mut later = Vec::new();
        while let Some(at) = self.world.next().filter(|at| *at <= self.now) {
            let Some(happening) = self.world.take(self.now) else { break };
            if let Some(other) = self.world.perform(at, happening) {
                later.push(other);
            }
        }
        for other in later {
            self.world.plan(self.now.after(Duration::from_nanos(1)), other);
        }
    }
}

/// What the supervisor keeps until it is confirmed.
fn is_kept(event: &Event) -> bool {
    matches!(event, Event::Exited { .. } | Event::SpawnFailed { .. } | Event::Spawned { .. })
}

/// Events that a shell may be killed over without anybody missing them: the inventory or time repeats them.
fn is_repeated(event: &Event) -> bool {
    is_kept(event) || matches!(event, Event::Tick | Event::Beat { .. })
}
