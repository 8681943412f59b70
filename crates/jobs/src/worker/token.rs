//! Whether a job is told to end.

use evercrew_core::work::Why;
use tokio::sync::watch;

/// Why a job is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Its reservation is over: another worker may have the job.
    ReservationOver,
    /// The worker stops.
    Stopping,
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::Lease => Self::ReservationOver,
            Why::Stopping => Self::Stopping,
        }
    }
}

/// Tells a job when it is to end. A handler that takes long looks at it, or waits for it beside its work.
#[derive(Clone, Debug)]
pub struct Token(watch::Receiver<Option<Reason>>);

impl Token {
    pub(crate) fn new() -> (watch::Sender<Option<Reason>>, Self) {
        let (teller, told) = watch::channel(None);
        (teller, Self(told))
    }

    /// Why the job is to end, if it is.
    pub fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    /// Whether the job is to end.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Waits until the job is to end.
    pub async fn cancelled(&self) -> Reason {
        let mut told = self.0.clone();
        let reason = match told.wait_for(Option::is_some).await {
            Ok(reason) => *reason,
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            // Nobody is left who would tell.
            None => std::future::pending().await,
        }
    }
}
