//! What has to run before the first worker of a generation, told from the outside.

use evercrew_core::fleet::{Epoch, Event, ExitStatus, Fleet, Generation, Policy, ServiceId, Slot, Wish, WorkerId};

use super::{Oracle, Seen, Verdict};

/// Where its commands run.
pub(super) const PROLOGUE: Slot = Slot(0);

/// The account of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Prologue {
    /// Whether the present generation waits for it; `None` when nobody outside can tell.
    owed: Option<bool>,
    /// How many commands succeeded; `None` as above.
    command: Option<u32>,
    /// The version that it was last run of.
    epoch: Option<Epoch>,
    /// The version that the rollout which runs leads to.
    leads_to: Epoch,
    /// The rollout that runs is one of the whole service.
    whole: bool,
}

impl Prologue {
    pub(super) fn owe(&mut self, commands: u32) {
        (self.owed, self.command, self.epoch) = (Some(commands > 0), Some(0), None);
    }

    /// The generation was given up, or what is known of it was lost.
    pub(super) fn lose_sight(&mut self) {
        (self.owed, self.command) = (None, None);
    }

    /// A rollout began, or another request joined it.
    pub(super) fn rolls(&mut self, event: &Event, began: Option<Epoch>, policy: &Policy) {
        self.leads_to = began.unwrap_or(self.leads_to);
        let commands = policy.terms(self.leads_to).before_start;
        let (epoch, began) = (self.leads_to, began.is_some());
        let one = matches!(event, Event::Restart { slot: Some(_), .. });
        if one {
            self.whole &= !began;
        } else if began || !self.whole {
            self.whole = true;
            // What was done for one that never came to be counts.
            if self.owed == Some(false) || self.epoch != Some(epoch) {
                self.owe(commands);
            }
        }
    }

    fn succeeds(&mut self, commands: u32) {
        self.command = self.command.map(|command| command + 1);
        if self.command.is_some_and(|command| command >= commands) {
            self.owed = Some(false);
        }
    }
}

impl Oracle {
    /// A command is started: one at a time, in its turn, for a generation that waits for it.
    pub(super) fn judge_prepare(
        &mut self,
        worker: WorkerId,
        service: ServiceId,
        (generation, epoch, command): (Generation, Epoch, u32),
        fleet: &Fleet,
    ) -> Verdict {
        let now = self.now;
        let what = format!("command {command} of {service:?} as {worker:?}");
        let must = |holds: bool, why: &str| if holds { Ok(()) } else { Err(format!("{what} {why}")) };
        must(self.halted.is_none(), "is started after Shutdown")?;
        must(worker.0 > self.newest, "has a number that was given before")?;
        self.newest = worker.0;
        must(!self.of(service).any(|seen| seen.slot == PROLOGUE), "runs beside another one")?;
        let crew = self.crew(service)?;
        must(crew.wish == Wish::Run, "is started though its service is stopped")?;
        must(!crew.paused, "is started though its rollout is paused")?;
        must(crew.wanted() > 0, "is started for no worker")?;
        must(crew.prologue.owed != Some(false), "is run once more")?;
        must(crew.prologue.command.is_none_or(|due| due == command), "is not the one that is due")?;
        must(command < crew.policy.terms(epoch).before_start, "is none")?;
        self.judge_dependencies(service, crew, fleet)?;
        let crew = self.crew_mut(service);
        crew.released = true;
        crew.prologue.epoch = Some(epoch);
        let rolling = crew.rolling;
        let forbidden = crew.track(PROLOGUE).forbids(now, rolling);
        must(forbidden.is_none(), &forbidden.unwrap_or_default())?;
        let over = crew.note_start(PROLOGUE, now);
        must(over.is_none(), &over.unwrap_or_default())?;
        self.seen.insert(worker, Seen::asked(service, PROLOGUE, generation, epoch, (now, self.lost)));
        Ok(())
    }

    /// No worker of a generation is started before it.
    pub(super) fn judge_prepared(&self, worker: WorkerId, (service, slot): (ServiceId, Slot), epoch: Epoch) -> Verdict {
        let crew = self.crew(service)?;
        if crew.prologue.owed != Some(true) {
            return Ok(());
        }
        let beside = self.of(service).any(|other| other.slot == slot && other.holds());
        let serves = crew.rolling && crew.established.contains(&epoch) && !beside;
        if serves { Ok(()) } else { Err(format!("{worker:?} of {slot:?} is started before what has to run first")) }
    }

    /// A command ended.
    pub(super) fn hear_prologue_end(&mut self, seen: &Seen, status: Option<ExitStatus>, transient: bool) {
        let now = self.now;
        let up = self.is_up(seen.service);
        let Some(crew) = self.crews.get_mut(&seen.service) else { return };
        if seen.told.is_some() || seen.lost_slot || !up || (seen.killed.is_some() && seen.doomed.is_none()) {
            return;
        }
        let commands = crew.policy.terms(seen.epoch).before_start;
        if status == Some(ExitStatus::Code(0)) && seen.doomed.is_none() {
            crew.prologue.succeeds(commands);
            crew.track(PROLOGUE).free();
        } else if !crew.rolling {
            let status = if seen.doomed.is_some() { None } else { Some(status) };
            crew.fall(seen, now, status, transient);
        }
    }
}
