//! What is counted, from one manager to the next: nothing goes backwards by an upgrade.

use std::collections::BTreeMap;

use evercrew_core::Mono;
use evercrew_core::fleet::{ExitReason, StopReason, WorkerId};
use evercrew_core::gather::Disregard;
use evercrew_core::metrics::{Book, Histogram, Limits, Measure, Refused, Rule, Series, SeriesMemory};
use evercrew_wire::command_pipe;
use evercrew_wire::handover::{Count, Figure, Figures};

use crate::calls;
use crate::exposition::Totals;
use crate::text;
use crate::verbs::Entry;

/// Why workers end.
const REASONS: [ExitReason; 10] = [
    ExitReason::Unasked,
    ExitReason::ReadyTimeout,
    ExitReason::Heartbeat,
    ExitReason::SpawnFailed,
    ExitReason::OutOfMemory,
    ExitReason::Asked(StopReason::Stop),
    ExitReason::Asked(StopReason::Scale),
    ExitReason::Asked(StopReason::Rollout),
    ExitReason::Asked(StopReason::Recycle),
    ExitReason::Asked(StopReason::RolledBack),
];

/// For the next manager.
pub(crate) fn hand_on(book: &Book, totals: &Totals, draining: &BTreeMap<WorkerId, Mono>) -> Figures {
    let figure = |memory: SeriesMemory| Figure {
        service: memory.service,
        name: memory.series.name,
        labels: memory.series.labels,
        help: memory.help,
        past: memory.past.as_ref().map(written),
        live: memory.live.iter().map(|(worker, value)| (worker.0, written(value))).collect(),
    };
    let counts = |counts: &BTreeMap<&'static str, u64>| {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let count = |service: &str, reason: &str, count: u64| Count {
        service: service.to_owned(),
        reason: reason.to_owned(),
        count,
    };
    let refused = book.refused().iter().map(|((service, why), times)| count(service, why.name(), *times));
    let of_services = |histograms: &BTreeMap<String, Histogram>| {
        histograms.iter().map(|(service, histogram)| (service.clone(), written_histogram(histogram))).collect()
    };
    Figures {
        series: book.memory().into_iter().map(figure).collect(),
        commands: counts(&totals.commands),
        disregarded: counts(&totals.disregarded),
        exits: totals.exits.iter().map(|((service, why), times)| count(service, why, *times)).collect(),
        refused: refused.collect(),
        drains: of_services(&totals.drains),
        lags: of_services(&totals.lags),
        draining: draining.iter().map(|(worker, since)| (worker.0, since.as_nanos())).collect(),
    }
}

/// From the manager before. Names that this one does not know are forgotten.
pub(crate) fn go_on(figures: Figures, limits: Limits) -> (Book, Totals, BTreeMap<WorkerId, Mono>) {
    let memory = |figure: Figure| SeriesMemory {
        service: figure.service,
        series: Series { name: figure.name, labels: figure.labels },
        help: figure.help,
        past: figure.past.and_then(read),
        live: figure.live.into_iter().filter_map(|(worker, value)| Some((WorkerId(worker), read(value)?))).collect(),
    };
    let refused = |count: Count| {
        let why = Refused::ALL.into_iter().find(|why| why.name() == count.reason)?;
        Some(((count.service, why), count.count))
    };
    let refused = figures.refused.into_iter().filter_map(refused).collect();
    let book = Book::restore(figures.series.into_iter().map(memory).collect(), refused, limits);
    let command = |(verb, count): (String, u64)| Some((Entry::named(&verb)?.name, count));
    let disregarded = |(why, count): (String, u64)| Some((disregard(&why)?, count));
    let exits = |exits: Count| Some(((exits.service, exit_reason(&exits.reason)?), exits.count));
    let histogram = |(service, measure)| match read(measure) {
        Some(Measure::Histogram(histogram)) => Some((service, histogram)),
        Some(Measure::Counter(_) | Measure::Gauge(..)) | None => None,
    };
    let totals = Totals {
        commands: figures.commands.into_iter().filter_map(command).collect(),
        disregarded: figures.disregarded.into_iter().filter_map(disregarded).collect(),
        exits: figures.exits.into_iter().filter_map(exits).collect(),
        drains: figures.drains.into_iter().filter_map(histogram).collect(),
        lags: figures.lags.into_iter().filter_map(histogram).collect(),
        ..Totals::default()
    };
    let draining = figures.draining.into_iter().map(|(worker, since)| (WorkerId(worker), Mono::from_nanos(since)));
    (book, totals, draining.collect())
}

/// The name of a reason that another manager knew.
fn exit_reason(name: &str) -> Option<&'static str> {
    REASONS.into_iter().map(text::exit_reason).find(|known| *known == name)
}

/// The name of why an answer changed nothing, that another manager knew.
fn disregard(name: &str) -> Option<&'static str> {
    let all = [Disregard::Late, Disregard::Foreign, Disregard::Unknown, Disregard::TooMuch];
    all.into_iter().map(calls::disregarded).find(|known| *known == name)
}

fn written(value: &Measure) -> command_pipe::Measure {
    match value {
        Measure::Counter(value) => command_pipe::Measure::Counter { value: *value },
        Measure::Gauge(value, rule) => {
            command_pipe::Measure::Gauge { value: *value, merge: Some(rule.name().to_owned()) }
        }
        Measure::Histogram(histogram) => written_histogram(histogram),
    }
}

fn written_histogram(histogram: &Histogram) -> command_pipe::Measure {
    let Histogram { buckets, sum, count } = histogram.clone();
    command_pipe::Measure::Histogram { buckets, sum, count }
}

/// What a worker wrote; `None` for one that it has no more.
pub(crate) fn read(value: command_pipe::Measure) -> Option<Measure> {
    Some(match value {
        command_pipe::Measure::Counter { value } => Measure::Counter(value),
        command_pipe::Measure::Gauge { value, merge } => {
            Measure::Gauge(value, merge.as_deref().and_then(Rule::named).unwrap_or_default())
        }
        command_pipe::Measure::Histogram { buckets, sum, count } => {
            Measure::Histogram(Histogram { buckets, sum, count })
        }
        command_pipe::Measure::Gone => return None,
    })
}

#[cfg(test)]
mod tests {
    use evercrew_core::metrics::Told;

    use super::*;

    const LIMITS: Limits = Limits { series: 8, buckets: 8 };

    #[test]
    fn whatever_was_counted_is_counted_on() {
        let mut book = Book::new(LIMITS);
        let series = |name: &str| Series { name: name.into(), labels: [("kind".to_owned(), "x".to_owned())].into() };
        let histogram = Histogram { buckets: vec![(0.1, 1), (1.0, 2)], sum: 0.7, count: 3 };
        for (worker, value) in [(1, 5.0), (2, 7.0)] {
            let tell = |book: &mut Book, name: &str, value| {
                let told = Told { series: series(name), help: "what it is", value };
                book.tell("web", WorkerId(worker), told).expect("it is taken");
            };
            tell(&mut book, "done_total", Measure::Counter(value));
            tell(&mut book, "length", Measure::Gauge(value, Rule::Max));
            tell(&mut book, "seconds", Measure::Histogram(histogram.clone()));
        }
        book.gone(WorkerId(1));
        let wrong = Told { series: series("not a name"), help: "", value: Measure::Counter(1.0) };
        assert_eq!(book.tell("web", WorkerId(2), wrong), Err(Refused::Name));
        let totals = Totals {
            commands: [("status", 3)].into(),
            disregarded: [("too-much", 4)].into(),
            exits: [(("web".to_owned(), "unasked"), 2)].into(),
            drains: [("web".to_owned(), histogram.clone())].into(),
            lags: [("web".to_owned(), histogram)].into(),
            ..Totals::default()
        };
        let draining = BTreeMap::from([(WorkerId(2), Mono::from_nanos(9))]);
        let figures = hand_on(&book, &totals, &draining);
        let (back, counted, drains) = go_on(figures.clone(), LIMITS);
        assert_eq!((back.memory(), back.refused()), (book.memory(), book.refused()));
        assert_eq!((&counted.commands, &counted.exits, &drains), (&totals.commands, &totals.exits, &draining));
        assert_eq!((&counted.drains, &counted.lags), (&totals.drains, &totals.lags));
        assert_eq!(counted.disregarded, totals.disregarded);
        assert_eq!(hand_on(&back, &counted, &drains), figures);
    }
}
