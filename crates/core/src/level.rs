//! How loud a line of a log is, and which lines a process writes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A level, quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every decision.
    Trace,
    /// What happens often.
    Debug,
    /// What happens.
    Info,
    /// Worth waking someone.
    Warn,
    /// Something is not as it should be.
    Error,
    /// It goes no further.
    Fatal,
}

impl Level {
    /// Every level, quietest first.
    pub const ALL: &'static [Self] = &[Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// `info`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The level of this name, in small letters.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.name() == name)
    }
}

/// The quietest level that a process writes; it may be set from any thread.
#[derive(Debug)]
pub struct Least(AtomicU8);

impl Least {
    /// Lines of this level and above.
    pub const fn new(level: Level) -> Self {
        Self(AtomicU8::new(level as u8))
    }

    /// Lines of this level and above from here on; gives the one before.
    pub fn set(&self, level: Level) -> Level {
        of(self.0.swap(level as u8, Relaxed))
    }

    /// The level.
    pub fn get(&self) -> Level {
        of(self.0.load(Relaxed))
    }
}

fn of(number: u8) -> Level {
    Level::ALL.get(usize::from(number)).copied().unwrap_or(Level::Fatal)
}

/// Levels by process: `info`, `info,web=debug,web.2=trace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of every process that has none of its own.
    all: Option<Level>,
    /// By the name of a process or service.
    each: BTreeMap<String, Level>,
}

impl Filter {
    /// The most names that may have a level of their own.
    const MOST: usize = 256;

    /// What a text says.
    ///
    /// # Errors
    /// The part of it that says nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, level) = part.split_once('=').map_or((None, part), |(name, level)| (Some(name.trim()), level));
            let level = Level::named(&level.trim().to_ascii_lowercase()).ok_or_else(|| part.to_owned())?;
            match name {
                None => filter.all = Some(level),
                Some("") => return Err(part.to_owned()),
                Some(_) if filter.each.len() >= Self::MOST => return Err(part.to_owned()),
                Some(name) => _ = filter.each.insert(name.to_owned(), level),
            }
        }
        if filter.is_empty() { Err(text.to_owned()) } else { Ok(filter) }
    }

    /// One level for everybody.
    pub fn of_all(level: Level) -> Self {
        Self { all: Some(level), each: BTreeMap::new() }
    }

    /// Whether it says nothing of anybody.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.is_empty()
    }

    /// The names that have a level of their own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.each.keys().map(String::as_str)
    }

    /// The level of everybody, where it says one.
    pub fn all(&self) -> Option<Level> {
        self.all
    }

    /// Takes over what `newer` says. A level of everybody takes the place of everybody's own.
    pub fn update(&mut self, newer: &Self) {
        if newer.all.is_some() {
            *self = newer.clone();
            return;
        }
        for (name, level) in &newer.each {
            if self.each.len() < Self::MOST || self.each.contains_key(name) {
                self.each.insert(name.clone(), *level);
            }
        }
    }

    /// The level of a process: its own, else its service's, else everybody's.
    pub fn of(&self, process: &str, service: Option<&str>) -> Option<Level> {
        let own = self.each.get(process).or_else(|| self.each.get(service?));
        own.copied().or(self.all)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.map(|level| level.name().to_owned());
        let each = self.each.iter().map(|(name, level)| format!("{name}={}", level.name()));
        f.write_str(&all.into_iter().chain(each).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_of_each_process_and_is_read_as_it_is_written() {
        let mut filter = Filter::parse(" INFO, web=debug,web.2 = trace").expect("a filter");
        assert_eq!(filter.to_string(), "info,web=debug,web.2=trace");
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter.clone()));
        let of = |filter: &Filter, process| filter.of(process, Some("web"));
        assert_eq!((of(&filter, "web.1"), of(&filter, "web.2")), (Some(Level::Debug), Some(Level::Trace)));
        assert_eq!(filter.of("manager", None), Some(Level::Info));
        filter.update(&Filter::parse("web.2=warn").expect("a filter"));
        assert_eq!(filter.to_string(), "info,web=debug,web.2=warn");
        filter.update(&Filter::parse("fatal").expect("a filter"));
        assert_eq!(filter.to_string(), "fatal");
        for (wrong, told) in [("loud", "loud"), ("web=loud", "web=loud"), ("=info", "=info"), ("", ""), (",", ",")] {
            assert_eq!(Filter::parse(wrong), Err(told.to_owned()), "{wrong}");
        }
        let many: Vec<String> = (0..300).map(|n| format!("a{n}=info")).collect();
        assert!(Filter::parse(&many.join(",")).is_err(), "there is a bound");
    }

    #[test]
    fn the_least_level_is_set_and_the_one_before_is_told() {
        let least = Least::new(Level::Info);
        assert_eq!((least.set(Level::Fatal), least.get()), (Level::Info, Level::Fatal));
    }
}
