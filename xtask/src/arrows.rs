//! Which crate may depend on which: `evercrew → cli → {supervisor, manager, logger, worker, jobs, pool, control} → {config, wire, sys, store} → core`.

use anyhow::Result;

use crate::packages::{self, Dependency, Package};
use crate::stage::refuse;

/// The rings, innermost first. A crate may depend on crates of inner rings, never on one of its own ring.
const RINGS: [&[&str]; 5] = [
    &["evercrew-core"],
    &["evercrew-config", "evercrew-store", "evercrew-sys", "evercrew-wire"],
    &[
        "evercrew-control",
        "evercrew-jobs",
        "evercrew-logger",
        "evercrew-manager",
        "evercrew-pool",
        "evercrew-supervisor",
        "evercrew-worker",
    ],
    &["evercrew-cli"],
    &["evercrew"],
];

/// Crates that are no part of the product, and which of ours each may use. A ring may use them for its tests only.
const TOOLS: [(&str, &[&str]); 5] = [
    (
        "evercrew-benches",
        &[
            "evercrew",
            "evercrew-core",
            "evercrew-e2e",
            "evercrew-jobs",
            "evercrew-load",
            "evercrew-sys",
            "evercrew-worker",
        ],
    ),
    ("evercrew-e2e", &["evercrew-core", "evercrew-load", "evercrew-sys"]),
    ("evercrew-load", &[]),
    ("evercrew-sim", &["evercrew-core"]),
    ("xtask", &[]),
];

/// The feature that compiles in mistakes.
const FAULTS: &str = "planted-faults";

/// Arrows against the rings, each with its reason. Empty is best.
const ALLOWED: [(&str, &str, &str); 0] = [];

/// Crates of others that only these of ours may use, with the reason.
const RESERVED: [(&str, &[&str], &str); 3] = [
    ("anyhow", &["evercrew-cli", "evercrew-e2e", "evercrew-load", "xtask"], "a crate's errors are one type of its own"),
    ("clap", &["evercrew-cli", "evercrew-load"], "only the binary has a command line"),
    (
        "tokio",
        &[
            "evercrew",
            "evercrew-benches",
            "evercrew-cli",
            "evercrew-control",
            "evercrew-e2e",
            "evercrew-jobs",
            "evercrew-load",
            "evercrew-manager",
            "evercrew-worker",
        ],
        "the rings below and the supervisor have no async runtime",
    ),
];

/// Checks the workspace as it is.
pub(crate) fn check() -> Result<()> {
    refuse(&findings(&packages::all()?))
}

fn findings(packages: &[Package]) -> Vec<String> {
    let ours: Vec<&Package> = packages.iter().filter(|package| package.is_ours()).collect();
    let is_ours = |name: &str| ours.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for package in &ours {
        let from = package.name.as_str();
        if ring(from).is_none() && tool(from).is_none() {
            findings.push(format!("{from} is in no ring: give it its place in xtask/src/arrows.rs"));
            continue;
        }
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            if to == from {
                // A crate's tests turn on features of its own.
            } else if is_ours(to) {
                findings.extend(against_the_rings(from, to, dependency.is_dev));
                findings.extend(faulty(from, dependency));
            } else {
                if from == "evercrew-core" && !dependency.is_dev {
                    findings.push(format!("{from} → {to}: the decisions depend on nothing"));
                }
                findings.extend(reserved(from, to));
            }
        }
    }
    findings
}

/// Mistakes for checkers to find are compiled into tests and tools alone.
fn faulty(from: &str, dependency: &Dependency) -> Option<String> {
    let is_faulty = dependency.features.iter().any(|feature| feature == FAULTS);
    (is_faulty && !dependency.is_dev && tool(from).is_none())
        .then(|| format!("{from} → {}: the product has no {FAULTS}", dependency.name))
}

fn ring(name: &str) -> Option<usize> {
    RINGS.iter().position(|ring| ring.contains(&name))
}

fn tool(name: &str) -> Option<&'static [&'static str]> {
    TOOLS.iter().find(|(tool, _)| *tool == name).map(|(_, uses)| *uses)
}

fn against_the_rings(from: &str, to: &str, is_dev: bool) -> Option<String> {
    if ALLOWED.iter().any(|(a, b, _)| (*a, *b) == (from, to)) {
        return None;
    }
    match (tool(from), ring(from), ring(to)) {
        (Some(uses), _, _) if uses.contains(&to) => None,
        (Some(_), _, _) => Some(format!("{from} → {to}: this tool may not use it")),
        (None, Some(outer), Some(inner)) if inner < outer => None,
        (None, Some(outer), Some(inner)) if inner == outer => Some(format!("{from} → {to}: sideways")),
        (None, Some(_), Some(_)) => Some(format!("{from} → {to}: upward")),
        (None, _, _) if is_dev => None,
        (None, _, _) => Some(format!("{from} → {to}: the product uses no tool of the project")),
    }
}

fn reserved(from: &str, to: &str) -> Option<String> {
    let (_, users, reason) = RESERVED.iter().find(|(name, _, _)| *name == to)?;
    (!users.contains(&from)).then(|| format!("{from} → {to}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            source: (!name.starts_with("evercrew") && name != "xtask").then(|| "elsewhere".to_owned()),
            license: None,
            dependencies: dependencies
                .iter()
                .map(|dependency| {
                    let (name, is_dev) = match dependency.strip_prefix("dev:") {
                        Some(name) => (name, true),
                        None => (*dependency, false),
                    };
                    let (name, features) = match name.strip_suffix("+faults") {
                        Some(name) => (name, vec![FAULTS.to_owned()]),
                        None => (name, Vec::new()),
                    };
                    Dependency { name: name.to_owned(), is_dev, features }
                })
                .collect(),
        }
    }

    /// The product as it should be, with `planted` instead of the package of the same name.
    fn with(planted: Package) -> Vec<String> {
        let mut packages: Vec<Package> =
            RINGS.iter().flat_map(|ring| ring.iter()).map(|name| package(name, &[])).collect();
        packages.extend(TOOLS.iter().map(|(name, uses)| package(name, uses)));
        packages.retain(|package| package.name != planted.name);
        packages.push(planted);
        findings(&packages)
    }

    #[test]
    fn inward_arrows_are_allowed() {
        let cli = package("evercrew-cli", &["evercrew-manager", "evercrew-wire", "evercrew-core", "clap", "anyhow"]);
        assert_eq!(with(cli), Vec::<String>::new());
        assert_eq!(with(package("evercrew-core", &["dev:proptest"])), Vec::<String>::new());
        assert_eq!(with(package("evercrew-cli", &["dev:evercrew-e2e"])), Vec::<String>::new());
        assert_eq!(with(package("evercrew-cli", &["dev:evercrew-jobs+faults"])), Vec::<String>::new());
        assert_eq!(with(package("evercrew-sim", &["evercrew-core+faults"])), Vec::<String>::new());
    }

    #[test]
    fn every_other_arrow_is_found() {
        let planted = [
            ("evercrew-wire", "evercrew-manager", "upward"),
            ("evercrew-core", "evercrew-sys", "upward"),
            ("evercrew-manager", "evercrew-supervisor", "sideways"),
            ("evercrew-sys", "dev:evercrew-wire", "sideways"),
            ("evercrew-core", "serde", "the decisions depend on nothing"),
            ("evercrew-supervisor", "tokio", "no async runtime"),
            ("evercrew-manager", "anyhow", "one type of its own"),
            ("evercrew-manager", "evercrew-load", "no tool"),
            ("evercrew-sim", "evercrew-manager", "may not use it"),
            ("evercrew-cli", "evercrew-core+faults", "the product has no planted-faults"),
        ];
        for (from, to, expected) in planted {
            let found = with(package(from, &[to]));
            assert!(found.len() == 1 && found[0].contains(expected), "{from} → {to}: {found:?}");
        }
        let stranger = with(package("evercrew-new", &[]));
        assert!(stranger.len() == 1 && stranger[0].contains("in no ring"), "{stranger:?}");
    }
}
