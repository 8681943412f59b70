//! What a manager leaves for the next one.
//!
//! Two documents, each JSON in a sealed memfd, and [`Wishes`], inline: [`Configuration`], written by `up` before there is any manager and
//! again when the configuration changes, and [`State`], written before every action that follows from a decision.
//! The supervisor keeps the last of each and never looks into them. An unknown version is refused, not guessed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use evercrew_core::fleet;
use serde::{Deserialize, Serialize};

use crate::mirror::{Mirror, SnapshotForm};
use crate::{Error, Text};

/// The form of both documents.
pub const VERSION: u32 = 1;
/// Largest deposit, in bytes.
pub const MAX: usize = 64 * 1024 * 1024;

/// Everything that the configuration's meaning depends on: a crash never reads the file again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// [`VERSION`].
    pub version: u32,
    /// The file, absolute.
    pub path: Text,
    /// What stood in it.
    pub text: String,
    /// The files that it names, with what stood in them.
    #[serde(default)]
    pub files: Vec<(Text, String)>,
    /// What the program itself says: it lies under the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub values: String,
    /// `--set`, in order.
    #[serde(default)]
    pub set: Vec<String>,
    /// The variables that count.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// `--directory`.
    #[serde(default)]
    pub directory: Option<Text>,
    /// Processors, for `workers = "auto"`.
    pub cpus: u32,
    /// EVERCREW_INSTANCE of every process of this engine.
    pub instance: String,
    /// Whether workers are replaced when their files change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// Whether the workers' lines go to the terminal.
    #[serde(default)]
    pub terminal: bool,
    /// Its number: 1 at the start, more with every reload.
    #[serde(default = "first")]
    pub revision: u64,
    /// Those before it that workers still run, or would run again should a rollout be stopped.
    #[serde(default)]
    pub earlier: Vec<Earlier>,
}

/// A configuration before the present one: what differs from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its number.
    pub revision: u64,
    /// What stood in the file.
    pub text: String,
    /// The files that it names, with what stood in them.
    #[serde(default)]
    pub files: Vec<(Text, String)>,
    /// What the program itself says: it lies under the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub values: String,
    /// Processors, for `workers = "auto"`.
    pub cpus: u32,
}

/// The revision of what `up` read.
const fn first() -> u64 {
    1
}

/// What a manager knows and cannot find out again.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The next event's number.
    pub next_event: u64,
    /// The configuration's revision.
    pub revision: u64,
    /// The highest revision that was ever tried: no other configuration gets that number.
    pub tried: u64,
    /// CLOCK_MONOTONIC, nanoseconds, of the first stop signal.
    pub stop_signal_at: Option<u64>,
    /// The exit code that the engine will end with.
    pub exit_code: u8,
    /// The level of the log, where an operator set one.
    pub log: Option<String>,
    /// The service manager above was told that the engine is ready.
    pub told_ready: bool,
    /// Services by number, as the snapshot names them.
    pub services: Vec<(u32, String)>,
    /// Rollouts that run and the last ones that ended, oldest first.
    pub rollouts: Vec<Rollout>,
    /// The fleet.
    pub fleet: fleet::Snapshot,
}

/// One rollout, for whoever asks what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Of which service.
    pub service: String,
    /// Who asked for it.
    pub by: String,
    /// UNIX time, milliseconds.
    pub began_at: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub began: u64,
    /// Milliseconds, once it ended.
    #[serde(default)]
    pub lasted_ms: Option<u64>,
    /// How many workers were replaced.
    pub done: u32,
    /// Of how many.
    pub total: u32,
    /// What became of it.
    pub outcome: RolloutOutcome,
    /// Why it stopped or is paused.
    #[serde(default)]
    pub reason: String,
    /// The worker that failed.
    #[serde(default)]
    pub worker: Option<String>,
    /// What that worker last wrote.
    #[serde(default)]
    pub words: Vec<String>,
}

/// What became of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutOutcome {
    /// It runs.
    Running,
    /// It waits to be resumed.
    Paused,
    /// Every worker was replaced.
    Finished,
    /// It ended before that.
    Stopped,
    /// It was undone.
    Undone,
    /// Another one took its place.
    Replaced,
}

/// What operators asked for and no manager can find out again: few words, kept apart from the state, so that they
/// outlive one that managers keep dying on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// [`VERSION`].
    pub version: u32,
    /// The engine is to end.
    #[serde(default)]
    pub shutdown: Option<StopWish>,
    /// Services by name, those with a wish alone.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceWish>,
}

/// What was asked of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceWish {
    /// So many workers.
    #[serde(default)]
    pub scale: Option<u32>,
    /// It is to be stopped.
    #[serde(default)]
    pub stopped: Option<StopWish>,
}

/// How something is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopWish {
    /// Without grace.
    #[serde(default)]
    pub now: bool,
}

#[derive(Serialize, Deserialize)]
struct StateForm {
    version: u32,
    next_event: u64,
    revision: u64,
    #[serde(default)]
    tried: u64,
    #[serde(default)]
    stop_signal_at: Option<u64>,
    #[serde(default)]
    exit_code: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told_ready: bool,
    services: Vec<(u32, String)>,
    #[serde(default)]
    rollouts: Vec<Rollout>,
    fleet: SnapshotForm,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Why a deposit cannot be taken over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refused {
    /// It is of another version.
    Version {
        /// Its own.
        found: u32,
        /// The one that this binary knows.
        known: u32,
    },
    /// It is no deposit.
    Malformed(Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found, known } => {
                write!(f, "the deposit has version {found}, this binary knows version {known}")
            }
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

pub(crate) fn check_version(bytes: &[u8], known: u32) -> Result<(), Refused> {
    let found: VersionOnly =
        serde_json::from_slice(bytes).map_err(Error::new("read a deposit's version")).map_err(Refused::Malformed)?;
    if found.version == known { Ok(()) } else { Err(Refused::Version { found: found.version, known }) }
}

impl Configuration {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode the configuration deposit"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When it is of another version or no deposit.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        check_version(bytes, VERSION)?;
        serde_json::from_slice(bytes)
            .map_err(Error::new("decode the configuration deposit"))
            .map_err(Refused::Malformed)
    }

    /// The file's path.
    pub fn path(&self) -> PathBuf {
        self.path.to_path()
    }
}

impl Wishes {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::new("encode the operators' wishes"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When it is of another version or none.
    pub fn decode(text: &str) -> Result<Self, Refused> {
        check_version(text.as_bytes(), VERSION)?;
        serde_json::from_str(text).map_err(Error::new("decode the operators' wishes")).map_err(Refused::Malformed)
    }
}

impl State {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let form = StateForm {
            version: VERSION,
            next_event: self.next_event,
            revision: self.revision,
            tried: self.tried,
            stop_signal_at: self.stop_signal_at,
            exit_code: self.exit_code,
            log: self.log.clone(),
            told_ready: self.told_ready,
            services: self.services.clone(),
            rollouts: self.rollouts.clone(),
            fleet: SnapshotForm::of(&self.fleet),
        };
        serde_json::to_vec(&form).map_err(Error::new("encode the state deposit"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When it is of another version or no deposit.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        check_version(bytes, VERSION)?;
        let form: StateForm = serde_json::from_slice(bytes)
            .map_err(Error::new("decode the state deposit"))
            .map_err(Refused::Malformed)?;
        Ok(Self {
            next_event: form.next_event,
            revision: form.revision,
            tried: form.tried.max(form.revision),
            stop_signal_at: form.stop_signal_at,
            exit_code: form.exit_code,
            log: form.log,
            told_ready: form.told_ready,
            services: form.services,
            rollouts: form.rollouts,
            fleet: form.fleet.back(),
        })
    }
}
