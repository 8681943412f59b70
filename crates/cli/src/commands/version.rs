//! `version`.

use clap::Args;
use serde_json::json;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Print the version
#[derive(Debug, Args)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        if global.json {
            print_json(&json!({"version": version}))?;
        } else {
            print(&format!("evercrew {version}\n"))?;
        }
        Ok(0)
    }
}
