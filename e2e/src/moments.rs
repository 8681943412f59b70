//! When signals came to a worker, as it noted them itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::programs::apps;

/// The program `ladder.py`, which survives TERM, INT, QUIT and USR1 and notes them in a file.
#[derive(Debug)]
pub struct Moments {
    path: PathBuf,
}

impl Moments {
    /// To be noted in this directory.
    pub fn below(home: &Path) -> Self {
        Self { path: home.join("moments") }
    }

    /// The service `name`, with this stop ladder, run by this Python.
    pub fn service(&self, name: &str, python: &str, stop: &str) -> String {
        let script = apps().join("ladder.py");
        format!(
            "[service.{name}]\ncommand = [{python:?}, {script:?}]\nenv = {{ TIMES = {:?} }}\n\
             ready = {{ output = \"^ready\" }}\nstop = {stop}\n",
            self.path
        )
    }

    /// Each signal with its distance from the first, in the order in which they came.
    ///
    /// # Panics
    /// When the worker noted something else.
    pub fn noted(&self) -> Vec<(String, Duration)> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let moments: Vec<(String, u64)> = text
            .lines()
            .map(|line| {
                let (name, nanos) = line.split_once(' ').expect("a signal and a moment");
                (name.trim_start_matches("SIG").to_owned(), nanos.parse().expect("nanoseconds"))
            })
            .collect();
        let first = moments.first().map_or(0, |(_, nanos)| *nanos);
        moments.into_iter().map(|(name, nanos)| (name, Duration::from_nanos(nanos.saturating_sub(first)))).collect()
    }

    /// Waits until this many are noted.
    pub fn wait(&self, count: usize, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.noted().len() < count {
            if Instant::now() > until {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}
