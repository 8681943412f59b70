//! `check`: is the configuration right?

use clap::Args;
use serde_json::json;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::up;

/// Check the configuration; 0 or 78
#[derive(Debug, Args)]
pub(crate) struct Check {}

impl Check {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let (source, settings) = up::read_configuration(global)?;
        let (services, listeners) = (settings.services.len(), settings.listeners.len());
        if global.json {
            print_json(&json!({"ok": true, "file": source.path, "services": services, "listeners": listeners}))?;
        } else {
            print(&format!("{}: ok (services: {services}, listeners: {listeners})\n", source.path.display()))?;
        }
        Ok(0)
    }
}
