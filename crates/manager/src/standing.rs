//! How a service stands, for those who wait for it.

use evercrew_core::fleet::{RolloutView, ServiceId, ServiceState, ServiceView, Slot, WorkerState, WorkerView};

use crate::status::{is_leaving, is_settled};
use crate::text;

/// What the goals of commands ask of a service.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) service: ServiceId,
    pub(crate) state: ServiceState,
    /// Every wanted slot has a ready worker, and nothing drains or stops.
    pub(crate) settled: bool,
    /// No process of it is left.
    pub(crate) gone: bool,
    /// Slots that failed, once nothing else of the service is under way.
    pub(crate) failed: Vec<Slot>,
    ready: u32,
    wanted: u32,
    leaving: usize,
    rollout: Option<RolloutView>,
}

impl Standing {
    pub(crate) fn of(view: &ServiceView) -> Self {
        Self {
            service: view.service,
            state: view.state,
            settled: is_settled(view),
            gone: view.workers.iter().all(|worker| worker.worker.is_none()),
            failed: failed(view),
            ready: view.ready,
            wanted: view.wanted,
            leaving: view.workers.iter().filter(|worker| is_leaving(worker)).count(),
            rollout: view.rollout,
        }
    }

    /// `web is starting, 1 of 2 ready`; `web is ready, 3 of 3 ready, 1 still leaving`.
    pub(crate) fn describe(&self, name: &str) -> String {
        let Self { state, ready, wanted, leaving, .. } = self;
        // One that is being replaced may be ready beside its replacement.
        let ready = ready.min(wanted);
        let mut text = format!("{name} is {}, {ready} of {wanted} ready", text::service_state(*state));
        if *leaving > 0 {
            text += &format!(", {leaving} still leaving");
        }
        text
    }

    /// `1 of 3 of web replaced`, while a rollout runs.
    pub(crate) fn replaced(&self, name: &str) -> Option<String> {
        self.rollout.map(|rollout| format!("{} of {} of {name} replaced", rollout.done, rollout.total))
    }

    /// `web.2, web.3 failed, 1 of 3 ready`.
    pub(crate) fn failed_slots(&self, name: &str) -> Option<String> {
        let slots: Vec<String> = self.failed.iter().map(|slot| format!("{name}.{}", slot.0)).collect();
        (!slots.is_empty()).then(|| format!("{} failed, {} of {} ready", slots.join(", "), self.ready, self.wanted))
    }
}

/// A service that serves with some of its slots is not failed, but the others come by themselves, late, or never.
fn failed(view: &ServiceView) -> Vec<Slot> {
    let open = |worker: &WorkerView| match worker.state {
        WorkerState::Starting | WorkerState::Backoff | WorkerState::Draining | WorkerState::Stopping => true,
        WorkerState::Ready | WorkerState::Failed | WorkerState::Stopped => false,
    };
    if view.workers.iter().any(open) {
        return Vec::new();
    }
    let failed = view.workers.iter().filter(|worker| worker.state == WorkerState::Failed);
    failed.map(|worker| worker.slot).collect()
}
