//! What one client is told, in the order in which it asked.

use std::collections::VecDeque;

/// Answers that may be owed at once before nothing more is taken.
const MOST_OWED: usize = 16_384;
/// What a place among those that are owed takes.
const PLACE: usize = size_of::<Place>();
/// A buffer that stays with a client that is told nothing.
const KEPT: usize = 4 << 10;

/// A place in the order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owed(u64);

/// One answer that cannot be sent yet.
#[derive(Debug)]
enum Place {
    /// It is not known, but for the bytes that are held for it elsewhere: the answer itself, and the job it is about.
    Open { answer: usize, job: usize },
    /// It waits for those before it.
    Known(Vec<u8>),
}

/// Answers in the order of their commands.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    output: Vec<u8>,
    sent: usize,
    owed: VecDeque<Place>,
    /// The number of the first of them.
    first: u64,
    /// Bytes of answers behind one that is not known, and of jobs that are not on disk.
    waiting: usize,
    jobs: usize,
}

impl Answers {
    /// Where the next answer goes that can be given at once; it waits behind those that are owed.
    pub(crate) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.owed.is_empty() {
            write(&mut self.output);
        } else {
            let mut answer = Vec::new();
            write(&mut answer);
            self.waiting += answer.capacity();
            self.owed.push_back(Place::Known(answer));
        }
    }

    /// A place for an answer that comes later; `answer` bytes of it and `job` bytes of a job are held until then.
    pub(crate) fn owe(&mut self, answer: usize, job: usize) -> Owed {
        self.owed.push_back(Place::Open { answer, job });
        self.waiting += answer;
        self.jobs += job;
        Owed(self.first + self.owed.len() as u64 - 1)
    }

    /// Gives an answer that was owed.
    pub(crate) fn settle(&mut self, owed: Owed, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(index) = owed.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else { return };
        let Some(Place::Open { answer, job }) = self.owed.get(index) else { return };
        self.waiting -= answer;
        self.jobs -= job;
        if index > 0 {
            let mut answer = Vec::new();
            write(&mut answer);
            self.waiting += answer.capacity();
            self.owed[index] = Place::Known(answer);
            return;
        }
        // The common case needs no copy.
        write(&mut self.output);
        self.owed.pop_front();
        self.first += 1;
        while let Some(Place::Known(answer)) = self.owed.front() {
            self.output.extend_from_slice(answer);
            self.waiting -= answer.capacity();
            self.owed.pop_front();
            self.first += 1;
        }
        if self.owed.is_empty() {
            self.owed = VecDeque::new();
        }
    }

    /// Whether any answer is owed or not sent.
    pub(crate) fn is_owed(&self) -> bool {
        !self.owed.is_empty() || self.unsent() > 0
    }

    /// Whether as many are owed as may be, or more than `most` bytes wait.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.owed.len() >= MOST_OWED || self.unsent() + self.waiting + self.jobs >= most
    }

    /// Bytes that are not sent.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Memory that it takes, without the jobs.
    pub(crate) fn held(&self) -> usize {
        self.output.capacity() + self.waiting + self.owed.capacity() * PLACE
    }

    /// What is to be sent.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// So much of it was sent.
    pub(crate) fn sent(&mut self, length: usize) {
        self.sent += length;
        if self.sent == self.output.len() {
            self.sent = 0;
            self.output.clear();
            // One large answer does not stay in memory for as long as the client does.
            if self.output.capacity() > KEPT {
                self.output = Vec::new();
            }
        } else if self.sent >= self.output.len() / 2 {
            // Nor does what a client has read that never reads all: this moves no byte more often than it is sent.
            self.output.drain(..self.sent);
            self.sent = 0;
            if self.output.capacity() > 4 * self.output.len().max(KEPT) {
                self.output.shrink_to(2 * self.output.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &'static str) -> impl FnOnce(&mut Vec<u8>) {
        move |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes())
    }

    #[test]
    fn they_leave_in_the_order_of_their_commands() {
        let mut answers = Answers::default();
        answers.answer(say("1 "));
        let second = answers.owe(0, 7);
        answers.answer(say("3 "));
        let fourth = answers.owe(5, 0);
        answers.settle(fourth, say("4 "));
        let fifth = answers.owe(0, 0);
        assert_eq!(answers.rest(), b"1 ");
        answers.sent(2);
        assert!(answers.is_owed());
        answers.settle(second, say("2 "));
        answers.settle(second, say("never "));
        answers.settle(fifth, say("5 "));
        assert_eq!(answers.rest(), b"2 3 4 5 ");
        answers.sent(8);
        assert!(!answers.is_owed());
        assert_eq!((answers.waiting, answers.jobs, answers.held()), (0, 0, answers.output.capacity()));
    }

    #[test]
    fn bytes_and_numbers_are_bounded() {
        let mut answers = Answers::default();
        while !answers.is_full(1 << 20) {
            answers.owe(0, 0);
        }
        assert_eq!(answers.owed.len(), MOST_OWED);
        let mut answers = Answers::default();
        answers.owe(0, 600_000);
        assert!(!answers.is_full(1 << 20));
        answers.answer(|out| out.extend_from_slice(&[b'x'; 500_000]));
        assert!(answers.is_full(1 << 20) && answers.held() < 600_000);
    }

    /// What was read goes, also when the client is never quite done.
    #[test]
    fn who_never_reads_all_makes_it_grow_no_more() {
        let mut answers = Answers::default();
        answers.answer(|out| out.extend_from_slice(&[b'x'; 2000]));
        for _ in 0..10_000 {
            answers.answer(|out| out.extend_from_slice(&[b'x'; 1000]));
            answers.sent(1000);
        }
        assert_eq!(answers.unsent(), 2000);
        assert!(answers.held() <= 16_384, "{}", answers.held());
        answers.answer(|out| out.resize(out.len() + (4 << 20), b'x'));
        answers.sent((4 << 20) + 1000);
        assert!(answers.held() <= 16_384, "{}", answers.held());
    }
}
