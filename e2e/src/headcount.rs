//! How many processes a service has, by the kernel's own list, looked at all the time.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::processes::Process;

/// Between two looks. A process that is there too early or gone too soon is so for much longer.
const PACE: Duration = Duration::from_millis(3);

/// A thread that looks until it is stopped.
#[derive(Debug)]
pub struct Headcount {
    allowed: Arc<Mutex<RangeInclusive<usize>>>,
    enough: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    thread: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often it looked.
    pub looks: u64,
    /// The most processes.
    pub most: usize,
    /// Looks that were not as allowed, the first few of them.
    pub wrong: Vec<String>,
}

impl Headcount {
    /// Of the children of this supervisor that belong to `service`.
    pub fn start(supervisor: Process, service: &str, allowed: RangeInclusive<usize>) -> Self {
        let mark = format!("EVERCREW_SERVICE={service}");
        let (allowed, enough) = (Arc::new(Mutex::new(allowed)), Arc::new(AtomicBool::new(false)));
        let looks = Arc::new(AtomicU64::new(0));
        let thread = {
            let (allowed, enough, looks) = (Arc::clone(&allowed), Arc::clone(&enough), Arc::clone(&looks));
            std::thread::spawn(move || watch(&supervisor, &mark, &allowed, &enough, &looks))
        };
        Self { allowed, enough, looks, thread }
    }

    /// From now on so many are allowed. Widen it before what needs it, narrow it when that is done.
    pub fn allow(&self, range: RangeInclusive<usize>) {
        *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = range;
    }

    /// How often it has looked so far.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn stop(self) -> Seen {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the watching thread")
    }
}

fn watch(
    supervisor: &Process,
    mark: &str,
    allowed: &Mutex<RangeInclusive<usize>>,
    enough: &AtomicBool,
    looks: &AtomicU64,
) -> Seen {
    let mut seen = Seen::default();
    let mut few_before = false;
    while !enough.load(Ordering::Relaxed) {
        // Before the look: what is narrowed meanwhile was true before.
        let allowed = allowed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = supervisor.children().into_iter().filter(|pid| belongs(*pid, mark)).count();
        seen.looks = looks.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most = seen.most.max(count);
        // The kernel may leave out one that is there while others of the list end: one look at a time proves no lack.
        let few = count < *allowed.start();
        if (few && few_before || count > *allowed.end()) && seen.wrong.len() < 10 {
            seen.wrong.push(format!("look {}: {count} processes, allowed {allowed:?}", seen.looks));
        }
        few_before = few;
        std::thread::park_timeout(PACE);
    }
    seen
}

/// Whether it has this in its environment; one that has ended has none.
fn belongs(pid: u32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use evercrew_core::Signal;
    use std::process::Command;

    /// What is seen of one process more or less than these.
    fn seen(allowed: RangeInclusive<usize>) -> Seen {
        let mark = format!("test{}", allowed.start() + 10 * allowed.end());
        let mut shell = Command::new("sh");
        let mut shell =
            shell.args(["-c", "sleep 1000 & wait"]).env("EVERCREW_SERVICE", &mark).spawn().expect("a shell");
        let this = Process::open(shell.id());
        while this.children().iter().filter(|pid| belongs(**pid, &format!("EVERCREW_SERVICE={mark}"))).count() == 0 {
            std::thread::yield_now();
        }
        let sleep = Process::open(this.children()[0]);
        let headcount = Headcount::start(this, &mark, allowed);
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while headcount.looks() < 3 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let seen = headcount.stop();
        sleep.signal(Signal::Kill);
        shell.wait().expect("the end of the shell");
        seen
    }

    #[test]
    fn too_few_and_too_many_are_found() {
        assert!(!seen(2..=3).wrong.is_empty());
        assert!(!seen(0..=0).wrong.is_empty());
        let right = seen(1..=1);
        assert!(right.wrong.is_empty() && right.most == 1, "{right:?}");
    }
}
