//! The store of jobs as a file: looked through and copied.

use std::path::PathBuf;

use clap::Subcommand;
use evercrew_store::{Error, ErrorKind, Sqlite};
use serde_json::json;

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::{print_json, say};
use crate::queue_server::configured;

/// What to do with the file of `store` in `[queue]`.
#[derive(Debug, Subcommand)]
pub(crate) enum Keeping {
    /// Look at every byte of the store that is in use; no server may have it
    Check {
        /// The file of the store; that of the table `queue` in the configuration without it
        #[arg(value_name = "FILE")]
        store: Option<PathBuf>,
    },
    /// Copy the store to a file, also while the server runs
    Backup {
        /// A name that is free
        #[arg(value_name = "FILE")]
        to: PathBuf,
        /// The file of the store; that of the table `queue` in the configuration without it
        #[arg(long, value_name = "FILE")]
        store: Option<PathBuf>,
    },
}

impl Keeping {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        match self {
            Self::Check { store } => {
                let path = path(store.as_ref(), global)?;
                let jobs = Sqlite::check(&path).map_err(failure)?;
                if global.json {
                    print_json(&json!({ "store": path, "jobs": jobs, "outcome": "whole" }))?;
                } else {
                    say(format_args!("{} is whole: {jobs} jobs", path.display()));
                }
            }
            Self::Backup { to, store } => {
                let path = path(store.as_ref(), global)?;
                let jobs = Sqlite::backup(&path, to).map_err(failure)?;
                if global.json {
                    print_json(&json!({ "store": path, "copy": to, "jobs": jobs }))?;
                } else {
                    say(format_args!("copied: {jobs} jobs to {}", to.display()));
                }
            }
        }
        Ok(0)
    }
}

fn path(given: Option<&PathBuf>, global: &Global) -> Result<PathBuf, Failure> {
    let configured = || configured(global).and_then(|queue| queue.store);
    given.cloned().or_else(configured).ok_or_else(|| {
        Failure::new(code::USAGE, "which store is meant?")
            .hint("name its file, or a configuration with a table [queue] that has one")
    })
}

fn failure(error: Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::Locked => code::UNAVAILABLE,
        _ => code::FAILURE,
    };
    Failure::new(code, error.to_string())
}
