//! Words for programs that take orders on a command pipe.

use std::fmt;
use std::str::FromStr;

use crate::Signal;

/// What a program is told, one word a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// Finish what is begun, then end.
    GracefulStop,
    /// End at once.
    ImmediateStop,
    /// For a program that replaces its own processes: finish what is begun and begin anew.
    GracefulRestart,
    /// For such a program: begin anew at once.
    ImmediateRestart,
    /// Read what you are configured by again.
    Reload,
    /// Somebody else has taken over: accept nothing more, finish in your own time.
    Detach,
    /// Write down what you are doing.
    Dump,
}

impl Word {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::GracefulStop,
        Self::ImmediateStop,
        Self::GracefulRestart,
        Self::ImmediateRestart,
        Self::Reload,
        Self::Detach,
        Self::Dump,
    ];

    /// As it stands on the line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GracefulStop => "GRACEFUL_STOP",
            Self::ImmediateStop => "IMMEDIATE_STOP",
            Self::GracefulRestart => "GRACEFUL_RESTART",
            Self::ImmediateRestart => "IMMEDIATE_RESTART",
            Self::Reload => "RELOAD",
            Self::Detach => "DETACH",
            Self::Dump => "DUMP",
        }
    }

    /// The word in the place of the first signal of a stop, and whether the worker leaves for others that serve already
    /// beside it. Nothing stands in the place of KILL.
    pub fn for_stop(first: Signal, detached: bool) -> Option<Self> {
        match first {
            Signal::Kill => None,
            Signal::Quit => Some(Self::ImmediateStop),
            _ if detached => Some(Self::Detach),
            _ => Some(Self::GracefulStop),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Word {
    type Err = ();

    /// Reads `RELOAD` or `reload`.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|word| word.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_as_it_is_written_and_none_is_a_signal() {
        for word in Word::ALL {
            assert_eq!(word.name().parse(), Ok(*word));
            assert!(word.name().parse::<Signal>().is_err(), "{word}");
        }
        assert!("STOP".parse::<Word>().is_err() && "".parse::<Word>().is_err());
    }

    #[test]
    fn the_first_signal_of_a_stop_says_the_word() {
        assert_eq!(Word::for_stop(Signal::Term, false), Some(Word::GracefulStop));
        assert_eq!(Word::for_stop(Signal::Int, false), Some(Word::GracefulStop));
        assert_eq!(Word::for_stop(Signal::Quit, false), Some(Word::ImmediateStop));
        assert_eq!(Word::for_stop(Signal::Term, true), Some(Word::Detach));
        assert_eq!(Word::for_stop(Signal::Quit, true), Some(Word::ImmediateStop));
        assert_eq!(Word::for_stop(Signal::Kill, true), None);
    }
}
