//! How many processes a service has, by the kernel's own list, looked at all the time.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
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
        let thread = {
            let (allowed, enough) = (Arc::clone(&allowed), Arc::clone(&enough));
            std::thread::spawn(move || watch(&supervisor, &mark, &allowed, &enough))
        };
        Self { allowed, enough, thread }
    }

    /// From now on so many are allowed. Widen it before what needs it, narrow it when that is done.
    pub fn allow(&self, range: RangeInclusive<usize>) {
        *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = range;
    }

    /// Ends it.
    pub fn stop(self) -> Seen {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the watching thread")
    }
}

fn watch(supervisor: &Process, mark: &str, allowed: &Mutex<RangeInclusive<usize>>, enough: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut few_before = false;
    while !enough.load(Ordering::Relaxed) {
        // Before the look: what is narrowed meanwhile was true before.
        let allowed = allowed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = supervisor.children().into_iter().filter(|pid| belongs(*pid, mark)).count();
        seen.looks += 1;
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
