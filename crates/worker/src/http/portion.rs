//! How much a worker answers before it asks to be replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many requests a worker answers before it asks to be replaced. It answers on until it is told to leave.
#[derive(Debug)]
pub(crate) struct Portion {
    most: u64,
    answered: AtomicU64,
    told: AtomicBool,
}

impl Portion {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, answered: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Counts one; `tell` is tried again with the next one where it was not heard.
    pub(crate) fn count(&self, tell: impl FnOnce() -> bool) {
        if self.answered.fetch_add(1, Ordering::Relaxed) + 1 >= self.most && !self.told.load(Ordering::Relaxed) {
            self.told.store(tell(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_once_its_portion_is_answered_and_again_only_where_it_was_not_heard() {
        let portion = Portion::new(3);
        let mut asked = Vec::new();
        for request in 1..=6 {
            portion.count(|| {
                asked.push(request);
                request > 3
            });
        }
        assert_eq!(asked, [3, 4]);
    }
}
