//! Values that are one of a few words.

use evercrew_core::Level;
use evercrew_core::fleet::{EndWhen, GiveUp, OnFailure, Restart};
use evercrew_core::operator::Preset;

use crate::settings::{ListenMode, LogFiles, LogFormat};

/// A value that is one of a few words.
pub(crate) trait Choice: Copy + 'static {
    /// The words.
    const NAMES: &'static [&'static str];
    /// What each word means, in the same order.
    const VALUES: &'static [Self];
}

impl Choice for EndWhen {
    const NAMES: &'static [&'static str] = &["never", "all-done", "any-failed"];
    const VALUES: &'static [Self] = &[Self::Never, Self::AllDone, Self::AnyFailed];
}

impl Choice for Preset {
    const NAMES: &'static [&'static str] = &["native", "server-engine", "prefork", "gunicorn"];
    const VALUES: &'static [Self] = Self::ALL;
}

impl Choice for ListenMode {
    const NAMES: &'static [&'static str] = &["shared", "reuseport"];
    const VALUES: &'static [Self] = &[Self::Shared, Self::ReusePort];
}

impl Choice for LogFiles {
    const NAMES: &'static [&'static str] = &["worker", "service", "none"];
    const VALUES: &'static [Self] = &[Self::Worker, Self::Service, Self::None];
}

impl Choice for LogFormat {
    const NAMES: &'static [&'static str] = &["text", "json"];
    const VALUES: &'static [Self] = &[Self::Text, Self::Json];
}

impl Choice for Level {
    const NAMES: &'static [&'static str] = &["trace", "debug", "info", "warn", "error", "fatal"];
    const VALUES: &'static [Self] = Self::ALL;
}

impl Choice for Restart {
    const NAMES: &'static [&'static str] = &["always", "on-failure", "never"];
    const VALUES: &'static [Self] = &[Self::Always, Self::OnFailure, Self::Never];
}

impl Choice for GiveUp {
    const NAMES: &'static [&'static str] = &["retry", "give-up"];
    const VALUES: &'static [Self] = &[Self::Retry, Self::Final];
}

impl Choice for OnFailure {
    const NAMES: &'static [&'static str] = &["stay", "pause"];
    const VALUES: &'static [Self] = &[Self::Stay, Self::Pause];
}
