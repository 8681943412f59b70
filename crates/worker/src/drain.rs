//! Finishing what is begun: the stages of a stop, in order and each with its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How far a stop has come. Stages only follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Not asked to stop.
    Serving,
    /// Nothing new is accepted; idle connections are kept until they speak once, and each answer says
    /// `Connection: close`. So no client loses a request that it sent in good faith.
    Announcing,
    /// Idle connections are closed; those with a request go on.
    Closing,
    /// Connections that have no whole request, such as a half-sent head, are dropped.
    Cutting,
}

/// The moments of a stop, counted from its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// End of [`Stage::Announcing`].
    pub(crate) keep_alive: Duration,
    /// End of [`Stage::Closing`].
    pub(crate) half_request: Duration,
    /// End of everything: well within the 30 s after which the engine kills, so that what had to be cut is said.
    pub(crate) deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(5),
            half_request: Duration::from_secs(7),
            deadline: Duration::from_secs(25),
        }
    }
}

/// The stop of this worker: begun once, seen by every connection.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stage: watch::Sender<Stage>,
    /// The same, for whoever asks with each request.
    present: AtomicU8,
}

impl Drain {
    pub(crate) fn new() -> Self {
        let present = AtomicU8::new(Stage::Serving as u8);
        Self { shared: Arc::new(Shared { stage: watch::Sender::new(Stage::Serving), present }) }
    }

    pub(crate) fn begun(&self) -> bool {
        self.stage() != Stage::Serving
    }

    pub(crate) fn stage(&self) -> Stage {
        let present = self.shared.present.load(Ordering::Relaxed);
        let stages = [Stage::Serving, Stage::Announcing, Stage::Closing];
        stages.into_iter().find(|stage| *stage as u8 == present).unwrap_or(Stage::Cutting)
    }

    fn set(&self, stage: Stage) {
        self.shared.present.store(stage as u8, Ordering::Relaxed);
        self.shared.stage.send_replace(stage);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Stage> {
        self.shared.stage.subscribe()
    }

    /// Goes through the stages and returns at the deadline. Whoever knows that nothing is left drops it before.
    pub(crate) async fn run(&self, limits: Limits) {
        let begin = Instant::now();
        self.set(Stage::Announcing);
        sleep_until(begin + limits.keep_alive).await;
        self.set(Stage::Closing);
        sleep_until(begin + limits.half_request).await;
        self.set(Stage::Cutting);
        sleep_until(begin + limits.deadline).await;
    }
}

/// Waits until the stop has begun; for ever when its sender is gone, since then nobody can begin it.
pub(crate) async fn begun(stages: &mut watch::Receiver<Stage>) {
    if stages.wait_for(|stage| *stage != Stage::Serving).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stages_follow_each_other_and_end() {
        let drain = Drain::new();
        let mut stages = drain.watch();
        assert!(!drain.begun());
        let runner = drain.clone();
        let limits = Limits {
            keep_alive: Duration::from_millis(20),
            half_request: Duration::from_millis(40),
            deadline: Duration::from_millis(60),
        };
        let running = tokio::spawn(async move { runner.run(limits).await });
        for expected in [Stage::Announcing, Stage::Closing, Stage::Cutting] {
            stages.changed().await.expect("the drain lives");
            assert_eq!(*stages.borrow_and_update(), expected);
            assert!(drain.begun());
        }
        running.await.expect("it ends");
        begun(&mut stages).await;
    }

    #[test]
    fn the_default_ends_well_before_the_kill() {
        let Limits { keep_alive, half_request, deadline } = Limits::default();
        assert!(keep_alive < half_request && half_request < deadline);
        assert!(deadline <= Duration::from_secs(25));
    }
}
