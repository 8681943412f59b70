//! What a new configuration means for each service and listener of an engine that runs. Pure: it only compares.

use std::collections::BTreeMap;

use evercrew_config::{Change, Diff, Keys, Settings, diff};
use evercrew_core::fleet::Epoch;
use serde_json::{Value, json};

/// What becomes of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays as it is.
    Nothing,
    /// These keys hold at once; no worker is touched.
    Live(Vec<String>),
    /// Its workers are replaced for the keys of `roll`; those of `live` hold at once.
    Roll { roll: Vec<String>, live: Vec<String> },
    /// It is new.
    Add,
    /// It is stopped and forgotten.
    Remove,
}

/// What a new configuration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// By name: those of the new file in its order, then those that it has no more.
    pub(crate) services: Vec<(String, Fate)>,
    /// By name, those without a change left out.
    pub(crate) listeners: BTreeMap<String, Change>,
    /// Of `[engine]`.
    pub(crate) engine: Keys,
    /// Of `[log]`.
    pub(crate) hub: Keys,
    pub(crate) log: Keys,
}

/// Differences between a new configuration and those that workers were started with, each looked at once.
pub(crate) struct Differences<'a> {
    new: &'a Settings,
    seen: BTreeMap<Epoch, Diff>,
}

impl<'a> Differences<'a> {
    pub(crate) fn new(new: &'a Settings) -> Self {
        Self { new, seen: BTreeMap::new() }
    }

    /// What differs for a service from the configuration `old`, which its workers of this version were started with.
    pub(crate) fn of(&mut self, epoch: Epoch, old: &Settings, service: &str) -> Keys {
        let diff = self.seen.entry(epoch).or_insert_with(|| diff(old, self.new));
        match diff.services.get(service) {
            None => Keys::default(),
            Some(Change::Keys(keys)) => keys.clone(),
            // Not the same service: nothing of it can be kept.
            Some(Change::Added | Change::Removed) => Keys { roll: vec!["command".to_owned()], ..Keys::default() },
        }
    }
}

impl Plan {
    /// From the configuration in force to `new`. `runs` tells which version a service runs, with the configuration that
    /// this is from: one whose last rollout was stopped runs another than the one in force.
    pub(crate) fn new<'a>(
        current: &Settings,
        new: &Settings,
        runs: impl Fn(&str) -> Option<(Epoch, &'a Settings)>,
    ) -> Self {
        let changes = diff(current, new);
        let mut differences = Differences::new(new);
        let fate = |name: &str| {
            let change = changes.services.get(name);
            if change == Some(&Change::Added) {
                return Fate::Add;
            }
            let live = change.map(|change| change.keys().live).unwrap_or_default();
            let roll = match runs(name) {
                Some((epoch, old)) => differences.of(epoch, old, name).roll,
                None => change.map(|change| change.keys().roll).unwrap_or_default(),
            };
            match (roll.is_empty(), live.is_empty()) {
                (false, _) => Fate::Roll { roll, live },
                (true, false) => Fate::Live(live),
                (true, true) => Fate::Nothing,
            }
        };
        let mut fate = fate;
        let mut services: Vec<(String, Fate)> =
            new.services.iter().map(|service| (service.name.clone(), fate(&service.name))).collect();
        let gone = current.services.iter().filter(|service| new.service(&service.name).is_none());
        services.extend(gone.map(|service| (service.name.clone(), Fate::Remove)));
        Self { services, listeners: changes.listeners, engine: changes.engine, log: changes.log, hub: changes.hub }
    }

    /// Whether everything stays as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.engine.is_empty()
            && self.log.is_empty()
            && self.hub.is_empty()
            && self.listeners.is_empty()
            && self.services.iter().all(|(_, fate)| *fate == Fate::Nothing)
    }

    /// What cannot change while the engine runs, and what to do instead.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let fixed = self.engine.fixed.iter();
        fixed
            .map(|key| {
                format!(
                    "engine.{key} cannot change while the engine runs and stays as it is; `evercrew down`, then \
                     `evercrew up`, takes the new one"
                )
            })
            .collect()
    }

    /// For people: a line for each service, and for each listener that changes.
    pub(crate) fn lines(&self) -> Vec<String> {
        let with = |what: &str, keys: &[String]| format!("{what} ({})", keys.join(", "));
        let mut lines = Vec::new();
        if !self.engine.live.is_empty() {
            lines.push(format!("[engine]: {}", with("live", &self.engine.live)));
        }
        if !self.log.is_empty() {
            lines.push(format!("[log]: {}", with("live", &self.log.live)));
        }
        if !self.hub.is_empty() {
            lines.push(with("live", &self.hub.live));
        }
        for (name, change) in &self.listeners {
            let what = match change {
                Change::Added => "new".to_owned(),
                Change::Removed => "removed when nobody uses it any more".to_owned(),
                Change::Keys(keys) if keys.roll.is_empty() => with("live", &keys.live),
                Change::Keys(keys) => with("a new one", &keys.roll),
            };
            lines.push(format!("listener {name}: {what}"));
        }
        for (name, fate) in &self.services {
            let what = match fate {
                Fate::Nothing => "nothing".to_owned(),
                Fate::Live(keys) => with("live", keys),
                Fate::Roll { roll, live } if live.is_empty() => with("roll", roll),
                Fate::Roll { roll, live } => format!("{}, live ({})", with("roll", roll), live.join(", ")),
                Fate::Add => "start (new)".to_owned(),
                Fate::Remove => "stop (removed)".to_owned(),
            };
            lines.push(format!("{name}: {what}"));
        }
        lines
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let service = |(name, fate): &(String, Fate)| {
            let (change, roll, live) = match fate {
                Fate::Nothing => ("nothing", &[][..], &[][..]),
                Fate::Live(live) => ("live", &[][..], &live[..]),
                Fate::Roll { roll, live } => ("roll", &roll[..], &live[..]),
                Fate::Add => ("start", &[][..], &[][..]),
                Fate::Remove => ("stop", &[][..], &[][..]),
            };
            json!({"name": name, "change": change, "roll": roll, "live": live})
        };
        let listener = |(name, change): (&String, &Change)| {
            let change = match change {
                Change::Added => "new",
                Change::Removed => "removed",
                Change::Keys(keys) if keys.roll.is_empty() => "live",
                Change::Keys(_) => "moved",
            };
            json!({"name": name, "change": change})
        };
        json!({
            "services": self.services.iter().map(service).collect::<Vec<_>>(),
            "listeners": self.listeners.iter().map(listener).collect::<Vec<_>>(),
            "engine": {"live": self.engine.live, "fixed": self.engine.fixed},
            "log": {"live": self.log.live},
            "hub": {"live": self.hub.live},
        })
    }
}

#[cfg(test)]
mod tests {
    use evercrew_config::Source;

    use super::*;

    fn settings(text: &str) -> Settings {
        let source = Source::new("/etc/x.toml".into(), text.to_owned(), Vec::new(), std::iter::empty(), None);
        source.parse().expect("good")
    }

    fn web(keys: &str) -> Settings {
        settings(&format!("[service.web]\ncommand = [\"a\"]\n{keys}\n[service.db]\ncommand = [\"db\"]\n"))
    }

    fn fates(plan: &Plan) -> Vec<(&str, &Fate)> {
        plan.services.iter().map(|(name, fate)| (name.as_str(), fate)).collect()
    }

    #[test]
    fn what_is_live_touches_no_worker_and_what_is_not_named_stays() {
        let (old, new) = (web(""), web("workers = 3"));
        let plan = Plan::new(&old, &new, |_| Some((Epoch(1), &old)));
        assert_eq!(fates(&plan), [("web", &Fate::Live(vec!["workers".into()])), ("db", &Fate::Nothing)]);
        let same = Plan::new(&old, &old, |_| Some((Epoch(1), &old)));
        assert!(same.is_empty() && same.lines() == ["web: nothing", "db: nothing"]);
    }

    #[test]
    fn a_service_whose_rollout_was_stopped_is_tried_again() {
        let (first, second) = (web(""), web("umask = \"027\""));
        // The second is in force, and the workers still run the first.
        let plan = Plan::new(&second, &second, |_| Some((Epoch(1), &first)));
        assert_eq!(fates(&plan)[0], ("web", &Fate::Roll { roll: vec!["umask".into()], live: vec![] }));
        // Taking the change back leaves them as they are.
        assert!(
            fates(&Plan::new(&second, &first, |_| Some((Epoch(1), &first))))
                .iter()
                .all(|(_, fate)| **fate == Fate::Nothing)
        );
    }

    #[test]
    fn services_come_and_go() {
        let (old, new) = (web(""), settings("[service.api]\ncommand = [\"a\"]\n[service.web]\ncommand = [\"a\"]\n"));
        let plan = Plan::new(&old, &new, |name| old.service(name).map(|_| (Epoch(1), &old)));
        assert_eq!(fates(&plan), [("api", &Fate::Add), ("web", &Fate::Nothing), ("db", &Fate::Remove)]);
    }

    #[test]
    fn what_cannot_change_is_named_and_blocks_nothing() {
        let old = settings("[engine]\ndirectory = \"/a\"\n[service.web]\ncommand = [\"a\"]\n");
        let new = settings("[engine]\ndirectory = \"/b\"\n[service.web]\ncommand = [\"a\"]\nworkers = 2\n");
        let plan = Plan::new(&old, &new, |_| Some((Epoch(1), &old)));
        assert_eq!(fates(&plan), [("web", &Fate::Live(vec!["workers".into()]))]);
        assert!(plan.remarks().len() == 1 && plan.remarks()[0].contains("engine.directory"), "{:?}", plan.remarks());
    }
}
