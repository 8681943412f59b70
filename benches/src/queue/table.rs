//! All figures of one run in one table, beside what is wanted and what is known of Faktory.

use std::collections::BTreeMap;

/// A line: its key, what it is, what is wanted, and what is known of Faktory 1.10 over Redis, not durable, on such a machine.
/// That server is not run here.
const LINES: [(&str, &str, &str, &str); 16] = [
    ("push", "PUSH, 64 connections, jobs/s", ">= 20,000", "8,600 to 20,000 (10 connections)"),
    ("push.syncs", "the same, syncs a job", "< 0.1", "-"),
    ("alone", "PUSH, 1 connection, jobs/s", "-", "-"),
    ("alone.syncs", "the same, syncs a job", "1", "-"),
    ("bulk", "PUSHB of 100, jobs/s", ">= 100,000", "33,000 (PUSHB of 1,000)"),
    ("work", "push, fetch, acknowledge, 20 workers, jobs/s", ">= 20,000", "5,000 (FETCH and ACK)"),
    ("work.cpu", "the same, processor a job, us", "<= 40", "160"),
    ("wake.p50", "from +OK to the job at a waiting worker, p50, ms", "< 0.5", "0.9"),
    ("wake.p99", "the same, p99, ms", "< 3", "-"),
    ("late", "100,000 scheduled: latest in its queue, ms", "<= 50", "1,000 to 3,000"),
    ("retried", "20,000 retried: latest at a worker, ms", "<= 50", "-"),
    ("idle", "64 waiting workers, 60 s: bytes written, syncs, % of a processor", "0, 0, < 0.1", "-"),
    ("claim", "claims beside a million others, part of those with nothing beside", "0.8 to 1.2", "-"),
    ("restart", "first job after a kill with a million jobs, ms", "< 2,000", "-"),
    ("restart.memory", "after it: bytes a queued job beyond its payload and 60 MiB", "<= 400", "-"),
    ("memory", "of 0.9, 1 and 1.9 million queued jobs the most bytes each, as above", "<= 400", "-"),
];

/// What was measured, by key and durability.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<(String, &'static str), String>);

impl Table {
    /// Takes a figure in; of several the last one stays.
    pub(crate) fn note(&mut self, durability: &str, key: &'static str, figure: impl Into<String>) {
        self.0.insert((durability.to_owned(), key), figure.into());
    }

    /// Prints the lines that something was measured of.
    pub(crate) fn print(&self) {
        println!("\n| figure | sync | relaxed | wanted | Faktory 1.10 over Redis, not durable (known, not run here) |");
        println!("|---|---|---|---|---|");
        for (key, what, wanted, known) in LINES {
            let figure = |durability: &str| self.0.get(&(durability.to_owned(), key)).map_or("-", String::as_str);
            let (sync, relaxed) = (figure("sync"), figure("relaxed"));
            if (sync, relaxed) != ("-", "-") {
                println!("| {what} | {sync} | {relaxed} | {wanted} | {known} |");
            }
        }
    }
}
