//! What `cargo metadata` says of the packages.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::stage::cargo;

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where it comes from; nothing for a package of this workspace.
    pub(crate) source: Option<String>,
    /// Its licence expression.
    pub(crate) license: Option<String>,
    /// What it declares to depend on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One declared dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// Only for tests, examples and benches.
    pub(crate) is_dev: bool,
    /// What it asks for of that package.
    pub(crate) features: Vec<String>,
}

impl Package {
    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.source.is_none()
    }
}

/// Every package of the lock file, ours and others.
pub(crate) fn all() -> Result<Vec<Package>> {
    let output = cargo()?.args(["metadata", "--format-version", "1", "--locked"]).output().context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let dependencies = value["dependencies"].as_array().into_iter().flatten();
    Ok(Package {
        name: text("name").context("a package without a name")?,
        version: text("version").unwrap_or_default(),
        source: text("source"),
        license: text("license"),
        dependencies: dependencies
            .filter_map(|dependency| {
                let name = dependency["name"].as_str()?.to_owned();
                let features = dependency["features"].as_array().into_iter().flatten();
                let features = features.filter_map(|feature| feature.as_str().map(str::to_owned)).collect();
                Some(Dependency { name, is_dev: dependency["kind"].as_str() == Some("dev"), features })
            })
            .collect(),
    })
}
