//! What the service manager above is told: observations for the core's `Herald`, and its tidings as lines.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{ServiceState, ServiceView};
use evercrew_core::herald::{Herald, Sight, Stage, Tiding};
use evercrew_sys::clock;
use evercrew_wire::supervisor::{Above, ToSupervisor};

use crate::crew::Crew;
use crate::crew::LOGGER;
use crate::manager::Manager;
use crate::text;

/// Services that a status names before it only counts.
const MOST_NAMED: usize = 8;

/// One for the service manager above, where there is one; `ready` is whether an earlier manager told of readiness.
pub(crate) fn herald(above: Option<Above>, ready: bool) -> Option<Herald> {
    let above = above?;
    let watchdog = Some(Duration::from_micros(above.watchdog_us)).filter(|watchdog| !watchdog.is_zero());
    Some(Herald::new(watchdog, ready))
}

impl Manager {
    /// Tells what there is to tell. Called once a batch, by the loop that decides: so a sign of life is one of it.
    pub(crate) fn herald_changes(&mut self) {
        let now = clock::mono();
        let (stopping, reload) = (self.fleet.stopping(), self.reloads.changing());
        let Some(herald) = &mut self.herald else { return };
        let mut tidings = Vec::new();
        herald.live(now, &mut tidings);
        if herald.looks(now, stopping, reload) {
            let views: Vec<ServiceView> =
                self.fleet.services().into_iter().filter(|view| view.service != LOGGER).collect();
            let sight = Sight {
                stage: stage(&views, stopping, herald.told_ready()),
                reload,
                status: status(&views, &self.crew),
            };
            let before = herald.told_ready();
            herald.see(now, &sight, &mut tidings);
            // The next manager must know.
            self.dirty |= before != herald.told_ready();
        }
        if !tidings.is_empty() {
            let lines: Vec<String> = tidings.iter().map(line).collect();
            self.after_deposit(&ToSupervisor::Notify { text: lines.join("\n") }, Vec::new());
        }
    }

    /// The fleet changed.
    pub(crate) fn herald_later(&mut self) {
        if let Some(herald) = &mut self.herald {
            herald.changed();
        }
    }

    /// When it is to be told of more.
    pub(crate) fn herald_deadline(&self) -> Option<Mono> {
        self.herald.as_ref().and_then(Herald::deadline).map(|(at, _)| at)
    }
}

fn stage(views: &[ServiceView], stopping: bool, was_ready: bool) -> Stage {
    if stopping {
        return Stage::Stopping;
    }
    let complete = views.iter().all(|view| match view.state {
        ServiceState::Ready | ServiceState::Stopped | ServiceState::Finished => true,
        ServiceState::Starting | ServiceState::Degraded | ServiceState::Failed | ServiceState::Stopping => false,
    });
    if complete {
        Stage::Complete
    } else if was_ready {
        Stage::Lacking
    } else {
        let failed = |view: &ServiceView| matches!(view.state, ServiceState::Failed | ServiceState::Degraded);
        Stage::Starting { hopeful: !views.iter().any(failed) }
    }
}

/// `web 4/4 ready, mailer 1/2 starting`.
fn status(views: &[ServiceView], crew: &Crew) -> String {
    let mut parts: Vec<String> = Vec::new();
    for view in views.iter().take(MOST_NAMED) {
        let (name, state) = (crew.name(view.service), text::service_state(view.state));
        // One that is being replaced may be ready beside its replacement.
        let mut part = format!("{name} {}/{} {state}", view.ready.min(view.wanted), view.wanted);
        if let Some(rollout) = &view.rollout {
            part += &format!(", {} of {} replaced", rollout.done, rollout.total);
        }
        parts.push(part);
    }
    if views.len() > MOST_NAMED {
        let ready = views.iter().filter(|view| view.state == ServiceState::Ready).count();
        parts.push(format!("{ready} of {} services ready", views.len()));
    }
    parts.join("; ")
}

fn line(tiding: &Tiding) -> String {
    match tiding {
        Tiding::Ready => "READY=1".to_owned(),
        Tiding::Reloading { at } => format!("RELOADING=1\nMONOTONIC_USEC={}", at.as_nanos() / 1000),
        Tiding::Stopping => "STOPPING=1".to_owned(),
        Tiding::Status(text) => format!("STATUS={}", text.replace('\n', " ")),
        Tiding::Extend(by) => format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()),
        Tiding::Alive => "WATCHDOG=1".to_owned(),
    }
}
