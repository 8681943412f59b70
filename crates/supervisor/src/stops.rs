//! Which signals ask for a stop, for the time when no manager says so.

use evercrew_wire::supervisor::StopSignals;

/// What a terminal means by a signal is no matter of configuration; what another process means is.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    of_terminal: StopSignals,
    of_processes: StopSignals,
}

impl Stops {
    /// A manager says which signals of processes are meant.
    pub(crate) fn told(&mut self, stops: StopSignals) {
        self.of_processes = stops;
    }

    /// Whether the signal asks for a stop, as the loss of the terminal does whatever signals mean.
    pub(crate) fn ask(&self, signal: &str, from_kernel: bool) -> bool {
        self.of(from_kernel).asks(signal) || (from_kernel && signal == "HUP")
    }

    /// Whether it asks for one without grace.
    pub(crate) fn ask_at_once(&self, signal: &str, from_kernel: bool) -> bool {
        self.of(from_kernel).at_once.iter().any(|name| name == signal)
    }

    fn of(&self, from_kernel: bool) -> &StopSignals {
        if from_kernel { &self.of_terminal } else { &self.of_processes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_processes_mean_is_told_and_what_a_terminal_means_is_not() {
        let mut stops = Stops::default();
        assert!(stops.ask("INT", false) && stops.ask("INT", true) && stops.ask_at_once("QUIT", false));
        assert!(stops.ask("HUP", true) && !stops.ask("HUP", false) && !stops.ask_at_once("HUP", true));
        stops.told(StopSignals { graceful: vec!["QUIT".into()], at_once: vec!["TERM".into()] });
        assert!(!stops.ask("INT", false), "it means something else to this engine");
        assert!(stops.ask("INT", true) && stops.ask_at_once("QUIT", true));
        assert!(stops.ask("QUIT", false) && !stops.ask_at_once("QUIT", false) && stops.ask_at_once("TERM", false));
    }
}
