//! Plain data from which another book goes on: what is handed over while workers count.

use std::collections::BTreeMap;

use super::book::{Book, Limits, Page, Refused, Series};
use super::measure::Measure;
use crate::fleet::WorkerId;

/// One series of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesMemory {
    /// Of which service.
    pub service: String,
    /// Which.
    pub series: Series,
    /// What it means.
    pub help: String,
    /// What workers had that ended.
    pub past: Option<Measure>,
    /// What each has that lives.
    pub live: Vec<(WorkerId, Measure)>,
}

impl Book {
    /// What the next one needs to go on.
    pub fn memory(&self) -> Vec<SeriesMemory> {
        let pages = self.services.iter().flat_map(|(service, pages)| pages.iter().map(move |page| (service, page)));
        pages
            .map(|(service, (series, page))| SeriesMemory {
                service: service.clone(),
                series: series.clone(),
                help: self.help(service, &series.name).unwrap_or_default().to_owned(),
                past: page.past.clone(),
                live: page.live.iter().map(|(worker, value)| (*worker, value.clone())).collect(),
            })
            .collect()
    }

    /// Goes on from where another was. A worker that ended meanwhile has to be told.
    pub fn restore(memory: Vec<SeriesMemory>, refused: BTreeMap<(String, Refused), u64>, limits: Limits) -> Self {
        let mut book = Self::new(limits);
        book.refused = refused;
        for SeriesMemory { service, series, help, past, live } in memory {
            let Some(kind) = past.iter().chain(live.iter().map(|(_, value)| value)).map(Measure::kind).next() else {
                continue;
            };
            if !help.is_empty() {
                book.help.insert((service.clone(), series.name.clone()), help);
            }
            let page = Page { kind, live: live.into_iter().collect(), past };
            book.services.entry(service).or_default().insert(series, page);
        }
        book
    }
}
