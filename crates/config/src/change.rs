//! What a new configuration changes for an engine that runs with an old one.
//!
//! Both are written out as keys and values, and the table of keys says what a difference means. So a key that is new in
//! the table needs nothing here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::effective::effective;
use crate::key::{OnReload, Section};
use crate::keys;
use crate::queue;
use crate::settings::Settings;

/// What a new configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Keys of `[engine]`.
    pub engine: Keys,
    /// Keys of `[log]`. What they change for a service is among its own, too.
    pub log: Keys,
    /// Keys of `[control]` and `[metrics]`, with the table's name in front.
    pub hub: Keys,
    /// Listeners by name, those without a change left out.
    pub listeners: BTreeMap<String, Change>,
    /// Services by name, those without a change left out. A changed address of a listener is among the keys of every
    /// service that it is handed to.
    pub services: BTreeMap<String, Change>,
}

/// What becomes of a table with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none of this name.
    Added,
    /// There is none any more.
    Removed,
    /// These of its keys have other values.
    Keys(Keys),
}

/// Names of changed keys (`workers`, `env.MODE`, `listen.web.address`), by what their change means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// They hold at once; no worker is touched.
    pub live: Vec<String>,
    /// The workers are replaced.
    pub roll: Vec<String>,
    /// They cannot change while the engine runs.
    pub fixed: Vec<String>,
}

impl Keys {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.roll.is_empty() && self.fixed.is_empty()
    }

    fn add(&mut self, name: String, means: OnReload) {
        match means {
            OnReload::Live => self.live.push(name),
            OnReload::Roll => self.roll.push(name),
            OnReload::Fixed => self.fixed.push(name),
        }
    }
}

impl Change {
    /// Its keys; none for what is new or gone.
    pub fn keys(&self) -> Keys {
        match self {
            Self::Keys(keys) => keys.clone(),
            Self::Added | Self::Removed => Keys::default(),
        }
    }
}

/// What `new` changes for an engine that runs with `old`. Where a table stands in the file changes nothing.
pub fn diff(old: &Settings, new: &Settings) -> Diff {
    let (before, after) = (Tables::of(old), Tables::of(new));
    let mut diff = Diff { engine: changed(&before.engine, &after.engine, &keys::ENGINE), ..Diff::default() };
    diff.log = changed(&before.log, &after.log, &keys::LOG);
    diff.hub = changed(&before.hub, &after.hub, &keys::FILE);
    diff.listeners = named(&before.listeners, &after.listeners, &keys::LISTEN);
    diff.services = named(&before.services, &after.services, &keys::SERVICE);
    for service in &new.services {
        let was = old.service(&service.name);
        for listener in service.listen.iter().filter(|name| was.is_some_and(|was| was.listen.contains(name))) {
            let moved = diff.listeners.get(listener).map(|change| change.keys().roll).unwrap_or_default();
            let moved = moved.iter().map(|key| format!("listen.{listener}.{key}"));
            let moved: Vec<String> = moved.collect();
            if !moved.is_empty()
                && let Change::Keys(keys) =
                    diff.services.entry(service.name.clone()).or_insert_with(|| Change::Keys(Keys::default()))
            {
                keys.roll.extend(moved);
            }
        }
    }
    diff
}

type Values = BTreeMap<Vec<String>, Option<Json>>;

/// Keys and values, by table.
#[derive(Default)]
struct Tables {
    engine: Values,
    log: Values,
    hub: Values,
    listeners: BTreeMap<String, Values>,
    services: BTreeMap<String, Values>,
}

impl Tables {
    fn of(settings: &Settings) -> Self {
        let mut tables = Self::default();
        // What stands in an `env_file` is among the variables; which file it is changes nothing.
        for key in effective(settings, |_| None) {
            let mut names = key.key.into_iter();
            let table = names.next();
            let mut within = Vec::new();
            let values = match (table.as_deref(), &mut names) {
                (Some("listen"), names) => tables.listeners.entry(names.next().unwrap_or_default()).or_default(),
                (Some("service"), names) => tables.services.entry(names.next().unwrap_or_default()).or_default(),
                (Some("log"), _) => &mut tables.log,
                // It is what its service is started with.
                (Some("queue"), _) => {
                    within.push("queue".to_owned());
                    tables.services.entry(queue::NAME.to_owned()).or_default()
                }
                (Some(table @ ("control" | "metrics")), names) => {
                    let names = std::iter::once(table.to_owned()).chain(names).collect();
                    tables.hub.insert(names, key.value);
                    continue;
                }
                (Some(_) | None, _) => &mut tables.engine,
            };
            values.insert(within.into_iter().chain(names).collect(), key.value);
        }
        tables
    }
}

fn named(
    before: &BTreeMap<String, Values>,
    after: &BTreeMap<String, Values>,
    section: &'static Section,
) -> BTreeMap<String, Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let change = match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => {
                Some(changed(before, after, section)).filter(|keys| !keys.is_empty()).map(Change::Keys)
            }
            (Some(_), None) => Some(Change::Removed),
            (None, Some(_)) => Some(Change::Added),
            (None, None) => None,
        };
        Some((name.clone(), change?))
    });
    changes.collect()
}

fn changed(before: &Values, after: &Values, section: &'static Section) -> Keys {
    let names: BTreeSet<&Vec<String>> = before.keys().chain(after.keys()).collect();
    // A table that is switched off stands there as one key without a value, one that is on as its keys.
    let differs = |names: &&Vec<String>| before.get(*names) != after.get(*names);
    let changed: Vec<&Vec<String>> = names.into_iter().filter(differs).collect();
    let mut keys = Keys::default();
    for names in &changed {
        // Of a whole table that comes or goes its own name is enough.
        let is_within = changed.iter().any(|other| other.len() < names.len() && names.starts_with(other));
        if !is_within {
            keys.add(names.join("."), means(section, names));
        }
    }
    keys
}

/// What the table of keys says of a change of this one.
fn means(section: &'static Section, names: &[String]) -> OnReload {
    let Some((name, rest)) = names.split_first() else { return OnReload::Roll };
    let Some(key) = section.key(name) else { return OnReload::Roll };
    match key.shape.table().filter(|inner| rest.first().is_some_and(|name| inner.key(name).is_some())) {
        Some(inner) => means(inner, rest),
        None => key.on_reload,
    }
}

#[cfg(test)]
mod tests;
