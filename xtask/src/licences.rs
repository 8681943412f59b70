//! Whose code is built in: licences that may be, and the one place it comes from.

use anyhow::Result;

use crate::packages::{self, Package};
use crate::spdx;
use crate::stage::refuse;

/// Licences that ask for no more than to be named.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The registry that everything comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks the lock file as it is.
pub(crate) fn check() -> Result<()> {
    refuse(&findings(&packages::all()?))
}

fn findings(packages: &[Package]) -> Vec<String> {
    packages.iter().filter_map(finding).collect()
}

fn finding(package: &Package) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    match &package.source {
        None if package.license.as_deref() != Some("MIT OR Apache-2.0") => {
            return Some(format!("{name}: ours, but not `MIT OR Apache-2.0`"));
        }
        Some(source) if source != REGISTRY => return Some(format!("{name}: comes from {source}")),
        None | Some(_) => {}
    }
    let Some(expression) = &package.license else { return Some(format!("{name}: names no licence")) };
    match spdx::is_met(expression, &|licence| ALLOWED.contains(&licence)) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: `{expression}` is not on the list in xtask/src/licences.rs")),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: Option<&str>, license: Option<&str>) -> Option<String> {
        finding(&Package {
            name: "planted".to_owned(),
            version: "1.0.0".to_owned(),
            source: source.map(str::to_owned),
            license: license.map(str::to_owned),
            dependencies: Vec::new(),
        })
    }

    #[test]
    fn licences_on_the_list_pass() {
        assert_eq!(found(Some(REGISTRY), Some("MIT OR Apache-2.0")), None);
        assert_eq!(found(Some(REGISTRY), Some("GPL-3.0 OR MIT")), None);
        assert_eq!(found(None, Some("MIT OR Apache-2.0")), None);
    }

    #[test]
    fn everything_else_is_found() {
        let expect = |source, license, part: &str| {
            let found = found(source, license);
            assert!(found.as_ref().is_some_and(|found| found.contains(part)), "{found:?} has no `{part}`");
        };
        expect(Some(REGISTRY), Some("GPL-3.0"), "not on the list");
        expect(Some(REGISTRY), Some("MIT AND GPL-3.0"), "not on the list");
        expect(Some(REGISTRY), None, "names no licence");
        expect(Some("git+https://example.org/x"), Some("MIT"), "comes from git");
        expect(None, Some("GPL-3.0"), "ours");
    }
}
