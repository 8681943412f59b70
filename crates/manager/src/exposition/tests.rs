//! What a scraper gets.

use evercrew_core::metrics::{Limits, Rule, Series, Told};

use super::*;

fn seen(book: &Book) -> Seen {
    Seen {
        services: vec![("web".to_owned(), "ready", 2, 1, 3)],
        engine: vec![("manager", std::process::id())],
        workers: vec![Sight {
            service: "web".to_owned(),
            name: "web.1".to_owned(),
            pid: std::process::id(),
            uptime: 1.5,
            beat: Some(0.25),
            reports: Some(false),
        }],
        merged: Reported::of(book, |worker| format!("web.{}", worker.0)),
        totals: Totals { exits: [(("web".to_owned(), "oom"), 2)].into(), ..Totals::default() },
        generation: 1,
        revision: 1,
        clients: 0,
        followers: 0,
        calls: 0,
        looks: true,
    }
}

#[test]
fn each_family_is_whole_and_each_sample_a_line() {
    let mut book = Book::new(Limits { series: 9, buckets: 9 });
    let series = |name: &str, label: &str| Series {
        name: name.to_owned(),
        labels: [("route".to_owned(), label.to_owned())].into(),
    };
    book.tell(
        "web",
        WorkerId(1),
        Told { series: series("a_total", "x\"\\\n"), help: "what\nit is", value: Measure::Counter(2.0) },
    )
    .expect("taken");
    book.tell(
        "web",
        WorkerId(2),
        Told { series: series("a_total", "x\"\\\n"), help: "", value: Measure::Counter(3.0) },
    )
    .expect("taken");
    book.tell(
        "db",
        WorkerId(3),
        Told { series: series("a_total", ""), help: "", value: Measure::Gauge(1.0, Rule::Max) },
    )
    .expect("taken");
    let histogram = Histogram { buckets: vec![(0.5, 1), (f64::INFINITY, 2)], sum: 1.25, count: 2 };
    book.tell(
        "db",
        WorkerId(3),
        Told { series: series("h_seconds", "y"), help: "", value: Measure::Histogram(histogram) },
    )
    .expect("taken");
    let document = seen(&book).document();
    let text = document.text();
    for line in [
        "evercrew_service_workers_ready{service=\"web\"} 1",
        "evercrew_worker_exits_total{service=\"web\",reason=\"oom\"} 2",
        "evercrew_worker_beat_age_seconds{service=\"web\",worker=\"web.1\"} 0.25",
        "evercrew_worker_reports{service=\"web\",worker=\"web.1\"} 0",
        "h_seconds_bucket{service=\"db\",route=\"y\",le=\"0.5\"} 1",
        "h_seconds_bucket{service=\"db\",route=\"y\",le=\"+Inf\"} 2",
        "h_seconds_sum{service=\"db\",route=\"y\"} 1.25",
        "h_seconds_count{service=\"db\",route=\"y\"} 2",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    // One name has one kind: that of the first.
    assert_eq!(text.matches("# TYPE a_total").count(), 1);
    assert!(!text.contains("a_total{service=\"web\"") || !text.contains("a_total{service=\"db\""), "{text}");
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "a family is in two pieces: {names:?}");
    assert_eq!(document.json()["missing"], json!(["web.1"]));
}

#[test]
fn labels_and_help_are_escaped_and_workers_stand_beside_their_sum() {
    let mut book = Book::new(Limits { series: 9, buckets: 9 });
    let series = Series { name: "a_total".to_owned(), labels: [("r".to_owned(), "x\"\\\n".to_owned())].into() };
    book.tell("web", WorkerId(1), Told { series: series.clone(), help: "what\nit is", value: Measure::Counter(2.0) })
        .expect("taken");
    book.tell("web", WorkerId(2), Told { series, help: "", value: Measure::Counter(3.0) }).expect("taken");
    let document = seen(&book).document();
    let text = document.text();
    assert!(text.contains("# HELP a_total what\\nit is\n"), "{text}");
    assert!(text.contains("a_total{service=\"web\",r=\"x\\\"\\\\\\n\"} 5\n"), "{text}");
    let json = document.json();
    let family = json["families"].as_array().and_then(|all| all.iter().find(|family| family["name"] == "a_total"));
    assert_eq!(family.expect("it")["samples"][0]["workers"], json!({"web.1": 2.0, "web.2": 3.0}));
}

#[test]
fn how_evenly_siblings_accept_is_told_of_two_at_least_and_by_their_time() {
    let mut book = Book::new(Limits { series: 9, buckets: 9 });
    let mut tell = |worker: u64, count: f64| {
        let series = Series { name: "http_connections_total".to_owned(), labels: [].into() };
        book.tell("web", WorkerId(worker), Told { series, help: "", value: Measure::Counter(count) }).expect("taken");
    };
    tell(1, 300.0);
    tell(2, 10.0);
    let mut seen = seen(&book);
    assert!(!seen.document().text().contains("imbalance_ratio{"), "one alone is neither even nor uneven");
    let second = Sight { name: "web.2".to_owned(), uptime: 10.0, ..seen.workers[0].clone() };
    seen.workers[0].uptime = 100.0;
    seen.workers.push(second);
    let lags = Histogram { buckets: vec![(0.5, 1)], sum: 2.25, count: 2 };
    seen.totals.lags.insert("web".to_owned(), lags);
    let text = seen.document().text();
    for line in [
        // 3 and 1 a second.
        "evercrew_service_accept_imbalance_ratio{service=\"web\"} 1.5",
        "evercrew_worker_accepted_total{service=\"web\",worker=\"web.2\"} 10",
        "evercrew_worker_heartbeat_lag_seconds_bucket{service=\"web\",le=\"0.5\"} 1",
        "evercrew_worker_heartbeat_lag_seconds_sum{service=\"web\"} 2.25",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
}
