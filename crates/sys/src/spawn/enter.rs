//! Taking on in place what a child would: for a process that is about to execute a program itself.

use super::child::take_on;
use super::{Plan, SpawnError};

/// Takes on the plan's nice value, OOM score, limits, user, umask and directory, in this order. The process should have
/// one thread and execute its program next; after a failure it should end, since some of it may be done.
///
/// # Errors
/// The step that failed.
pub fn enter(plan: &Plan) -> Result<(), SpawnError> {
    let oom_score_adj = plan.oom_score_adj.and_then(|value| std::ffi::CString::new(value.to_string()).ok());
    take_on(plan, oom_score_adj.as_deref()).map_err(|(step, errno)| SpawnError { step, errno })
}
