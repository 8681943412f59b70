//! Kinds of jobs by number.

use std::collections::HashMap;
use std::time::Duration;

use evercrew_core::pool::Kind;

use crate::config::Config;

/// Names come from whoever submits: those beyond this many share one line.
const MOST: usize = 1024;

/// Which number a kind has, and how long its jobs may take.
#[derive(Debug)]
pub(crate) struct Kinds {
    numbers: HashMap<String, Kind>,
    timeouts: HashMap<String, Duration>,
}

impl Kinds {
    pub(crate) fn new(config: &Config) -> Self {
        let mut kinds = Self { numbers: HashMap::new(), timeouts: config.timeouts.iter().cloned().collect() };
        for (kind, _) in &config.weights {
            kinds.number(kind);
        }
        kinds
    }

    pub(crate) fn number(&mut self, kind: &str) -> Kind {
        if let Some(number) = self.numbers.get(kind) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(0).saturating_add(1);
        if self.numbers.len() >= MOST {
            return Kind(0);
        }
        self.numbers.insert(kind.to_owned(), Kind(number));
        Kind(number)
    }

    pub(crate) fn timeout(&self, kind: &str) -> Option<Duration> {
        self.timeouts.get(kind).copied()
    }
}
