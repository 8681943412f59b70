//! `config show`: what the configuration comes to.

use clap::{Args, Subcommand};

use crate::arguments::Global;
use crate::configuration;
use crate::failure::Failure;
use crate::output::print;

/// Look at the configuration
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    question: Question,
}

/// What to know of the configuration.
#[derive(Debug, Subcommand)]
enum Question {
    /// Print what every key comes to, defaults included
    Show {
        /// Say where each value comes from: a file and line, the environment, --set, or the default
        #[arg(long)]
        origin: bool,
    },
}

impl Config {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let Question::Show { origin } = self.question;
        print(&configuration::show(global, origin)?)?;
        Ok(0)
    }
}
