//! A load under way, on the runtime of its user.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lane::Plan;
use crate::report::Report;

/// A load under way. Dropping it ends it at once.
#[derive(Debug)]
#[must_use]
pub struct Running {
    plan: Arc<Plan>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
}

impl Running {
    pub(crate) fn new(plan: Arc<Plan>, stop: watch::Sender<bool>, lanes: JoinSet<()>) -> Self {
        Self { plan, stop, lanes }
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The counts so far.
    pub fn report(&self) -> Report {
        self.plan.tally.report(&self.plan.schedule)
    }

    /// Waits for so many right answers since the start. False when it ended before.
    pub async fn wait_answers(&self, count: u64) -> bool {
        self.wait_until(|report| report.ok >= count).await
    }

    /// Waits until the counts are as `enough` wants them; it is asked after each request, with quantiles, `elapsed`
    /// and `unsent` not filled in. False when the load ended before.
    pub async fn wait_until(&self, enough: impl FnMut(&Report) -> bool) -> bool {
        self.plan.tally.wait(enough).await
    }

    /// Begins no further request, waits for those under way, and returns what was found out.
    pub async fn stop(self) -> Report {
        self.begin_stop();
        self.finish().await
    }

    /// Waits for its own end by count or time.
    ///
    /// # Panics
    /// When a check that was given to the builder has panicked.
    pub async fn finish(mut self) -> Report {
        self.over().await;
        self.report()
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until no request is under way and none will follow.
    pub(crate) async fn over(&mut self) {
        while let Some(lane) = self.lanes.join_next().await {
            if let Err(error) = lane
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}
