//! What is known of a key: its type, its default, its line in the reference.

use crate::host::Host;

/// A table's keys.
pub(crate) struct Section {
    /// How documents call it: `[service.NAME]`, `backoff`.
    pub(crate) title: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its keys in the order of the reference.
    pub(crate) keys: &'static [Key],
}

/// One key.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value may be.
    pub(crate) shape: Shape,
    /// What holds when it is absent.
    pub(crate) default: Absent,
    /// Its line in the reference.
    pub(crate) doc: &'static str,
    /// What a change of it means for an engine that runs.
    pub(crate) on_reload: OnReload,
}

/// What a change of a key means for an engine that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OnReload {
    /// It holds at once; no worker is touched.
    Live,
    /// Part of what a worker was started with: the workers are replaced.
    Roll,
    /// It cannot change while the engine runs.
    Fixed,
}

/// What holds when a key is absent.
pub(crate) enum Absent {
    /// This value, written as TOML; it is read by the same code as a given one.
    Means(&'static str),
    /// Something that depends on other keys, or nothing; the text is for the reference.
    Otherwise(&'static str),
}

/// What a value may be. Reading and every text about a key are driven by it.
pub(crate) enum Shape {
    /// A path; relative ones start at the file's directory.
    Path,
    /// `true` or `false`.
    Boolean,
    /// `false` alone: switches something off.
    Off,
    /// `true` alone: chooses something.
    On,
    /// A whole number within bounds.
    Integer {
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
    },
    /// A whole number within bounds that may be below zero.
    Signed {
        /// The least.
        min: i32,
        /// The greatest.
        max: i32,
    },
    /// A number from 0 to 1.
    Share,
    /// A number of processors, down to a hundredth of one.
    Cpus,
    /// A number of bytes above zero.
    Size,
    /// A resource limit: one number for both, or a table of these keys.
    Limit {
        /// Whether bytes are counted.
        bytes: bool,
        /// `soft` and `hard`.
        pair: &'static Section,
    },
    /// One number of a resource limit.
    Amount {
        /// Whether bytes are counted.
        bytes: bool,
    },
    /// Permission bits, as octal digits.
    Mask,
    /// A user or a group.
    Account,
    /// A regular expression.
    Pattern,
    /// The path of a URL.
    UrlPath,
    /// A span of time.
    Duration {
        /// Whether `"0s"` means something.
        zero: bool,
        /// Whether `"forever"` means something.
        forever: bool,
    },
    /// A signal's name.
    Signal,
    /// An address to listen on.
    Address,
    /// Any text.
    Text,
    /// Where jobs are kept.
    Store,
    /// The name of a worker that is part of the program.
    Builtin,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A program and its arguments.
    Argv,
    /// Several programs, each with its arguments.
    Argvs,
    /// An array of paths that may have wildcards.
    Globs,
    /// An array of names; the text says of what.
    Names(&'static str),
    /// An array of exit codes.
    ExitCodes,
    /// A table of environment variables.
    Variables,
    /// A table with these keys.
    Table(&'static Section),
    /// An array of tables with these keys.
    Tables(&'static Section),
    /// A table of named tables with these keys.
    Named(&'static Section),
    /// One of several shapes.
    Either(&'static [Shape]),
    /// A key of the contract that this version does not read.
    Later,
}

impl Section {
    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// Its change touches no worker.
    pub(crate) const fn live(self) -> Self {
        Self { on_reload: OnReload::Live, ..self }
    }

    /// It cannot change while the engine runs.
    pub(crate) const fn fixed(self) -> Self {
        Self { on_reload: OnReload::Fixed, ..self }
    }

    /// Whether this version reads the key.
    pub(crate) fn is_supported(&self) -> bool {
        !matches!(self.shape, Shape::Later)
    }
}

impl OnReload {
    /// Its word in the reference.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Roll => "roll",
            Self::Fixed => "not while it runs",
        }
    }
}

impl Shape {
    /// The table among what the value may be.
    pub(crate) fn table(&'static self) -> Option<&'static Section> {
        match self {
            Self::Table(section) | Self::Tables(section) => Some(section),
            Self::Limit { pair, .. } => Some(pair),
            Self::Either(shapes) => shapes.iter().find_map(Self::table),
            _ => None,
        }
    }

    /// What a message says was expected.
    pub(crate) fn expects(&self) -> String {
        match self {
            Self::Path => "a path (a string)".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Off => "`false`".to_owned(),
            Self::On => "`true`".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Signed { min, max } => format!("a whole number from {min} to {max}"),
            Self::Share => "a number from 0 to 1".to_owned(),
            Self::Cpus => "a number of processors from 0.01 to 4096, like 1.5".to_owned(),
            Self::Size => "a size like \"512KiB\", \"64MiB\" or \"2GiB\"".to_owned(),
            Self::Limit { bytes, .. } => format!("{}, \"unlimited\" or a table {{ soft, hard }}", amount(*bytes)),
            Self::Amount { bytes } => format!("{} or \"unlimited\"", amount(*bytes)),
            Self::Mask => "octal digits like \"027\" (a string)".to_owned(),
            Self::Account => "a name or a number (a string)".to_owned(),
            Self::Pattern => "a regular expression (a string)".to_owned(),
            Self::UrlPath => "a path like \"/healthz\"".to_owned(),
            Self::Duration { zero, forever } => {
                let above = if *zero { "" } else { " above zero" };
                let or = if *forever { ", or \"forever\"" } else { "" };
                format!("a duration{above} like \"500ms\", \"30s\" or \"1h\"{or}")
            }
            Self::Signal => "a signal's name like \"TERM\"".to_owned(),
            Self::Address => "an address like \"127.0.0.1:8080\", \"[::]:80\" or \"unix:run/web.sock\"".to_owned(),
            Self::Choice(words) => one_of(words),
            Self::Builtin => one_of(&Host::own().names()),
            Self::Text => "a text (a string)".to_owned(),
            Self::Store => "\"sqlite:\" and a path, like \"sqlite:jobs.db\", or \"memory\"".to_owned(),
            Self::Argv => "a program and its arguments (an array of strings)".to_owned(),
            Self::Argvs => "programs with their arguments (an array of arrays of strings)".to_owned(),
            Self::Globs => "paths like \"conf.d/*.toml\" (an array of strings)".to_owned(),
            Self::Names(what) => format!("names of {what} (an array of strings)"),
            Self::ExitCodes => "exit codes from 0 to 255 (an array of integers)".to_owned(),
            Self::Variables => "variables (a table of strings)".to_owned(),
            Self::Table(section) => {
                let keys: Vec<&str> =
                    section.keys.iter().filter(|key| key.is_supported()).map(|key| key.name).collect();
                format!("a table {{ {} }}", keys.join(", "))
            }
            Self::Tables(section) => {
                let keys: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
                format!("an array of tables [{{ {} }}, …]", keys.join(", "))
            }
            Self::Named(section) => format!("tables like {}", section.title),
            Self::Either(shapes) => any_of(&shapes.iter().map(Self::expects).collect::<Vec<_>>()),
            Self::Later => "nothing in this version".to_owned(),
        }
    }
}

fn amount(bytes: bool) -> &'static str {
    if bytes { "a size like \"64MiB\" or a number of bytes" } else { "a whole number" }
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    any_of(&quoted)
}

/// `a, b or c`.
fn any_of(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
