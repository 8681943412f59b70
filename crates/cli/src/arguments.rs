//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps a crew of worker processes working.
#[derive(Debug, Parser)]
#[command(name = "evercrew", version, max_term_width = 100)]
#[command(after_help = "Start with `evercrew up`, look with `evercrew status`, stop with `evercrew down`.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE", default_value = "evercrew.toml")]
    pub(crate) config: PathBuf,
    /// The engine's directory, instead of the file's `engine.directory`
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Set a key of the configuration: service.web.workers=2
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Give up after this long: 500ms, 30s, 1h
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// When to print colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// When to print colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything, in the foreground; Ctrl-C stops it
    Up,
    /// Stop everything; returns when the engine is gone
    Down {
        /// Without grace
        #[arg(long)]
        now: bool,
    },
    /// Show services and workers; 0 when all is well, 1 when not, 3 when no engine runs
    #[command(visible_alias = "ps")]
    Status {
        /// Services or workers: web, web.2
        names: Vec<String>,
    },
    /// Wait until services are ready, and for the engine to appear
    Wait {
        /// Wait for readiness (the only thing there is to wait for)
        #[arg(long, required = true)]
        ready: bool,
        /// Services; all if none is named
        names: Vec<String>,
    },
    /// Replace workers one by one, each by a ready one; starts a stopped service
    Restart {
        /// Services or workers: web, web.2
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Change how many workers services have: web=4, web=+1, web=-1
    Scale {
        /// NAME=N, NAME=+N or NAME=-N
        #[arg(required = true, value_name = "NAME=N")]
        targets: Vec<String>,
    },
    /// Start stopped or failed services
    Start {
        /// Services
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Stop services until `start`
    Stop {
        /// Services
        #[arg(required = true)]
        names: Vec<String>,
        /// Without grace
        #[arg(long)]
        now: bool,
    },
    /// Show what happened, or follow it
    Events {
        /// Go on as events happen
        #[arg(short, long)]
        follow: bool,
        /// From this number on
        #[arg(long, value_name = "N")]
        since: Option<u64>,
    },
    /// Check the configuration; 0 or 78
    Check,
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        question: Configuration,
    },
    /// Print the JSON schema of the configuration file, for editors
    Schema,
    /// Print the version
    Version,
}

/// What to know of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Configuration {
    /// Print what every key comes to, defaults included
    Show {
        /// Say where each value comes from: a file and line, the environment, --set, or the default
        #[arg(long)]
        origin: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    evercrew_config::parse_duration(text)
}
