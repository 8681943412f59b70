//! What a worker counts, told to the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use evercrew_wire::command_pipe::{Measure, Metric};
use tokio::time::{MissedTickBehavior, interval};

use crate::context::Context;
use crate::http::Figures;

/// Between two reports, where something has changed.
const PERIOD: Duration = Duration::from_secs(5);

/// Tells how connections and requests stand, whenever that has changed; for ever. A report that the engine does not take
/// is left out: the next one says more.
pub(crate) async fn tell(context: Context) {
    let mut told = Figures::default();
    let mut times = interval(PERIOD);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let Some(pipe) = context.pipe() else { return };
        let figures = context.figures();
        if figures != told && pipe.metrics(metrics(&figures)).is_ok() {
            told = figures;
        }
    }
}

fn metrics(figures: &Figures) -> Vec<Metric> {
    let counter = |name, help, count| metric(name, &[], help, Measure::Counter { value: float(count) });
    let gauge = |name, help, count| metric(name, &[], help, Measure::Gauge { value: float(count), merge: None });
    let mut metrics = vec![
        gauge("http_connections", "Open connections", figures.connections),
        counter("http_connections_total", "Connections that were accepted", figures.accepted),
        gauge("http_requests_in_flight", "Requests that are not answered to the last byte", figures.busy),
        counter("http_requests_total", "Requests that a service has seen", figures.requests),
    ];
    for (class, count) in figures.answers.iter().enumerate() {
        let class = format!("{}xx", class + 1);
        let value = Measure::Counter { value: float(*count) };
        metrics.push(metric("http_answers_total", &[("class", &class)], "Answers by class of status", value));
    }
    for (reason, count) in &figures.refused {
        let value = Measure::Counter { value: float(*count) };
        metrics.push(metric("http_refused_total", &[("reason", reason)], "Requests that were refused", value));
    }
    metrics
}

fn metric(name: &str, labels: &[(&str, &str)], help: &str, value: Measure) -> Metric {
    let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Metric { name: name.to_owned(), labels, help: help.to_owned(), value }
}

/// Counts above 2^53 lose their last digits.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_is_told_once() {
        let figures = Figures { requests: 7, refused: vec![("head_size", 2)], ..Figures::default() };
        let metrics = metrics(&figures);
        let mut series: Vec<_> = metrics.iter().map(|metric| (&metric.name, &metric.labels)).collect();
        series.sort();
        series.dedup();
        assert_eq!(series.len(), metrics.len());
        let requests = metrics.iter().find(|metric| metric.name == "http_requests_total").expect("it is told");
        assert_eq!(requests.value, Measure::Counter { value: 7.0 });
    }
}
