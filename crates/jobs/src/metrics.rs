//! Figures as Prometheus reads them.

use std::fmt::Write;

use evercrew_wire::command_pipe::{Measure, Metric};

/// These figures in the text format. Names of queues have no character that would have to be escaped.
pub(crate) fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut last = "";
    for metric in metrics {
        let Metric { name, labels, help, value } = metric;
        let kind = match value {
            Measure::Counter { .. } => "counter",
            Measure::Gauge { .. } => "gauge",
            Measure::Histogram { .. } => "histogram",
            Measure::Gone => continue,
        };
        if name != last {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            last = name;
        }
        let labels = |more: Option<String>| {
            let own = labels.iter().map(|(name, value)| format!("{name}=\"{value}\""));
            let all: Vec<String> = own.chain(more.map(|bound| format!("le=\"{bound}\""))).collect();
            if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
        };
        let _ = match value {
            Measure::Counter { value } | Measure::Gauge { value, .. } => {
                writeln!(text, "{name}{} {value}", labels(None))
            }
            Measure::Histogram { buckets, sum, count } => {
                for (bound, under) in buckets {
                    let _ = writeln!(text, "{name}_bucket{} {under}", labels(Some(bound.to_string())));
                }
                let _ = writeln!(text, "{name}_bucket{} {count}", labels(Some("+Inf".to_owned())));
                writeln!(text, "{name}_sum{} {sum}\n{name}_count{} {count}", labels(None), labels(None))
            }
            Measure::Gone => Ok(()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_name_is_described_once_and_each_sample_told() {
        let metric = |name: &str, queue: &str, value| Metric {
            name: name.to_owned(),
            labels: BTreeMap::from([("queue".to_owned(), queue.to_owned())]),
            help: "h".to_owned(),
            value,
        };
        let told = text(&[
            metric("a", "x", Measure::Gauge { value: 1.5, merge: None }),
            metric("a", "y", Measure::Gauge { value: 2.0, merge: None }),
            metric("b", "x", Measure::Histogram { buckets: vec![(0.5, 1)], sum: 3.0, count: 2 }),
        ]);
        let expected = "# HELP a h\n# TYPE a gauge\na{queue=\"x\"} 1.5\na{queue=\"y\"} 2\n# HELP b h\n# TYPE b histogram\n\
                        b_bucket{queue=\"x\",le=\"0.5\"} 1\nb_bucket{queue=\"x\",le=\"+Inf\"} 2\nb_sum{queue=\"x\"} 3\n\
                        b_count{queue=\"x\"} 2\n";
        assert_eq!(told, expected);
    }
}
