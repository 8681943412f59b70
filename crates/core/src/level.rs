//! How loud a line of the engine's own log is.

/// A level, quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every decision.
    Trace,
    /// What happens often.
    Debug,
    /// What happens.
    Info,
    /// Worth waking someone.
    Warn,
    /// Something is not as it should be.
    Error,
    /// It goes no further.
    Fatal,
}

impl Level {
    /// Every level, quietest first.
    pub const ALL: &'static [Self] = &[Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// `info`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The level of this name, in small letters.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.name() == name)
    }
}
