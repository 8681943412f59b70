//! Everything that continuous integration checks beside the tests.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::stage::{cargo, run, stage};
use crate::{arrows, licences, tidy};

/// One stage's work.
type Work = fn() -> Result<()>;

/// The stages, cheap ones first.
const STAGES: [(&str, Work); 9] = [
    ("format", || run(cargo()?.args(["fmt", "--all", "--check"]))),
    ("house-rules", tidy::check),
    ("arrows", arrows::check),
    ("licences", licences::check),
    ("deny", deny),
    ("lints", || run(cargo()?.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))),
    ("alone", || run(cargo()?.args(["clippy", "--package", "evercrew-jobs", "--locked", "--", "-D", "warnings"]))),
    ("documentation", || {
        run(cargo()?.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("doctests", || run(cargo()?.args(["test", "--workspace", "--doc", "--locked", "--quiet"]))),
];

/// Runs the stages named in `names`, or all of them; ends at the first that fails.
pub(crate) fn check(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !STAGES.iter().any(|(stage, _)| stage == name)) {
        let known: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        bail!("there is no stage `{unknown}`; there are {}", known.join(", "));
    }
    for (name, work) in STAGES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            stage(name, work)?;
        }
    }
    Ok(())
}

/// Duplicates and sources once more, by the tool made for it, where it is installed.
fn deny() -> Result<()> {
    let mut probe = cargo()?;
    probe.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        println!("SKIP deny: cargo-deny is not installed");
        return Ok(());
    }
    run(cargo()?.args(["deny", "--locked", "check", "bans", "licenses", "sources"]))
}
