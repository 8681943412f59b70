//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::failure::Failure;

/// Keeps a crew of worker processes working.
#[derive(Debug, Parser)]
#[command(name = "evercrew", version, max_term_width = 100)]
#[command(
    after_help = "New here? `evercrew init` writes an example file, `evercrew up` starts what is in it. From another terminal:\n`evercrew \
                  status` shows it, `evercrew restart NAME` replaces it, `evercrew stop NAME` stops it, `evercrew down` ends all."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its name.
#[derive(Clone, Debug, Args)]
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

impl Global {
    /// What holds without any option.
    pub(crate) fn usual() -> Self {
        let config = PathBuf::from("evercrew.toml");
        Self { config, directory: None, set: Vec::new(), json: false, timeout: None, color: Color::Auto }
    }
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
    Up(commands::Up),
    Down(commands::Down),
    #[command(visible_alias = "ps")]
    Status(commands::Status),
    Wait(commands::Wait),
    Restart(commands::Restart),
    Reload(commands::Reload),
    Rollout(commands::Rollout),
    Upgrade(commands::Upgrade),
    Scale(commands::Scale),
    Start(commands::Start),
    Stop(commands::Stop),
    Signal(commands::Signal),
    Run(commands::Run),
    Events(commands::Events),
    Call(commands::Call),
    Metrics(commands::Metrics),
    Logs(commands::Logs),
    Top(commands::Top),
    LogLevel(commands::LogLevel),
    Dump(commands::Dump),
    Jobs(commands::Jobs),
    Queues(commands::Queues),
    Workers(commands::Workers),
    Check(commands::Check),
    Config(commands::Config),
    Schema(commands::Schema),
    Version(commands::Version),
    Healthcheck(commands::Healthcheck),
    Generate(commands::Generate),
    Init(commands::Init),
    Doctor(commands::Doctor),
    Completions(commands::Completions),
    Man(commands::Man),
    #[command(hide = true)]
    Names(commands::Names),
}

impl Command {
    /// Runs it; gives its exit code.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        match self {
            Self::Up(up) => up.run(global),
            Self::Down(down) => down.run(global),
            Self::Status(status) => status.run(global),
            Self::Wait(wait) => wait.run(global),
            Self::Restart(restart) => restart.run(global),
            Self::Reload(reload) => reload.run(global),
            Self::Rollout(rollout) => rollout.run(global),
            Self::Upgrade(upgrade) => upgrade.run(global),
            Self::Scale(scale) => scale.run(global),
            Self::Start(start) => start.run(global),
            Self::Stop(stop) => stop.run(global),
            Self::Signal(signal) => signal.run(global),
            Self::Run(run) => run.run(global),
            Self::Events(events) => events.run(global),
            Self::Call(call) => call.run(global),
            Self::Metrics(metrics) => metrics.run(global),
            Self::Logs(logs) => logs.run(global),
            Self::Top(top) => top.run(global),
            Self::LogLevel(log_level) => log_level.run(global),
            Self::Dump(dump) => dump.run(global),
            Self::Generate(generate) => generate.run(global),
            Self::Jobs(jobs) => jobs.run(global),
            Self::Queues(queues) => queues.run(global),
            Self::Workers(workers) => workers.run(global),
            Self::Check(check) => check.run(global),
            Self::Config(config) => config.run(global),
            Self::Schema(schema) => schema.run(),
            Self::Version(version) => version.run(global),
            Self::Healthcheck(healthcheck) => healthcheck.run(global),
            Self::Init(init) => init.run(global),
            Self::Doctor(doctor) => doctor.run(global),
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
            Self::Names(names) => names.run(global),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    evercrew_config::parse_duration(text)
}
