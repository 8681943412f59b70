//! Work that is no serving of connections: a function or a task of the program's own.

use crate::app::BoxError;
use crate::context::Context;
use crate::life::Life;
use crate::process::{Worker, end};

/// Runs `run` in each thread of `life` until all have returned, and gives the exit code of this process: 0, or 1 with its error
/// on standard error. The worker is ready when it begins. It should end soon after [`Context::stop`] is set; an
/// immediate stop does not wait for it. Where the engine waits for heartbeats they are those of
/// [`Context::progress`] and [`Context::wait_for_set`].
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn run(life: Life, run: impl Fn(Context) -> Result<(), BoxError> + Send + Sync + 'static) -> u8 {
    end(Worker::start(life).and_then(|worker| worker.run(run)))
}

/// [`run`] for a task: it runs on a runtime of one thread, which beats by itself as long as nothing blocks it.
pub fn run_task<F>(life: Life, task: impl FnOnce(Context) -> F) -> u8
where
    F: Future<Output = Result<(), BoxError>>,
{
    end(Worker::start(life).and_then(|worker| worker.run_task(task)))
}
