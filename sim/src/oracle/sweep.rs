//! What must have been done once an event is handled.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Fleet, Haste, Slot, Wish, WorkerId};

use super::prologue::PROLOGUE;
use super::{Oracle, Seen, Verdict};

impl Oracle {
    /// Judges the state after an event; the fleet acts and does not only listen.
    pub(super) fn sweep(&mut self, fleet: &Fleet) -> Verdict {
        fleet.audit()?;
        if self.exited {
            return Ok(());
        }
        if let Some((at, why)) = fleet.deadline()
            && at <= self.now
        {
            return Err(format!("the deadline {why:?} is not after the moment handled"));
        }
        self.handled += 1;
        if self.listens {
            return Ok(());
        }
        for (worker, seen) in &self.seen {
            self.sweep_times(*worker, seen)?;
            self.sweep_wishes(*worker, seen)?;
        }
        let empty = |service| !self.seen.values().any(|seen| seen.service == service);
        let gone: Vec<_> = self.crews.iter().filter(|(id, crew)| crew.wish == Wish::Remove && empty(**id)).collect();
        if let Some((service, _)) = gone.iter().find(|(id, _)| fleet.service(**id).is_some()) {
            return Err(format!("{service:?} is empty and was not forgotten"));
        }
        let gone: Vec<_> = gone.into_iter().map(|(id, _)| *id).collect();
        self.crews.retain(|id, _| !gone.contains(id));
        self.sweep_rollouts()?;
        self.sweep_slots()?;
        if self.handled.is_multiple_of(16) { self.sweep_views(fleet) } else { Ok(()) }
    }

    /// No deadline was missed.
    fn sweep_times(&self, worker: WorkerId, seen: &Seen) -> Verdict {
        if seen.killed.is_some() {
            return Ok(());
        }
        let now = self.now;
        let Some(crew) = self.crews.get(&seen.service) else { return Ok(()) };
        let lost = self.lost.saturating_sub(seen.lost);
        let due = |from: Mono, wait: Duration| from.after(wait).max(seen.extended).after(lost);
        if let Some(heartbeat) = crew.policy.terms(seen.epoch).heartbeat.filter(|_| seen.owes_beats && seen.serves()) {
            let from = seen.heard.max(self.granted).max(crew.changed);
            // Who was looked at late has as long again as between that look and the end of its time.
            let again = self.tardy.after((heartbeat.timeout / 4).min(Duration::from_secs(1)));
            if from.after(heartbeat.timeout).max(seen.extended).max(again) <= now {
                return Err(format!("{worker:?} is silent for {:?} and lives", now.since(seen.heard)));
            }
        }
        if let Some(exec) = seen.exec.filter(|_| seen.ready.is_none() && seen.bowed.is_none() && seen.holds()) {
            let grace = self.granted.after(crew.policy.ready_timeout.min(Duration::from_secs(1)));
            if due(exec, crew.policy.ready_timeout).max(grace) <= now {
                return Err(format!("{worker:?} is not ready {:?} after its exec and lives", now.since(exec)));
            }
        }
        let began = seen.told.or(seen.doomed).or(seen.bowed);
        // Each step begins when its signal goes out, and the shell may be late each time.
        let late = Duration::from_secs(1 + crew.policy.stop.steps.len() as u64);
        if let (Some(began), Some(ladder)) = (began, self.ladder(seen).map(|ladder| ladder + late))
            && crew.changed < began
            && due(began, ladder).max(seen.extended.after(ladder).after(lost)) <= now
        {
            return Err(format!("{worker:?} was told {:?} ago and is not killed", now.since(began)));
        }
        Ok(())
    }

    /// Nobody stays who is not wanted.
    fn sweep_wishes(&self, worker: WorkerId, seen: &Seen) -> Verdict {
        let Some(crew) = self.crews.get(&seen.service) else { return Ok(()) };
        let at_once = self.halted == Some(Haste::Now) || crew.wish == Wish::Stop(Haste::Now);
        if at_once && seen.killed.is_none() {
            return Err(format!("{worker:?} was to be stopped at once and is not killed"));
        }
        if seen.is_leaving() {
            return Ok(());
        }
        if !self.is_up(seen.service) {
            let waits = crew.wish == Wish::Run && self.followers_living(seen.service) > 0;
            let told = waits && self.halted == Some(Haste::Graceful);
            return if told { Ok(()) } else { Err(format!("{worker:?} was not told that its service stops")) };
        }
        if seen.slot.0 > crew.wanted() {
            return Err(format!("{worker:?} in {:?} was not told that {} are wanted", seen.slot, crew.wanted()));
        }
        Ok(())
    }

    /// Where there is room, no slot waits longer than its backoff can last.
    fn sweep_slots(&self) -> Verdict {
        for (service, crew) in &self.crews {
            let idle = !self.is_up(*service) || crew.rolling || self.counted(*service) >= crew.most();
            for slot in (1..=crew.wanted()).map(Slot).filter(|_| !idle) {
                let held = self.of(*service).any(|seen| seen.slot == slot && seen.holds());
                if !held && crew.is_overdue(slot, self.now) {
                    return Err(format!("{service:?} {slot:?} is empty and waits longer than any backoff lasts"));
                }
            }
        }
        Ok(())
    }

    /// No more generations drain than may, a restart without grace has left nobody, and an undone rollout goes back.
    fn sweep_rollouts(&self) -> Verdict {
        for service in &self.left_apart {
            let Some(crew) = self.crews.get(service) else { continue };
            let (draining, most) = (self.draining(*service), crew.most_draining().max(1));
            if draining.len() > most {
                return Err(format!("generations {draining:?} of {service:?} drain, {most} allowed"));
            }
        }
        let spared =
            |seen: &&Seen| seen.slot != PROLOGUE && seen.hasty && seen.killed.is_none() && self.is_up(seen.service);
        let wanted = |service| self.crews.get(&service).map_or(0, crate::oracle::crew::Crew::wanted);
        if let Some(seen) = self.seen.values().filter(spared).find(|seen| seen.slot.0 <= wanted(seen.service)) {
            return Err(format!("{:?} of {:?} lives after a restart without grace", seen.slot, seen.service));
        }
        for (service, crew) in self.crews.iter().filter(|(service, crew)| !crew.rolling && self.is_up(**service)) {
            let Some(back) = crew.undone else { continue };
            let other = |seen: &&Seen| seen.holds() && seen.slot.0 <= crew.wanted() && seen.epoch != back;
            if self.of(*service).any(|seen| other(&seen)) {
                return Err(format!("{service:?} was undone to {back:?}, and nothing leads there"));
            }
        }
        Ok(())
    }

    /// Views show what is there.
    fn sweep_views(&self, fleet: &Fleet) -> Verdict {
        for view in fleet.services() {
            let Some(crew) = self.crews.get(&view.service) else { continue };
            let rows = view.workers.iter().filter(|row| row.worker.is_some()).count() as u32;
            let serving = self.of(view.service).filter(|seen| seen.serves()).count() as u32;
            let shown = (view.wanted, rows, view.ready);
            let known = (crew.wanted(), self.living(view.service), serving);
            if shown != known {
                return Err(format!("{:?} shows (wanted, living, ready) {shown:?}, there is {known:?}", view.service));
            }
            if view.state != crew.state {
                return Err(format!("{:?} is shown {:?}, told {:?}", view.service, view.state, crew.state));
            }
        }
        Ok(())
    }
}
