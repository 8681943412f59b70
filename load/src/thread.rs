//! A load in a thread of its own, for tests and programs without a runtime.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder as ThreadBuilder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::builder::Builder;
use crate::error::LoadError;
use crate::lane::Plan;
use crate::report::Report;
use crate::running::Running;

/// A load under way in its own thread, with blocking methods. Dropping it ends it.
#[derive(Debug)]
#[must_use]
pub struct LoadThread {
    plan: Arc<Plan>,
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<Option<Report>>,
}

impl LoadThread {
    pub(crate) fn start(builder: Builder) -> Result<Self, LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Start)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, started) = mpsc::channel();
        let thread = ThreadBuilder::new()
            .name("load".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match builder.start() {
                        Ok(running) => {
                            // The receiver waits for exactly this, here and below.
                            let _ = sender.send(Ok(Arc::clone(running.plan())));
                            Some(run(running, stopped).await)
                        }
                        Err(error) => {
                            let _ = sender.send(Err(error));
                            None
                        }
                    }
                })
            })
            .map_err(LoadError::Start)?;
        let ended = || LoadError::Start(std::io::Error::other("the thread of the load ended at once"));
        let plan = started.recv().map_err(|_| ended())??;
        Ok(Self { plan, stop: Some(stop), thread })
    }

    /// The counts so far.
    pub fn report(&self) -> Report {
        self.plan.tally.report(&self.plan.schedule)
    }

    /// Waits for so many right answers since the start. False when that took longer than `timeout` or it ended before.
    pub fn wait_answers(&self, count: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |report| report.ok >= count)
    }

    /// Waits until the counts are as `enough` wants them; see [`crate::Running::wait_until`].
    pub fn wait_until(&self, timeout: Duration, enough: impl FnMut(&Report) -> bool) -> bool {
        self.plan.tally.wait_blocking(timeout, enough)
    }

    /// Begins no further request, waits for those under way, and returns what was found out.
    ///
    /// # Panics
    /// When a check that was given to the builder has panicked.
    pub fn stop(mut self) -> Report {
        // A load that ended by itself does not listen any more.
        self.stop.take().map(|stop| stop.send(()));
        self.join()
    }

    /// Waits for its own end by count or time.
    ///
    /// # Panics
    /// When a check that was given to the builder has panicked.
    pub fn finish(self) -> Report {
        self.join()
    }

    fn join(self) -> Report {
        // To drop the sender means to stop, so it lives until the thread has ended.
        let Self { plan, stop, thread } = self;
        let ended = thread.join();
        drop(stop);
        match ended {
            Ok(report) => report.unwrap_or_else(|| plan.tally.report(&plan.schedule)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Until its own end, or until it is stopped: by a word, or because nobody is there to take the report.
async fn run(mut running: Running, stopped: oneshot::Receiver<()>) -> Report {
    tokio::select! {
        biased;
        () = running.over() => {}
        _ = stopped => running.begin_stop(),
    }
    running.finish().await
}
