//! Levels of the engine's own log, as the manager tells them to the supervisor.

/// How loud a line is, quietest first.
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
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

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

    /// The level of this name, in small or capital letters.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// The level of a line that begins with its name; one without is always written.
    pub fn of_line(line: &str) -> Self {
        line.split(' ').next().and_then(Self::named).unwrap_or(Self::Fatal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_level() {
        assert_eq!(Level::of_line("WARN  manager 7 ended"), Level::Warn);
        assert_eq!(Level::of_line("ERROR x"), Level::Error);
        assert_eq!(Level::of_line("no level"), Level::Fatal);
        assert_eq!((Level::named("Info"), Level::named("loud")), (Some(Level::Info), None));
    }
}
