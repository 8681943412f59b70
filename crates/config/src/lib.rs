//! Configuration: text to typed settings.
//!
//! **What it does.** [`Source`] is the text of a file, and of those that it names, with everything else that its meaning
//! depends on; parsing it gives [`Settings`] with every default filled in and every path absolute, or all that is wrong
//! with it at once, each error with its place in the text and what to do. On the way it is an untyped table with places
//! (`raw.rs`) that included files add to (`include.rs`) and the environment and the command line override
//! (`overrides.rs`).
//!
//! **Where to start.** [`Source::parse`], then `keys.rs`: the one table that says which keys there are, what they
//! expect and what holds without them. The reference page and the JSON schema are written from it. [`Source::show`] goes
//! the other way: what every key comes to, and where from.
//!
//! **What it must never know.** Running things: no process, no socket, no state of the engine. Only
//! [`Source::read`], [`engine_directory`] and [`Settings::check_programs`] look at the file system, and the message about
//! a named file that was not read.
//!
//! **How it is tested.** `tests/bad/*.toml` with the message of each, `tests/good/*.toml` with their meaning, which
//! what is shown must have too, and hostile texts made at random.

mod base;
mod change;
mod choice;
mod context;
mod control;
mod convert;
mod diagnostic;
mod directory;
mod duration;
mod effective;
mod engine;
mod error;
mod file;
mod files;
mod glob;
mod host;
mod http;
mod include;
mod json;
mod key;
mod keys;
mod limits;
mod listen;
mod log;
mod nearest;
mod order;
mod overrides;
mod places;
mod ports;
mod programs;
mod queue;
mod raw;
mod reader;
mod ready;
mod reference;
mod render;
mod schema;
mod sections;
mod service;
mod settings;
mod show;
mod size;
mod source;
mod stop;
mod syntax;
mod text;
mod variables;

pub use change::{Change, Diff, Keys, diff};
pub use directory::{engine_directory, log_directory};
pub use duration::parse_duration;
pub use error::{ConfigError, ConfigErrors, Problem};
pub use files::{MOST_BYTES_OF_ALL, MOST_FILES};
pub use host::{Again, Builtin, Host};
pub use nearest::nearest_name;
pub use queue::{Durability, Queue};
pub use reference::reference;
pub use schema::schema;
pub use settings::{
    Address, Control, Engine, Http, Limits, ListenMode, Listener, Log, LogFiles, LogFormat, LogStyle, Metrics, Program,
    Ready, Service, Settings, Warning,
};
pub use show::{Provenance, Shown};
pub use source::{MOST_BYTES, Source, environment};
pub use text::Origin;
