//! `doctor`: is everything in place for an engine, here?

use clap::Args;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::doctor::{self, Finding, Grade};
use crate::failure::{Failure, code};
use crate::output::{print, print_json};

/// Look for what would keep an engine from working here; each line is ok, warn or fail with what to do
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let findings = doctor::examine(global);
        let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
        if global.json {
            let one =
                |f: &Finding| json!({"check": f.check, "grade": f.grade.name(), "found": f.found, "todo": f.todo});
            print_json(&json!({"ok": !failed, "checks": findings.iter().map(one).collect::<Value>()}))?;
        } else {
            let line = |f: &Finding| {
                let todo = f.todo.as_ref().map_or_else(String::new, |todo| format!("\n      {:<9} → {todo}", ""));
                format!("{:<5} {:<9} {}{todo}\n", f.grade.name(), f.check, f.found)
            };
            print(&findings.iter().map(line).collect::<String>())?;
        }
        Ok(if failed { code::FAILURE } else { 0 })
    }
}
