//! What a load found out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::fault::{Connection, Failure, Fault};
use crate::histogram::{Quantiles, millis};

/// The result of a load, or of what of it has passed. `sent` is `ok` plus every failure once none is under way.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Requests begun: a connection was tried, or a kept one used.
    pub sent: u64,
    /// Requests with a whole and right answer, late ones included.
    pub ok: u64,
    /// Answers among `ok` that came later than the threshold, counted from the intended moment.
    pub late: u64,
    /// Open loop: requests that fell due and were never begun, because every lane was busy to the end or the load was
    /// stopped. One or two at a stop mean nothing.
    pub unsent: u64,
    /// Failed requests by class.
    #[serde(serialize_with = "failures")]
    pub failures: BTreeMap<Failure, u64>,
    /// Connections that were opened.
    pub connections: u64,
    /// Kept connections that the server ended after an answer with `Connection: close`: as it should be.
    pub announced_closes: u64,
    /// Kept connections that the server closed while they were idle, seen before the next request: a client opens
    /// another one, so nothing failed, but nothing was announced either.
    pub idle_closes: u64,
    /// As `idle_closes`, by a reset.
    pub idle_resets: u64,
    /// From the intended moment to the end of the answer, of right answers. Its resolution is a millisecond in the
    /// open loop.
    pub latency: Quantiles,
    /// From the real begin of a request, connecting included, to the end of the answer, of right answers.
    pub service: Quantiles,
    /// The longest time without a right answer, between two of them or up to a failure.
    #[serde(rename = "largest_gap_ms", serialize_with = "millis")]
    pub largest_gap: Duration,
    /// When that gap began, counted from the start.
    #[serde(rename = "largest_gap_at_ms", serialize_with = "millis")]
    pub largest_gap_at: Duration,
    /// Who answered, where bodies name a pid and [`crate::Builder::pids`] was asked for.
    pub servers: BTreeMap<u32, Server>,
    /// The first failures, with what was seen.
    pub examples: Vec<Example>,
    /// How long it ran.
    #[serde(rename = "elapsed_ms", serialize_with = "millis")]
    pub elapsed: Duration,
}

/// The answers of one server process. Moments count from the start of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Server {
    /// How many.
    pub answers: u64,
    /// The first.
    #[serde(rename = "first_ms", serialize_with = "millis")]
    pub first: Duration,
    /// The last.
    #[serde(rename = "last_ms", serialize_with = "millis")]
    pub last: Duration,
}

impl Server {
    pub(crate) fn new(at: Duration) -> Self {
        Self { answers: 0, first: at, last: at }
    }
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// When it was noticed, counted from the start.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// Its class.
    pub fault: Fault,
    /// What it happened on.
    pub connection: Connection,
    /// What was seen.
    pub detail: String,
}

impl Example {
    pub(crate) fn new(at: Duration, failure: Failure, detail: String) -> Self {
        Self { at, fault: failure.fault, connection: failure.connection, detail }
    }
}

impl Report {
    /// All failed requests.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Failed requests with this fault, on both kinds of connections.
    pub fn count(&self, fault: Fault) -> u64 {
        self.failures.iter().filter(|(failure, _)| failure.fault == fault).map(|(_, count)| count).sum()
    }

    /// Failed requests with this fault on this kind of connection.
    pub fn count_on(&self, fault: Fault, connection: Connection) -> u64 {
        self.failures.get(&Failure { fault, connection }).copied().unwrap_or(0)
    }

    /// At least one right answer and no failure. Late answers and idle closes are not failures.
    pub fn is_clean(&self) -> bool {
        self.ok > 0 && self.failed() == 0
    }

    /// The report as one JSON object; durations are milliseconds.
    ///
    /// # Panics
    /// Never: all keys are strings and all values have a form in JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a report has a form in JSON")
    }
}

fn failures<S: serde::Serializer>(failures: &BTreeMap<Failure, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(failures.len()))?;
    for (failure, count) in failures {
        map.serialize_entry(&failure.to_string(), count)?;
    }
    map.end()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, ok, late, unsent, .. } = self;
        let seconds = self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let per_second = *ok as f64 / seconds;
        writeln!(f, "requests     {sent} sent, {ok} ok ({per_second:.0}/s), {late} late, {unsent} unsent")?;
        match self.failed() {
            0 => writeln!(f, "failures     none")?,
            failed => {
                let classes: Vec<_> =
                    self.failures.iter().map(|(failure, count)| format!("{failure} {count}")).collect();
                writeln!(f, "failures     {failed}: {}", classes.join(", "))?;
            }
        }
        writeln!(f, "latency      {}", Line(self.latency))?;
        writeln!(f, "service      {}", Line(self.service))?;
        writeln!(f, "largest gap  {:.1?} at {:.3?}", self.largest_gap, self.largest_gap_at)?;
        let Self { connections, announced_closes, idle_closes, idle_resets, .. } = self;
        write!(
            f,
            "connections  {connections} opened; ended by the server: {announced_closes} as announced, \
             {idle_closes} idle, {idle_resets} idle by reset"
        )?;
        for (pid, server) in &self.servers {
            let Server { answers, first, last } = server;
            write!(f, "\npid {pid:<8} {answers} answers from {first:.3?} to {last:.3?}")?;
        }
        for Example { at, fault, connection, detail } in &self.examples {
            write!(f, "\nat {at:.3?}: {}/{}: {detail}", fault.name(), connection.name())?;
        }
        Ok(())
    }
}

struct Line(Quantiles);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles { p50, p90, p99, p99_9, max } = self.0;
        write!(f, "p50 {p50:.1?}  p90 {p90:.1?}  p99 {p99:.1?}  p99.9 {p99_9:.1?}  max {max:.1?}")
    }
}
