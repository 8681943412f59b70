//! One connection's worth of requests, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::builder::Settings;
use crate::exchange::{Answer, Buffers, Request, exchange};
use crate::expect::pid;
use crate::fault::{Connection, Fault, Trouble};
use crate::schedule::Schedule;
use crate::stream::{Idle, Stream};
use crate::tally::Tally;

/// Without a rate, a server that refuses at once would be asked in a tight loop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// What all lanes of a load share.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) kept: Request,
    pub(crate) fresh: Request,
    pub(crate) schedule: Schedule,
    pub(crate) tally: Tally,
}

/// Counts a lane as sending for as long as it lives, however it ends.
#[derive(Debug)]
pub(crate) struct Lane(Arc<Plan>);

impl Lane {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        Self(Arc::clone(plan))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.tally.lane_ended();
    }
}

/// Sends the requests of one lane until the schedule is over or it is stopped.
pub(crate) async fn run(lane: Lane, keep: bool, mut stop: watch::Receiver<bool>) {
    let plan = &lane.0;
    let mut open = None;
    let mut buffers = Buffers::default();
    while let Some(intended) = plan.schedule.take() {
        let stopped = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => true,
            () = sleep_until(intended) => false,
        };
        if stopped {
            return;
        }
        let begun = Instant::now();
        let kept = open.take().map_or(Ok(None), |stream| plan.reuse(stream));
        let connection = if let Ok(None) = kept { Connection::New } else { Connection::Reused };
        plan.tally.count(|report| report.sent += 1);
        match plan.request(kept, keep, &mut buffers).await {
            Ok((stream, answer)) => {
                let pid = plan.settings.pids.then(|| pid(&buffers.body)).flatten();
                plan.tally.answered(intended, begun, plan.settings.late, pid);
                if keep && answer.close {
                    plan.tally.count(|report| report.announced_closes += 1);
                }
                open = (keep && answer.reusable).then_some(stream);
            }
            Err(trouble) => {
                plan.tally.failed(trouble, connection);
                if !plan.schedule.is_open() {
                    let pause = Instant::now() + PAUSE_AFTER_FAILURE;
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = sleep_until(pause) => {}
                    }
                }
            }
        }
    }
}

impl Plan {
    /// Looks at a kept connection as careful clients do: one that the server has ended is replaced, not tried.
    fn reuse(&self, stream: Stream) -> Result<Option<Stream>, Trouble> {
        match stream.idle() {
            Idle::Open => Ok(Some(stream)),
            // The request that would have followed has the class: its answer cannot be told from these bytes.
            Idle::Unasked => Err(Trouble::new(Fault::Wrong, "bytes that nobody asked for")),
            Idle::Closed => {
                self.tally.count(|report| report.idle_closes += 1);
                Ok(None)
            }
            Idle::Reset => {
                self.tally.count(|report| report.idle_resets += 1);
                Ok(None)
            }
        }
    }

    async fn request(
        &self,
        kept: Result<Option<Stream>, Trouble>,
        keep: bool,
        buffers: &mut Buffers,
    ) -> Result<(Stream, Answer), Trouble> {
        let stream = match kept? {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let request = if keep { &self.kept } else { &self.fresh };
        let answer = timeout(self.settings.timeout, exchange(&stream, request, buffers))
            .await
            .map_err(|_| Trouble::new(Fault::Timeout, format!("no whole answer in {:?}", self.settings.timeout)))??;
        self.settings.expect.check(answer.status, &buffers.body).map_err(|text| Trouble::new(Fault::Wrong, text))?;
        Ok((stream, answer))
    }

    async fn connect(&self) -> Result<Stream, Trouble> {
        let limit = self.settings.connect_timeout;
        let stream = timeout(limit, Stream::connect(&self.settings.target))
            .await
            .map_err(|_| Trouble::new(Fault::ConnectTimeout, format!("no connection in {limit:?}")))??;
        self.tally.count(|report| report.connections += 1);
        Ok(stream)
    }
}
