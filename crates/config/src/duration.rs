//! Durations as text: `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"2d"`.

use std::time::Duration;

/// Longer is taken for a typing error.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotADuration {
    /// Not a number followed by a unit.
    Form,
    /// Over ten years.
    TooLong,
}

/// Reads a whole number and its unit: ms, s, m, h or d.
pub(crate) fn parse(text: &str) -> Result<Duration, NotADuration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(NotADuration::Form)?;
    if number.is_empty() {
        return Err(NotADuration::Form);
    }
    let number: u64 = number.parse().map_err(|_| NotADuration::TooLong)?;
    let duration = Duration::from_millis(number.checked_mul(millis).ok_or(NotADuration::TooLong)?);
    if duration > LONGEST { Err(NotADuration::TooLong) } else { Ok(duration) }
}

/// Reads a duration as the command line gives it.
///
/// # Errors
/// What was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text).map_err(|error| match error {
        NotADuration::Form => "expected a whole number and a unit: ms, s, m, h or d".to_owned(),
        NotADuration::TooLong => "longer than ten years".to_owned(),
    })
}

/// The shortest text that [`parse`] reads back; parts of a millisecond are cut off.
pub(crate) fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, size): &&(&str, u64)| millis.is_multiple_of(*size) && millis > 0;
    let (unit, size) = UNITS.iter().rev().find(fits).unwrap_or(&("s", 1000));
    format!("{}{unit}", millis / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_and_written_back() {
        for text in ["0s", "1ms", "500ms", "30s", "90s", "5m", "1h", "36h", "2d", "3650d"] {
            let parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(format(parsed), text);
        }
        assert_eq!(format(Duration::from_secs(60)), "1m");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "s", "1.5s", "-1s", "1h30m", "1 s", " 1s", "1S", "1min", "٣s", "1µs"] {
            assert_eq!(parse(text), Err(NotADuration::Form), "{text}");
        }
        for text in ["3651d", "18446744073709551616s", "18446744073709551615d"] {
            assert_eq!(parse(text), Err(NotADuration::TooLong), "{text}");
        }
    }
}
