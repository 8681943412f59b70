//! How facts are written for people.

use std::time::{Duration, SystemTime};

use evercrew_core::fleet::{ExitReason, ExitStatus, Fleet, ServiceId, ServiceState, StopReason, WorkerState};
use evercrew_core::{Mono, Signal};
use evercrew_sys::clock;

/// RFC 3339, UTC, milliseconds.
pub(crate) fn wall(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|stamp| format!("{stamp:.3}")).unwrap_or_default()
}

/// The wall time of a moment, by today's clock.
pub(crate) fn wall_of(moment: Mono) -> String {
    let ago = clock::mono().since(moment);
    wall(clock::wall().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// `0.213 s`, `12.4 s`, `3 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 10.0 => format!("{s:.3} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

pub(crate) fn worker_state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
        WorkerState::Stopping => "stopping",
        WorkerState::Backoff => "backoff",
        WorkerState::Failed => "failed",
        WorkerState::Stopped => "stopped",
    }
}

pub(crate) fn service_state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Starting => "starting",
        ServiceState::Ready => "ready",
        ServiceState::Degraded => "degraded",
        ServiceState::Failed => "failed",
        ServiceState::Stopping => "stopping",
        ServiceState::Stopped => "stopped",
        ServiceState::Finished => "finished",
    }
}

pub(crate) fn exit_reason(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Unasked => "unasked",
        ExitReason::ReadyTimeout => "ready-timeout",
        ExitReason::Heartbeat => "heartbeat",
        ExitReason::SpawnFailed => "spawn-failed",
        ExitReason::OutOfMemory => "oom",
        ExitReason::Asked(reason) => stop_reason(reason),
    }
}

pub(crate) fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Stop => "stop",
        StopReason::Scale => "scale",
        StopReason::Rollout => "rollout",
        StopReason::Recycle => "recycle",
        StopReason::RolledBack => "rolled-back",
    }
}

/// How a process ended, as two fields of which one is null.
pub(crate) fn code_and_signal(status: Option<ExitStatus>) -> (Option<u8>, Option<String>) {
    match status {
        Some(ExitStatus::Code(code)) => (Some(code), None),
        Some(ExitStatus::Signal(signal)) => (None, Some(signal.map_or("unknown".to_owned(), |s| s.to_string()))),
        Some(ExitStatus::OutOfMemory) => (None, Some(Signal::Kill.to_string())),
        None => (None, None),
    }
}

/// `./migrate --all (before_start) ended with exit code 3`.
pub(crate) fn prologue_failed(argv: &[String], status: Option<ExitStatus>, reason: ExitReason) -> String {
    let command = argv.join(" ");
    let how = match reason {
        ExitReason::ReadyTimeout => "was not done within ready_timeout".to_owned(),
        ExitReason::SpawnFailed => "could not be started".to_owned(),
        ExitReason::Unasked | ExitReason::OutOfMemory | ExitReason::Heartbeat | ExitReason::Asked(_) => {
            format!("ended with {}", exit_status(status))
        }
    };
    format!("{command} (before_start) {how}")
}

/// `exit code 3`, `SIGKILL`, `no process`.
pub(crate) fn exit_status(status: Option<ExitStatus>) -> String {
    match status {
        Some(ExitStatus::Code(code)) => format!("exit code {code}"),
        Some(ExitStatus::Signal(Some(signal))) => signal.to_string(),
        Some(ExitStatus::Signal(None)) => "an unnamed signal".to_owned(),
        Some(ExitStatus::OutOfMemory) => "killed by the kernel for want of memory".to_owned(),
        None => "no process".to_owned(),
    }
}

/// Why a rollout stopped, and what that leaves.
pub(crate) fn rollout_stopped(reason: Option<ExitReason>, service: ServiceId, fleet: &Fleet) -> String {
    let state = fleet.service(service).map(|view| view.state);
    match (reason, state) {
        (Some(reason), _) => format!("{}; its old workers serve on", exit_reason(reason)),
        (None, _) if fleet.stopping() => "the engine is being stopped".to_owned(),
        (None, Some(ServiceState::Stopping | ServiceState::Stopped) | None) => {
            "another command stopped the service".to_owned()
        }
        (None, Some(_)) => "another command ended it; its old workers serve on".to_owned(),
    }
}
