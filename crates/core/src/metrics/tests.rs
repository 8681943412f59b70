//! What is told and what it amounts to.

use std::collections::BTreeMap;

use super::*;
use crate::fleet::WorkerId;

fn book() -> Book {
    Book::new(Limits { series: 3, buckets: 4 })
}

fn series(name: &str) -> Series {
    Series { name: name.to_owned(), labels: BTreeMap::new() }
}

fn tell(book: &mut Book, worker: u64, name: &str, value: Measure) -> Result<(), Refused> {
    book.tell("web", WorkerId(worker), Told { series: series(name), help: "", value })
}

fn value(book: &Book, name: &str) -> Option<Measure> {
    book.merged().into_iter().find(|(_, of, _)| of.name == name).map(|(.., merged)| merged.value)
}

fn histogram(buckets: &[(f64, u64)], sum: f64, count: u64) -> Measure {
    Measure::Histogram(Histogram { buckets: buckets.to_vec(), sum, count })
}

#[test]
fn a_counter_never_goes_backwards_whoever_ends_or_begins_anew() {
    let mut book = book();
    let mut last = 0.0;
    // 5 + 7, one ends, its successor counts from 0, the other begins anew in the same process.
    for (worker, count, sum) in [(1, 5.0, 5.0), (2, 7.0, 12.0), (3, 1.0, 13.0), (2, 2.0, 15.0), (3, 4.0, 18.0)] {
        if worker == 3 {
            book.gone(WorkerId(1));
        }
        tell(&mut book, worker, "a_total", Measure::Counter(count)).expect("taken");
        let now = value(&book, "a_total");
        assert_eq!(now, Some(Measure::Counter(sum)));
        assert!(sum >= last);
        last = sum;
    }
    book.gone(WorkerId(2));
    book.gone(WorkerId(3));
    assert_eq!(value(&book, "a_total"), Some(Measure::Counter(18.0)), "nobody lives, and it stays");
    assert!(book.tellers().is_empty());
}

#[test]
fn gauges_are_merged_by_their_rule_among_those_that_live() {
    for (rule, amounts) in [(Rule::Sum, 6.0), (Rule::Max, 4.0), (Rule::Min, 2.0), (Rule::Mean, 3.0)] {
        let mut book = book();
        for (worker, amount) in [(1, 100.0), (2, 2.0), (3, 4.0)] {
            tell(&mut book, worker, "g", Measure::Gauge(amount, rule)).expect("taken");
        }
        book.gone(WorkerId(1));
        assert_eq!(value(&book, "g"), Some(Measure::Gauge(amounts, rule)));
        book.gone(WorkerId(2));
        book.gone(WorkerId(3));
        assert_eq!(value(&book, "g"), None);
    }
}

#[test]
fn histograms_are_added_bound_by_bound() {
    let mut book = book();
    tell(&mut book, 1, "h", histogram(&[(0.1, 1), (1.0, 3)], 2.0, 4)).expect("taken");
    tell(&mut book, 2, "h", histogram(&[(0.1, 2), (0.5, 2), (1.0, 5)], 3.0, 5)).expect("taken");
    let sum = histogram(&[(0.1, 3), (0.5, 3), (1.0, 8)], 5.0, 9);
    assert_eq!(value(&book, "h"), Some(sum.clone()));
    book.gone(WorkerId(1));
    assert_eq!(value(&book, "h"), Some(sum));
    tell(&mut book, 2, "h", histogram(&[(0.1, 0), (1.0, 1)], 0.7, 1)).expect("taken");
    assert_eq!(value(&book, "h"), Some(histogram(&[(0.1, 3), (0.5, 3), (1.0, 9)], 5.7, 10)));
    let mut own = Histogram { buckets: vec![(1.0, 0), (2.0, 0)], ..Histogram::default() };
    own.observe(1.5);
    own.observe(9.0);
    assert_eq!(own, Histogram { buckets: vec![(1.0, 0), (2.0, 1)], sum: 10.5, count: 2 });
}

#[test]
fn what_cannot_be_is_refused_and_counted() {
    let mut book = book();
    for name in ["", "1a", "a-b", "a b", &"x".repeat(129)] {
        assert_eq!(tell(&mut book, 1, name, Measure::Counter(1.0)), Err(Refused::Name), "{name}");
    }
    for wrong in [
        Measure::Counter(-1.0),
        Measure::Counter(f64::NAN),
        Measure::Gauge(f64::INFINITY, Rule::Sum),
        histogram(&[(2.0, 1), (1.0, 2)], 1.0, 2),
        histogram(&[(1.0, 2), (2.0, 1)], 1.0, 2),
        histogram(&[(1.0, 3)], 1.0, 2),
        histogram(&[(1.0, 0), (2.0, 0), (3.0, 0), (4.0, 0), (5.0, 0)], 1.0, 2),
    ] {
        assert_eq!(tell(&mut book, 1, "a", wrong.clone()), Err(Refused::Value), "{wrong:?}");
    }
    let labels = BTreeMap::from([("worker".to_owned(), "x".to_owned())]);
    let ours = Series { name: "a".to_owned(), labels };
    let told = Told { series: ours, help: "", value: Measure::Counter(1.0) };
    assert_eq!(book.tell("web", WorkerId(1), told), Err(Refused::Name));
    for name in ["a", "b", "c"] {
        tell(&mut book, 1, name, Measure::Counter(1.0)).expect("taken");
    }
    assert_eq!(tell(&mut book, 1, "d", Measure::Counter(1.0)), Err(Refused::TooMany));
    assert_eq!(tell(&mut book, 2, "a", Measure::Gauge(1.0, Rule::Sum)), Err(Refused::Kind));
    let counted: u64 = book.refused().values().sum();
    assert_eq!(counted, 5 + 7 + 1 + 1 + 1);
    book.forget(|_| false);
    assert!(book.merged().is_empty() && book.refused().is_empty());
}

#[test]
fn a_series_that_a_worker_drops_is_gone_with_the_last_one_and_makes_room() {
    let mut book = book();
    for (worker, name) in [(1, "a"), (2, "a"), (1, "b"), (1, "c")] {
        tell(&mut book, worker, name, Measure::Counter(1.0)).expect("taken");
    }
    book.drop_series("web", WorkerId(1), &series("a"));
    assert_eq!(value(&book, "a"), Some(Measure::Counter(2.0)), "another worker has it");
    book.drop_series("web", WorkerId(3), &series("b"));
    book.drop_series("api", WorkerId(1), &series("b"));
    book.drop_series("web", WorkerId(1), &series("d"));
    assert_eq!(value(&book, "b"), Some(Measure::Counter(1.0)), "no worker of it had one");
    book.drop_series("web", WorkerId(1), &series("b"));
    assert_eq!(value(&book, "b"), None);
    tell(&mut book, 1, "d", Measure::Counter(1.0)).expect("there is room");
}
