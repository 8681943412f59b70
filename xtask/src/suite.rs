//! All tests.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::programs;
use crate::stage::{cargo, run, stage};

/// Installs the programs under test, builds the binary that the end-to-end tests start, and becomes the test runner:
/// what it prints last is the last line of this task. `arguments` are the runner's.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    stage("programs under test", programs::install)?;
    stage("binary", || run(cargo()?.args(["build", "--package", "evercrew-cli", "--bins", "--locked"])))?;
    let mut runner = cargo()?;
    if has_nextest()? {
        runner.args(["nextest", "run", "--workspace", "--locked"]).args(arguments);
    } else {
        runner.args(["test", "--workspace", "--locked"]).args(arguments);
    }
    println!("== tests");
    let failed = runner.exec();
    Err(failed).with_context(|| format!("starting {runner:?}"))
}

/// The promises at their full volume: what continuous integration runs a tenth of.
pub(crate) fn long(arguments: &[String]) -> Result<()> {
    stage("programs under test", programs::install)?;
    let mut runner = cargo()?;
    let packages = ["--package", "evercrew-cli", "--package", "evercrew-sim", "--release", "--locked"];
    runner.arg("test").args(packages).args(["--", "--test-threads=1"]).args(arguments);
    runner.env("EVERCREW_LONG", "1").env("EVERCREW_SIM_SEEDS", "20000");
    println!("== tests at full volume");
    let failed = runner.exec();
    Err(failed).with_context(|| format!("starting {runner:?}"))
}

fn has_nextest() -> Result<bool> {
    let mut probe = cargo()?;
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(probe.status().is_ok_and(|status| status.success()))
}
