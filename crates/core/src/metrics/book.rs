//! Every series of every service.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{Histogram, Measure, Rule};
use crate::fleet::WorkerId;

/// How much is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series of one service.
    pub series: usize,
    /// Buckets of a histogram.
    pub buckets: usize,
}

/// What tells a series from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What tells it apart from others of that name.
    pub labels: BTreeMap<String, String>,
}

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// Not a name or label by Prometheus' rules, or one of ours.
    Name,
    /// There is no such value: a counter below zero, a bucket below the one before.
    Value,
    /// Another worker of the service has one of that name with another kind.
    Kind,
    /// The service has too many series already.
    TooMany,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Name, Self::Value, Self::Kind, Self::TooMany];

    /// As programs read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Value => "value",
            Self::Kind => "kind",
            Self::TooMany => "too-many",
        }
    }
}

/// How far a worker says that one of its series is.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'a> {
    /// Which one.
    pub series: Series,
    /// What it means, for people; empty where that is not said.
    pub help: &'a str,
    /// All of it since the worker began.
    pub value: Measure,
}

/// What all workers of a service have of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// All together.
    pub value: Measure,
    /// Each that lives.
    pub workers: BTreeMap<WorkerId, Measure>,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) kind: &'static str,
    pub(super) live: BTreeMap<WorkerId, Measure>,
    /// What workers had that ended, and what those had that began anew.
    pub(super) past: Option<Measure>,
}

/// Everything that workers count.
#[derive(Debug)]
pub struct Book {
    limits: Limits,
    pub(super) services: BTreeMap<String, BTreeMap<Series, Page>>,
    pub(super) help: BTreeMap<(String, String), String>,
    pub(super) refused: BTreeMap<(String, Refused), u64>,
}

impl Book {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, services: BTreeMap::new(), help: BTreeMap::new(), refused: BTreeMap::new() }
    }

    /// A worker tells how far one of its series is.
    ///
    /// # Errors
    /// Why that is not taken; it is counted.
    pub fn tell(&mut self, service: &str, worker: WorkerId, told: Told<'_>) -> Result<(), Refused> {
        let taken = self.take(service, worker, told);
        if let Err(why) = taken {
            *self.refused.entry((service.to_owned(), why)).or_default() += 1;
        }
        taken
    }

    fn take(&mut self, service: &str, worker: WorkerId, told: Told<'_>) -> Result<(), Refused> {
        let Told { series, help, value } = told;
        let own = |label: &String| is_label(label) && !matches!(label.as_str(), "service" | "worker" | "le");
        if !is_name(&series.name) || series.labels.len() > 16 || !series.labels.keys().all(own) {
            return Err(Refused::Name);
        }
        if !value.is_sound(self.limits.buckets) {
            return Err(Refused::Value);
        }
        let pages = self.services.entry(service.to_owned()).or_default();
        let of_name = pages.range(Series { name: series.name.clone(), labels: BTreeMap::new() }..).next();
        if of_name.is_some_and(|(known, page)| known.name == series.name && page.kind != value.kind()) {
            return Err(Refused::Kind);
        }
        if !pages.contains_key(&series) && pages.len() >= self.limits.series {
            return Err(Refused::TooMany);
        }
        if !help.is_empty() {
            let help = help.chars().take(200).collect();
            self.help.entry((service.to_owned(), series.name.clone())).or_insert(help);
        }
        let page = pages.entry(series).or_insert(Page { kind: value.kind(), live: BTreeMap::new(), past: None });
        if let Some(before) = page.live.get(&worker)
            && !value.follows(before)
        {
            let before = before.clone();
            page.bury(&before);
        }
        page.live.insert(worker, value);
        Ok(())
    }

    /// A worker ended: what it counted stays in the sums, how it stood does not.
    pub fn gone(&mut self, worker: WorkerId) {
        for pages in self.services.values_mut() {
            for page in pages.values_mut() {
                if let Some(last) = page.live.remove(&worker) {
                    page.bury(&last);
                }
            }
            pages.retain(|_, page| !page.live.is_empty() || page.past.is_some());
        }
    }

    /// A worker has this series no more. What it counted there is forgotten when no other worker of the service has it.
    pub fn drop_series(&mut self, service: &str, worker: WorkerId, series: &Series) {
        let Some(pages) = self.services.get_mut(service) else { return };
        let Some(page) = pages.get_mut(series) else { return };
        if let Some(last) = page.live.remove(&worker) {
            page.bury(&last);
            if page.live.is_empty() {
                pages.remove(series);
            }
        }
    }

    /// A service is no more.
    pub fn forget(&mut self, is_known: impl Fn(&str) -> bool) {
        self.services.retain(|service, _| is_known(service));
        self.help.retain(|(service, _), _| is_known(service));
        self.refused.retain(|(service, _), _| is_known(service));
    }

    /// Every series of every service.
    pub fn merged(&self) -> Vec<(&str, &Series, Merged)> {
        let pages = self.services.iter().flat_map(|(service, pages)| pages.iter().map(move |page| (service, page)));
        pages.filter_map(|(service, (series, page))| Some((service.as_str(), series, page.merged()?))).collect()
    }

    /// What a series means.
    pub fn help(&self, service: &str, name: &str) -> Option<&str> {
        self.help.get(&(service.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Who has told anything.
    pub fn tellers(&self) -> BTreeSet<WorkerId> {
        self.services.values().flat_map(|pages| pages.values()).flat_map(|page| page.live.keys().copied()).collect()
    }

    /// How many values of each service were not taken.
    pub fn refused(&self) -> &BTreeMap<(String, Refused), u64> {
        &self.refused
    }
}

impl Page {
    fn bury(&mut self, last: &Measure) {
        let sum = match (self.past.take(), last) {
            (Some(Measure::Counter(past)), Measure::Counter(value)) => Some(Measure::Counter(past + value)),
            (Some(Measure::Histogram(mut past)), Measure::Histogram(value)) => {
                past.add(value);
                Some(Measure::Histogram(past))
            }
            (None, Measure::Counter(_) | Measure::Histogram(_)) => Some(last.clone()),
            (past, _) => past,
        };
        self.past = sum;
    }

    fn merged(&self) -> Option<Merged> {
        let all = || self.past.iter().chain(self.live.values());
        let value = match all().next()? {
            Measure::Counter(_) => {
                let value = |measure: &Measure| if let Measure::Counter(value) = measure { *value } else { 0.0 };
                Measure::Counter(all().map(value).sum())
            }
            Measure::Histogram(_) => {
                let mut sum = Histogram::default();
                for measure in all() {
                    if let Measure::Histogram(histogram) = measure {
                        sum.add(histogram);
                    }
                }
                Measure::Histogram(sum)
            }
            Measure::Gauge(_, rule) => Measure::Gauge(self.gauge(*rule), *rule),
        };
        Some(Merged { value, workers: self.live.clone() })
    }

    fn gauge(&self, rule: Rule) -> f64 {
        let values =
            || self.live.values().filter_map(|m| if let Measure::Gauge(value, _) = m { Some(*value) } else { None });
        match rule {
            Rule::Sum => values().sum(),
            Rule::Max => values().fold(f64::NEG_INFINITY, f64::max),
            Rule::Min => values().fold(f64::INFINITY, f64::min),
            Rule::Mean => values().sum::<f64>() / values().count().max(1) as f64,
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 128 && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') && {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    }
}

fn is_label(name: &str) -> bool {
    is_name(name) && !name.contains(':') && !name.starts_with("__")
}
