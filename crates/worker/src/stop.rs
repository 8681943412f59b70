//! Whether a worker is asked to stop: for tasks that await it and for threads that wait.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How a worker is asked to end. It only becomes more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// It finishes what is begun and takes nothing new.
    Graceful,
    /// It ends at once.
    Immediate,
}

/// Set once, seen by all: tasks await it, threads wait for it. Clones are the same flag.
///
/// The idea is the blocking stop flag of multi-process servers, which wakes its waiters at once.
///
/// ```
/// use std::time::Duration;
/// use evercrew_worker::{Stop, StopFlag};
///
/// let flag = StopFlag::new();
/// assert!(!flag.wait_for_set(Duration::from_millis(1)));
/// flag.set(Stop::Graceful);
/// assert!(flag.wait_for_set(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug)]
pub struct StopFlag {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    present: Mutex<Stop>,
    changed: Condvar,
    tasks: watch::Sender<Stop>,
}

impl Default for StopFlag {
    fn default() -> Self {
        Self::new()
    }
}

impl StopFlag {
    /// One that is not set.
    pub fn new() -> Self {
        let (present, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { present, changed, tasks: watch::Sender::new(Stop::No) }) }
    }

    /// Asks for a stop. One that is less urgent than what was asked already changes nothing.
    pub fn set(&self, stop: Stop) {
        let mut present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        if stop > *present {
            *present = stop;
            self.shared.tasks.send_replace(stop);
            self.shared.changed.notify_all();
        }
    }

    /// How the worker is asked to end.
    pub fn asked(&self) -> Stop {
        *self.shared.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is asked to end.
    pub fn is_set(&self) -> bool {
        self.asked() != Stop::No
    }

    /// Waits in this thread until a stop is asked for, at most for `timeout`; whether it is. Wakes at once.
    pub fn wait_for_set(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let mut present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        while *present == Stop::No {
            let left = match until {
                Some(until) => until.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if left.is_zero() {
                return false;
            }
            present = self.shared.changed.wait_timeout(present, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits in a task until a stop is asked for.
    pub async fn wait(&self) {
        self.at_least(Stop::Graceful).await;
    }

    /// Waits in a task until an immediate stop is asked for.
    pub async fn wait_for_immediate(&self) {
        self.at_least(Stop::Immediate).await;
    }

    async fn at_least(&self, stop: Stop) {
        // The sender lives as long as this flag does.
        let _ = self.shared.tasks.subscribe().wait_for(|asked| *asked >= stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_tasks_wake_when_it_is_set() {
        let flag = StopFlag::new();
        let waiting = flag.clone();
        let thread = std::thread::spawn(move || waiting.wait_for_set(Duration::from_secs(3600)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let waiting = flag.clone();
        let task = runtime.spawn(async move { waiting.wait().await });
        flag.set(Stop::Graceful);
        assert!(thread.join().expect("the thread"));
        runtime.block_on(task).expect("the task");
    }

    #[test]
    fn it_only_becomes_more_urgent() {
        let flag = StopFlag::new();
        assert_eq!((flag.asked(), flag.is_set()), (Stop::No, false));
        flag.set(Stop::Immediate);
        flag.set(Stop::Graceful);
        assert_eq!((flag.asked(), flag.is_set()), (Stop::Immediate, true));
        assert!(flag.wait_for_set(Duration::ZERO));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(flag.wait_for_immediate());
    }

    #[test]
    fn a_wait_that_is_over_says_so() {
        assert!(!StopFlag::new().wait_for_set(Duration::from_millis(2)));
        assert!(!StopFlag::new().wait_for_set(Duration::ZERO));
    }
}
