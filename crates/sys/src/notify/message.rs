//! What a notification says.

use crate::excerpt::excerpt;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// One notification. Fields that are not known are ignored; a malformed field counts as absent.
#[derive(Debug, Default)]
pub struct Message {
    /// `READY=1`.
    pub ready: bool,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// `RELOADING=1`.
    pub reloading: bool,
    /// `MONOTONIC_USEC=`, which comes with `RELOADING=1`.
    pub monotonic: Option<Duration>,
    /// `WATCHDOG=1`: a heartbeat.
    pub watchdog: bool,
    /// `WATCHDOG=trigger`: the process asks to be treated as hung.
    pub watchdog_trigger: bool,
    /// `WATCHDOG_USEC=`: the heartbeat timeout the process wants.
    pub watchdog_timeout: Option<Duration>,
    /// `STATUS=`, cut to 1 KiB, invalid bytes replaced.
    pub status: Option<String>,
    /// `EXTEND_TIMEOUT_USEC=`.
    pub extend: Option<Duration>,
    /// `X_EVERCREW_RECYCLE=1`: the process has worked enough and asks to be replaced.
    pub recycle: bool,
    /// `MAINPID=`.
    pub main_pid: Option<u32>,
    /// The descriptors of `BARRIER=1`. Dropping them is the answer: do it when everything before it was handled.
    pub barrier: Vec<OwnedFd>,
    /// The sender's pid as the kernel says, 0 when unknown.
    pub sender_pid: u32,
}

/// The longest `STATUS=` that is kept.
const STATUS_LIMIT: usize = 1024;

impl Message {
    /// Reads the lines of one notification. A field that occurs twice counts as its last one.
    pub(super) fn parse(text: &[u8], descriptors: Vec<OwnedFd>) -> Self {
        let mut message = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (&line[..equals], &line[equals + 1..]);
            match name {
                b"READY" => message.ready = value == b"1",
                b"STOPPING" => message.stopping = value == b"1",
                b"RELOADING" => message.reloading = value == b"1",
                b"MONOTONIC_USEC" => message.monotonic = micros(value),
                b"WATCHDOG" => {
                    message.watchdog = value == b"1";
                    message.watchdog_trigger = value == b"trigger";
                }
                b"WATCHDOG_USEC" => message.watchdog_timeout = micros(value),
                b"STATUS" => message.status = Some(status(value)),
                b"EXTEND_TIMEOUT_USEC" => message.extend = micros(value),
                b"X_EVERCREW_RECYCLE" => message.recycle = value == b"1",
                b"MAINPID" => message.main_pid = number(value).and_then(|pid| u32::try_from(pid).ok()),
                _ => {}
            }
        }
        // Descriptors with any other message are not asked for: they are closed here.
        if text.split(|byte| *byte == b'\n').any(|line| line == b"BARRIER=1") {
            message.barrier = descriptors;
        }
        message
    }
}

fn number(value: &[u8]) -> Option<u64> {
    // The parser of numbers takes a sign; the protocol has none.
    if value.iter().all(u8::is_ascii_digit) { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

fn micros(value: &[u8]) -> Option<Duration> {
    number(value).map(Duration::from_micros)
}

fn status(value: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(value), STATUS_LIMIT).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_are_read_and_others_ignored() {
        let text = b"READY=1\nSTATUS=two words = fine\nEXTEND_TIMEOUT_USEC=1500000\nMAINPID=77\nERRNO=2\nX_A=b\n";
        let message = Message::parse(text, Vec::new());
        assert!(message.ready && !message.stopping && !message.reloading && !message.watchdog);
        assert_eq!(message.status.as_deref(), Some("two words = fine"));
        assert_eq!(message.extend, Some(Duration::from_millis(1500)));
        assert_eq!(message.main_pid, Some(77));
        let message = Message::parse(b"RELOADING=1\nMONOTONIC_USEC=5\nWATCHDOG=trigger\nWATCHDOG_USEC=9", Vec::new());
        assert!(message.reloading && message.watchdog_trigger && !message.watchdog);
        assert_eq!(message.monotonic, Some(Duration::from_micros(5)));
        assert_eq!(message.watchdog_timeout, Some(Duration::from_micros(9)));
        assert!(Message::parse(b"STOPPING=1\nWATCHDOG=1", Vec::new()).stopping);
        assert!(Message::parse(b"X_EVERCREW_RECYCLE=1", Vec::new()).recycle && !message.recycle);
    }

    #[test]
    fn malformed_fields_count_as_absent() {
        let message = Message::parse(
            b"READY=yes\nEXTEND_TIMEOUT_USEC=-1\nWATCHDOG_USEC=99999999999999999999\nMAINPID=+1\nSTATUS\n=\n\n\0",
            Vec::new(),
        );
        assert!(!message.ready);
        assert_eq!(message.extend, None);
        assert_eq!(message.watchdog_timeout, None);
        assert_eq!(message.main_pid, None);
        assert_eq!(message.status, None);
        assert_eq!(Message::parse(b"EXTEND_TIMEOUT_USEC=", Vec::new()).extend, None);
    }

    #[test]
    fn a_status_is_bounded_and_always_text() {
        let mut text = b"STATUS=".to_vec();
        text.extend([0xff; 3000]);
        let status = Message::parse(&text, Vec::new()).status.expect("status");
        assert!(status.len() <= STATUS_LIMIT && status.starts_with('\u{fffd}'));
    }

    #[test]
    fn descriptors_are_kept_for_a_barrier_alone() {
        let descriptor = || vec![crate::pipe::pair().expect("pipe").0];
        assert_eq!(Message::parse(b"BARRIER=1", descriptor()).barrier.len(), 1);
        assert_eq!(Message::parse(b"FDSTORE=1", descriptor()).barrier.len(), 0);
    }
}
