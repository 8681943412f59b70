//! Signals by name; the kernel's numbers live in `sys`.

use std::fmt;
use std::str::FromStr;

macro_rules! signals {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A signal by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Signal { $($variant),+ }

        impl Signal {
            /// Every signal that has a name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name without `SIG`, as configuration writes it: `TERM`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

signals! {
    Hup = "HUP", Int = "INT", Quit = "QUIT", Ill = "ILL", Trap = "TRAP", Abrt = "ABRT", Bus = "BUS", Fpe = "FPE",
    Kill = "KILL", Usr1 = "USR1", Segv = "SEGV", Usr2 = "USR2", Pipe = "PIPE", Alrm = "ALRM", Term = "TERM",
    Stkflt = "STKFLT", Chld = "CHLD", Cont = "CONT", Stop = "STOP", Tstp = "TSTP", Ttin = "TTIN", Ttou = "TTOU",
    Urg = "URG", Xcpu = "XCPU", Xfsz = "XFSZ", Vtalrm = "VTALRM", Prof = "PROF", Winch = "WINCH", Io = "IO",
    Pwr = "PWR", Sys = "SYS",
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name())
    }
}

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(pub String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no signal name; expected one like TERM or SIGTERM", self.0)
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads `TERM`, `SIGTERM` or `term`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|signal| signal.name() == name).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}
