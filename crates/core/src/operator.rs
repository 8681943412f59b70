//! What a signal to the engine means.
//!
//! A program sends what the table of the chosen [`Preset`] lists. A terminal sends what a person at it means, which is
//! the same under every preset: Ctrl-C and Ctrl-\ stop, a terminal that is gone stops, everything else is job control
//! and changes nothing.

use std::time::Duration;

use crate::fleet::Pace;
use crate::{Mono, Signal};

/// Whose meanings signals have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// This engine's own.
    #[default]
    Native,
    /// Those of a Ruby framework for multi-process servers.
    ServerEngine,
    /// Those of a Perl preforking server and its hot deploy.
    Prefork,
    /// Those of gunicorn.
    Gunicorn,
}

/// What the sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Graceful stop of everything. Where `hasten` is set, a second one stops at once.
    Stop {
        /// Whether a second one counts for more than the first.
        hasten: bool,
    },
    /// Immediate stop of everything.
    StopNow,
    /// One worker more in the first service.
    More,
    /// One worker less in the first service.
    Less,
    /// The configuration is read again.
    Reload,
    /// The configuration is read again and log files are opened again.
    ReloadAndReopen,
    /// The configuration is read again, and every worker is replaced: new code.
    Deploy,
    /// Every worker is replaced.
    Restart(Pace),
    /// Every service is stopped; the engine stays.
    StopServices,
    /// Log files are opened again.
    Reopen,
    /// The engine's own binary is replaced.
    Upgrade,
    /// What every process of the engine is doing is written to a file.
    Dump,
    /// No new jobs are fetched.
    Quiet,
    /// Jobs are fetched again.
    Resume,
}

/// What comes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is obeyed.
    Obeyed(Meaning),
    /// Nothing comes of it, and why.
    Ignored(&'static str),
    /// Nothing comes of it, and nobody has to know.
    Passed(&'static str),
}

/// A graceful stop that a second one makes immediate.
const STOP: Meaning = Meaning::Stop { hasten: true };
/// A graceful stop however often it is asked for.
const PATIENT_STOP: Meaning = Meaning::Stop { hasten: false };

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Self] = &[Self::Native, Self::ServerEngine, Self::Prefork, Self::Gunicorn];

    /// What the signals mean that a process sends; the others mean nothing.
    pub const fn table(self) -> &'static [(Signal, Meaning)] {
        match self {
            Self::Native => &[
                (Signal::Term, STOP),
                (Signal::Int, STOP),
                (Signal::Quit, Meaning::StopNow),
                (Signal::Hup, Meaning::Reload),
                (Signal::Usr1, Meaning::Reopen),
                (Signal::Usr2, Meaning::Upgrade),
                (Signal::Ttin, Meaning::More),
                (Signal::Ttou, Meaning::Less),
                (Signal::Tstp, Meaning::Quiet),
                (Signal::Cont, Meaning::Resume),
            ],
            Self::ServerEngine => &[
                (Signal::Term, PATIENT_STOP),
                (Signal::Quit, Meaning::StopNow),
                (Signal::Usr1, Meaning::Restart(Pace::Gradual)),
                (Signal::Hup, Meaning::Restart(Pace::AtOnce)),
                (Signal::Usr2, Meaning::ReloadAndReopen),
                (Signal::Int, Meaning::Restart(Pace::Detached)),
                (Signal::Cont, Meaning::Dump),
            ],
            Self::Prefork => &[
                (Signal::Int, Meaning::StopNow),
                (Signal::Term, Meaning::StopNow),
                (Signal::Quit, PATIENT_STOP),
                (Signal::Ttin, Meaning::More),
                (Signal::Ttou, Meaning::Less),
                (Signal::Usr2, Meaning::Deploy),
                (Signal::Usr1, Meaning::Reopen),
            ],
            Self::Gunicorn => &[
                (Signal::Term, PATIENT_STOP),
                (Signal::Int, Meaning::StopNow),
                (Signal::Quit, Meaning::StopNow),
                (Signal::Hup, Meaning::Deploy),
                (Signal::Ttin, Meaning::More),
                (Signal::Ttou, Meaning::Less),
                (Signal::Usr1, Meaning::Reopen),
                (Signal::Usr2, Meaning::Upgrade),
                (Signal::Winch, Meaning::StopServices),
            ],
        }
    }

    /// The signals that ask for a stop, without grace or with it.
    pub fn stops(self, now: bool) -> impl Iterator<Item = Signal> {
        let asked = move |meaning: Meaning| match meaning {
            Meaning::Stop { .. } => !now,
            Meaning::StopNow => now,
            _ => false,
        };
        self.table().iter().filter(move |(_, meaning)| asked(*meaning)).map(|(signal, _)| *signal)
    }

    /// What `signal` means when a process sends it.
    pub fn meaning(self, signal: Signal) -> Option<Meaning> {
        self.table().iter().find(|(listed, _)| *listed == signal).map(|(_, meaning)| *meaning)
    }
}

/// What a terminal means by a signal, or the kernel.
fn from_terminal(signal: Signal) -> Option<Meaning> {
    match signal {
        Signal::Int | Signal::Hup | Signal::Term => Some(STOP),
        Signal::Quit => Some(Meaning::StopNow),
        _ => None,
    }
}

/// A second stop within this time is the same one: a terminal sends INT to the group, a wrapper sends it again.
const SECOND_STOP: Duration = Duration::from_secs(1);

/// Turns signals into what the sender wants; remembers the first stop.
#[derive(Debug, Default)]
pub struct Operator {
    preset: Preset,
    stopped_at: Option<Mono>,
}

impl Operator {
    /// One that saw its first stop at `stopped_at`.
    pub fn new(preset: Preset, stopped_at: Option<Mono>) -> Self {
        Self { preset, stopped_at }
    }

    /// When the first stop came.
    pub fn stopped_at(&self) -> Option<Mono> {
        self.stopped_at
    }

    /// Signals mean what `preset` says from here on.
    pub fn speak(&mut self, preset: Preset) {
        self.preset = preset;
    }

    /// What comes of `signal`, which was read at `at`.
    pub fn hear(&mut self, signal: Signal, from_terminal_or_kernel: bool, at: Mono) -> Verdict {
        let meaning = if from_terminal_or_kernel { from_terminal(signal) } else { self.preset.meaning(signal) };
        match meaning {
            // Service managers send one after a stop, so that a stopped process can act.
            _ if signal == Signal::Cont && self.stopped_at.is_some() => Verdict::Passed("stopping already"),
            Some(Meaning::Stop { hasten }) => self.stop(hasten, at),
            Some(meaning) => Verdict::Obeyed(meaning),
            None if from_terminal_or_kernel => Verdict::Ignored("sent by the terminal it changes nothing"),
            None => Verdict::Ignored("it has no meaning here"),
        }
    }

    fn stop(&mut self, hasten: bool, at: Mono) -> Verdict {
        match self.stopped_at {
            Some(first) if hasten && at.since(first) >= SECOND_STOP => Verdict::Obeyed(Meaning::StopNow),
            Some(_) if hasten => Verdict::Ignored("stopping already; once more after a second stops at once"),
            Some(_) => Verdict::Ignored("stopping already"),
            None => {
                self.stopped_at = Some(at);
                Verdict::Obeyed(Meaning::Stop { hasten })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn operator(preset: Preset) -> Operator {
        Operator::new(preset, None)
    }

    #[test]
    fn a_cont_behind_a_stop_means_nothing() {
        for preset in Preset::ALL {
            let stop = preset.stops(false).next().expect("a graceful stop");
            let mut operator = operator(*preset);
            assert!(!matches!(operator.hear(Signal::Cont, false, at(0)), Verdict::Passed(_)), "{preset:?}");
            assert!(matches!(operator.hear(stop, false, at(1)), Verdict::Obeyed(Meaning::Stop { .. })), "{preset:?}");
            assert!(matches!(operator.hear(Signal::Cont, false, at(1)), Verdict::Passed(_)), "{preset:?}");
        }
    }

    #[test]
    fn a_second_stop_counts_after_a_second() {
        let mut operator = operator(Preset::Native);
        assert_eq!(operator.hear(Signal::Int, true, at(1000)), Verdict::Obeyed(STOP));
        assert!(matches!(operator.hear(Signal::Term, false, at(1999)), Verdict::Ignored(_)));
        assert_eq!(operator.hear(Signal::Term, false, at(2000)), Verdict::Obeyed(Meaning::StopNow));
    }

    #[test]
    fn where_the_known_system_is_patient_a_second_stop_is_the_first_one_again() {
        for (preset, signal) in
            [(Preset::ServerEngine, Signal::Term), (Preset::Prefork, Signal::Quit), (Preset::Gunicorn, Signal::Term)]
        {
            let mut operator = operator(preset);
            assert_eq!(operator.hear(signal, false, at(0)), Verdict::Obeyed(PATIENT_STOP), "{preset:?}");
            assert!(matches!(operator.hear(signal, false, at(5000)), Verdict::Ignored(_)), "{preset:?}");
            // A person at the terminal who asks again is heard.
            assert_eq!(operator.hear(Signal::Int, true, at(6000)), Verdict::Obeyed(Meaning::StopNow), "{preset:?}");
        }
    }

    #[test]
    fn a_terminal_means_the_same_under_every_preset() {
        for preset in Preset::ALL {
            for signal in Signal::ALL.iter().copied() {
                let expected = match signal {
                    Signal::Int | Signal::Hup | Signal::Term => Some(STOP),
                    Signal::Quit => Some(Meaning::StopNow),
                    _ => None,
                };
                let verdict = operator(*preset).hear(signal, true, at(0));
                match expected {
                    Some(meaning) => assert_eq!(verdict, Verdict::Obeyed(meaning), "{preset:?} {signal}"),
                    None => assert!(matches!(verdict, Verdict::Ignored(_)), "{preset:?} {signal}"),
                }
            }
        }
    }

    #[test]
    fn each_preset_has_one_meaning_for_a_signal_and_a_way_to_stop() {
        for preset in Preset::ALL {
            let table = preset.table();
            for (row, (signal, _)) in table.iter().enumerate() {
                assert!(!table[..row].iter().any(|(before, _)| before == signal), "{preset:?}: {signal} twice");
                assert!(!matches!(signal, Signal::Kill | Signal::Stop | Signal::Chld), "{preset:?}: {signal}");
            }
            assert!(table.iter().any(|(_, meaning)| matches!(meaning, Meaning::Stop { .. })), "{preset:?}");
            assert!(table.iter().any(|(_, meaning)| *meaning == Meaning::StopNow), "{preset:?}");
        }
    }

    #[test]
    fn what_the_known_systems_do() {
        use Meaning::{Deploy, Dump, Less, More, ReloadAndReopen, Reopen, Restart, StopNow, StopServices, Upgrade};
        let rows: [(Preset, &[(Signal, Meaning)]); 3] = [
            (
                Preset::ServerEngine,
                &[
                    (Signal::Term, PATIENT_STOP),
                    (Signal::Quit, StopNow),
                    (Signal::Usr1, Restart(Pace::Gradual)),
                    (Signal::Hup, Restart(Pace::AtOnce)),
                    (Signal::Usr2, ReloadAndReopen),
                    (Signal::Int, Restart(Pace::Detached)),
                    (Signal::Cont, Dump),
                ],
            ),
            (
                Preset::Prefork,
                &[
                    (Signal::Int, StopNow),
                    (Signal::Term, StopNow),
                    (Signal::Quit, PATIENT_STOP),
                    (Signal::Ttin, More),
                    (Signal::Ttou, Less),
                    (Signal::Usr2, Deploy),
                ],
            ),
            (
                Preset::Gunicorn,
                &[
                    (Signal::Hup, Deploy),
                    (Signal::Usr1, Reopen),
                    (Signal::Usr2, Upgrade),
                    (Signal::Winch, StopServices),
                    (Signal::Int, StopNow),
                ],
            ),
        ];
        for (preset, row) in rows {
            for (signal, meaning) in row {
                assert_eq!(
                    operator(preset).hear(*signal, false, at(0)),
                    Verdict::Obeyed(*meaning),
                    "{preset:?} {signal}"
                );
            }
        }
        assert!(matches!(operator(Preset::ServerEngine).hear(Signal::Ttin, false, at(0)), Verdict::Ignored(_)));
    }
}
