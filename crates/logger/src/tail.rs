//! What each worker last wrote: kept for whoever asks why it ended.

use std::collections::{BTreeMap, VecDeque};

use evercrew_wire::logger::{TAIL_BYTES, TAIL_LINES};

/// Dead workers whose last lines are kept.
const MOST_DEAD: usize = 64;
/// Bytes of one line; a longer one is cut.
const LINE: usize = 1024;

/// The last lines of every worker that writes, and of the last ones that ended.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    tails: BTreeMap<u64, Tail>,
    dead: VecDeque<u64>,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn add(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).into_owned();
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > TAIL_LINES || self.bytes > TAIL_BYTES {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.len();
        }
    }
}

impl Tails {
    /// The worker wrote a line.
    pub(crate) fn line(&mut self, worker: u64, line: &[u8]) {
        self.tails.entry(worker).or_default().add(line);
    }

    /// The worker's last pipe has ended.
    pub(crate) fn ended(&mut self, worker: u64) {
        if self.tails.contains_key(&worker) && !self.dead.contains(&worker) {
            self.dead.push_back(worker);
        }
        if self.dead.len() > MOST_DEAD
            && let Some(oldest) = self.dead.pop_front()
        {
            self.tails.remove(&oldest);
        }
    }

    /// The worker's last lines, oldest first.
    pub(crate) fn of(&self, worker: u64) -> Vec<String> {
        self.tails.get(&worker).map(|tail| tail.lines.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_within_bounds() {
        let mut tails = Tails::default();
        for number in 0..100 {
            tails.line(1, format!("line {number}").as_bytes());
        }
        let lines = tails.of(1);
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (TAIL_LINES, "line 80", "line 99"));
        for _ in 0..10 {
            tails.line(2, &[b'x'; 100_000]);
        }
        assert!(tails.of(2).iter().map(String::len).sum::<usize>() <= TAIL_BYTES);
        tails.line(3, b"\xff\xfe not text");
        assert_eq!(tails.of(3).len(), 1);
    }

    #[test]
    fn the_dead_are_forgotten_in_order() {
        let mut tails = Tails::default();
        for worker in 0..1000 {
            tails.line(worker, b"last words");
            tails.ended(worker);
            tails.ended(worker);
        }
        assert_eq!(tails.of(0), Vec::<String>::new());
        assert_eq!(tails.of(999), ["last words"]);
        assert_eq!(tails.tails.len(), MOST_DEAD);
    }
}
