//! What the service manager above the engine is told, and when: an init system, or whatever else started it.
//!
//! It is told of facts once, of numbers as they change but no more than once a second, and for more time as long as
//! something is under way that ends by itself. An engine at rest says nothing, unless a sign of life was asked for.

use std::time::Duration;

use crate::Mono;

/// Between two looks at the engine while it starts.
const STARTING_GAP: Duration = Duration::from_millis(20);
/// Between two looks, and so between two texts, once it has started.
const GAP: Duration = Duration::from_secs(1);
/// How much time is asked for at a time.
pub const EXTENSION: Duration = Duration::from_secs(30);
/// How often, while something is under way.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// The longest status text, in bytes.
const STATUS_LIMIT: usize = 512;

/// How far the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not every service has been ready yet; whether it comes by itself.
    Starting {
        /// Nothing has failed: each wait that is left has an end of its own.
        hopeful: bool,
    },
    /// Every service is ready, or stopped or finished on purpose.
    Complete,
    /// Some is not, now.
    Lacking,
    /// It is being stopped.
    Stopping,
}

/// The engine as it is seen from above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// How far it is.
    pub stage: Stage,
    /// The number of the reload that runs.
    pub reload: Option<u64>,
    /// One line for people.
    pub status: String,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiding {
    /// The engine is ready, or its reload is over.
    Ready,
    /// A reload begins.
    Reloading {
        /// When.
        at: Mono,
    },
    /// The engine is being stopped.
    Stopping,
    /// How it stands.
    Status(String),
    /// It needs more time.
    Extend(Duration),
    /// It lives.
    Alive,
}

/// Why it wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What changed is to be told.
    Change,
    /// More time is to be asked for.
    Extension,
    /// A sign of life is due.
    Life,
}

/// What was told, and what is due.
#[derive(Clone, Debug)]
pub struct Herald {
    /// Half of the time within which a sign of life is wanted.
    beat: Option<Duration>,
    next_beat: Option<Mono>,
    /// That the engine is ready was told, by this or an earlier one.
    ready: bool,
    /// It is to be told again: an earlier one may have ended within a reload.
    repeat: bool,
    stopping: bool,
    reload: Option<u64>,
    status: String,
    /// Something changed that was not looked at.
    unseen: bool,
    looked: Option<Mono>,
    extend_at: Option<Mono>,
}

impl Herald {
    /// For one that wants a sign of life within `watchdog`; `ready` is whether an earlier herald told of readiness.
    pub fn new(watchdog: Option<Duration>, ready: bool) -> Self {
        Self {
            beat: watchdog.map(|watchdog| watchdog / 2).filter(|beat| !beat.is_zero()),
            next_beat: None,
            ready,
            repeat: ready,
            stopping: false,
            reload: None,
            status: String::new(),
            unseen: true,
            looked: None,
            extend_at: None,
        }
    }

    /// Whether readiness was told, for the next herald.
    pub fn told_ready(&self) -> bool {
        self.ready
    }

    /// Something may have changed.
    pub fn changed(&mut self) {
        self.unseen = true;
    }

    /// Whether a look at the engine is worth its cost now. A stop and another reload are seen at once.
    pub fn looks(&self, now: Mono, stopping: bool, reload: Option<u64>) -> bool {
        stopping != self.stopping
            || reload != self.reload
            || self.look_at().is_some_and(|at| at <= now)
            || self.extend_at.is_some_and(|at| at <= now)
    }

    fn look_at(&self) -> Option<Mono> {
        let gap = if self.ready { GAP } else { STARTING_GAP };
        self.unseen.then(|| self.looked.map_or(Mono::default(), |looked| looked.after(gap)))
    }

    /// When it is to be asked again, if nothing happens before.
    pub fn deadline(&self) -> Option<(Mono, Why)> {
        let due = [(self.look_at(), Why::Change), (self.extend_at, Why::Extension), (self.next_beat, Why::Life)];
        due.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }

    /// The sign of life, where it is due. Only whoever decides may ask for it: it says that deciding works.
    pub fn live(&mut self, now: Mono, out: &mut Vec<Tiding>) {
        let Some(beat) = self.beat else { return };
        if self.next_beat.is_none_or(|at| at <= now) {
            self.next_beat = Some(now.after(beat));
            out.push(Tiding::Alive);
        }
    }

    /// What is to be told of this.
    pub fn see(&mut self, now: Mono, sight: &Sight, out: &mut Vec<Tiding>) {
        self.unseen = false;
        self.looked = Some(now);
        if sight.stage == Stage::Stopping {
            if !std::mem::replace(&mut self.stopping, true) {
                out.push(Tiding::Stopping);
            }
            // A stop outruns a reload: nobody waits for its end any more.
            self.reload = sight.reload;
        } else {
            self.tell_progress(now, sight, out);
        }
        self.ask_for_time(now, sight, out);
        self.tell_status(sight, out);
    }

    fn tell_progress(&mut self, now: Mono, sight: &Sight, out: &mut Vec<Tiding>) {
        let complete = sight.stage == Stage::Complete && !self.ready;
        if complete || (self.repeat && sight.reload.is_none()) {
            self.ready = true;
            self.repeat = false;
            out.push(Tiding::Ready);
        }
        // Before it is ready the one above waits for that, and takes nothing else for an answer.
        if !self.ready || sight.reload == self.reload {
            return;
        }
        self.reload = sight.reload;
        self.repeat = false;
        out.push(if sight.reload.is_some() { Tiding::Reloading { at: now } } else { Tiding::Ready });
    }

    fn ask_for_time(&mut self, now: Mono, sight: &Sight, out: &mut Vec<Tiding>) {
        let under_way = match sight.stage {
            Stage::Starting { hopeful } => hopeful && !self.ready,
            Stage::Stopping => true,
            Stage::Complete | Stage::Lacking => self.reload.is_some(),
        };
        if !under_way {
            self.extend_at = None;
        } else if self.extend_at.is_none_or(|at| at <= now) {
            self.extend_at = Some(now.after(EXTEND_EVERY));
            out.push(Tiding::Extend(EXTENSION));
        }
    }

    fn tell_status(&mut self, sight: &Sight, out: &mut Vec<Tiding>) {
        let mut end = sight.status.len().min(STATUS_LIMIT);
        while !sight.status.is_char_boundary(end) {
            end -= 1;
        }
        let status = &sight.status[..end];
        if status == self.status {
            return;
        }
        status.clone_into(&mut self.status);
        out.push(Tiding::Status(status.to_owned()));
    }
}

#[cfg(test)]
mod tests;
