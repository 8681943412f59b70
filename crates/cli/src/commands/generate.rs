//! `generate`: files for other programs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::arguments::Global;
use crate::client::Engine;
use crate::failure::{Failure, code};
use crate::generated::{self, Command};
use crate::output::print;
use crate::up;

/// Print a file for another program
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A unit for systemd, for /etc/systemd/system/evercrew.service
    Systemd,
    /// A Deployment for Kubernetes, and a Service where something listens on TCP
    K8s,
    /// A configuration for logrotate, for /etc/logrotate.d
    Logrotate,
}

impl Generate {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let text = match self.what {
            What::Systemd => {
                let settings = up::read_settings(global)?;
                let file = absolute(&global.config)?;
                generated::systemd(&command(global, &file)?, &file, &settings)
            }
            What::K8s => {
                let file = absolute(&global.config)?;
                generated::kubernetes(&file.display().to_string(), &up::read_settings(global)?)
            }
            What::Logrotate => {
                let environment = evercrew_config::environment();
                let engine = Engine::of(global);
                let logs = evercrew_config::log_directory(&global.config, &global.set, environment, engine.directory());
                generated::logrotate(&logs.display().to_string())
            }
        };
        print(&text)?;
        Ok(0)
    }
}

/// This very binary with these very options.
fn command(global: &Global, file: &Path) -> Result<Command, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(code::FAILURE, format!("cannot find our own binary: {error}")))?;
    let mut options = vec!["-c".to_owned(), file.display().to_string()];
    if let Some(directory) = &global.directory {
        options.extend(["--directory".to_owned(), absolute(directory)?.display().to_string()]);
    }
    options.extend(global.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
    Ok(Command { program, options })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::new(code::FAILURE, format!("cannot tell where {} is: {error}", path.display())))
}
