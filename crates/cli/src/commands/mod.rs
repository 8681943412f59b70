//! The commands, one file each: its arguments with their help, and `run`, which gives its exit code.
//!
//! What several of them share stands beside: `change` asks the engine for something and waits until it is done.

mod change;
mod check;
mod completions;
mod config;
mod doctor;
mod down;
mod dump;
mod events;
mod generate;
mod healthcheck;
mod init;
mod log_level;
mod logs;
mod man;
mod progress;
mod reload;
mod restart;
mod rollout;
mod run;
mod scale;
mod schema;
mod signal;
mod start;
mod status;
mod stop;
mod up;
mod version;
mod wait;

pub(crate) use check::Check;
pub(crate) use completions::{Completions, Names};
pub(crate) use config::Config;
pub(crate) use doctor::Doctor;
pub(crate) use down::Down;
pub(crate) use dump::Dump;
pub(crate) use events::Events;
pub(crate) use generate::Generate;
pub(crate) use healthcheck::Healthcheck;
pub(crate) use init::Init;
pub(crate) use log_level::LogLevel;
pub(crate) use logs::Logs;
pub(crate) use man::Man;
pub(crate) use reload::Reload;
pub(crate) use restart::Restart;
pub(crate) use rollout::Rollout;
pub(crate) use run::Run;
pub(crate) use scale::Scale;
pub(crate) use schema::Schema;
pub(crate) use signal::Signal;
pub(crate) use start::Start;
pub(crate) use status::Status;
pub(crate) use stop::Stop;
pub(crate) use up::Up;
pub(crate) use version::Version;
pub(crate) use wait::Wait;
