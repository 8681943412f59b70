//! What the server counts, told to the engine.

use std::collections::BTreeSet;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{Set, Totals};
use evercrew_wire::command_pipe::{MAX_WRITTEN, Measure, Metric, Metrics};

use crate::figures;
use crate::pipe::Pipe;
use crate::server::Server;

/// Between two reports, where something has changed or a job waits.
const PERIOD: Duration = Duration::from_secs(5);
/// Between two reports in any case: a manager that is new knows nothing of the last one.
const AGAIN: Duration = Duration::from_secs(30);

/// What was told last, and when.
#[derive(Debug, Default)]
pub(crate) struct Report {
    told: Option<(Mono, Mark)>,
    /// Ages grow while a job waits.
    grows: bool,
    due: Option<Mono>,
    /// Series that may be gone by the next report.
    of_queues: BTreeSet<(String, String)>,
}

/// What changes whenever any figure but an age does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    totals: Totals,
    commands: u64,
    commits: u64,
    connections: u32,
    workers: usize,
}

impl Report {
    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Tells how the server stands, when that is due. What the engine does not take is left out: the next one says more.
    pub(crate) fn look(&mut self, server: &mut Server, pipe: &Pipe) {
        let mark = Mark {
            totals: server.core.totals(),
            commands: server.count.commands,
            commits: server.count.commits,
            connections: server.sessions.count(),
            workers: server.core.consumer_count(),
        };
        let due = match &self.told {
            None => server.now,
            Some((at, told)) => at.after(if self.grows || *told != mark { PERIOD } else { AGAIN }),
        };
        if due > server.now {
            self.due = Some(due);
            return;
        }
        self.grows = server.core.size(Set::Enqueued) > 0;
        self.told = Some((server.now, mark));
        self.due = Some(server.now.after(if self.grows { PERIOD } else { AGAIN }));
        for line in self.lines(figures::figures(server)) {
            let _ = pipe.tell(line);
        }
    }

    /// All of it in lines that fit, with those that were there and are gone.
    fn lines(&mut self, mut metrics: Vec<Metric>) -> Vec<Metrics> {
        let is_of_queue = |metric: &Metric| Some((metric.name.clone(), metric.labels.get("queue")?.clone()));
        let of_queues: BTreeSet<_> = metrics.iter().filter_map(is_of_queue).collect();
        for (name, queue) in self.of_queues.difference(&of_queues) {
            let labels = [("queue".to_owned(), queue.clone())].into();
            metrics.push(Metric { name: name.clone(), labels, help: String::new(), value: Measure::Gone });
        }
        self.of_queues = of_queues;
        let mut lines: Vec<Metrics> = Vec::new();
        let mut room = 0;
        for metric in metrics {
            let size = serde_json::to_string(&metric).map_or(0, |text| text.len() + 1);
            if size > room {
                lines.push(Metrics { metrics: Vec::new() });
                room = MAX_WRITTEN - 64;
            }
            room = room.saturating_sub(size);
            if let Some(line) = lines.last_mut() {
                line.metrics.push(metric);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use evercrew_wire::command_pipe::json_line;

    use super::*;

    #[test]
    fn many_queues_are_told_in_lines_that_fit_and_those_that_went_are_told_gone() {
        let depth = |number: usize| Metric {
            name: "evercrew_queue_depth".to_owned(),
            labels: [("queue".to_owned(), format!("{number:0>200}"))].into(),
            help: "Jobs that wait in a queue".to_owned(),
            value: Measure::Gauge { value: 1.0, merge: None },
        };
        let mut report = Report::default();
        let lines = report.lines((0..400).map(depth).collect());
        assert!(lines.len() > 1 && lines.iter().all(|line| json_line(line).len() <= MAX_WRITTEN));
        assert_eq!(lines.iter().map(|line| line.metrics.len()).sum::<usize>(), 400);
        let lines = report.lines((0..399).map(depth).collect());
        let gone: Vec<&Metric> =
            lines.iter().flat_map(|line| &line.metrics).filter(|metric| metric.value == Measure::Gone).collect();
        assert_eq!((gone.len(), &gone[0].labels), (1, &depth(399).labels));
        assert!(report.lines(Vec::new()).iter().flat_map(|line| &line.metrics).count() == 399);
    }
}
