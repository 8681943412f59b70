//! Times in text: RFC 3339, and nothing else that looks like it.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// Days from the first of March of the year 0 to 1970.
const EPOCH: u64 = 719_468;
/// The last day since 1970 that is told from later ones.
const LAST_DAY: u64 = 193_600;

/// The nanoseconds since 1970 that an RFC 3339 time names; `None` when it is none. A time before 1970 is 1970, one after
/// the year 2500 is about then.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(19)?;
    for (at, byte) in [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')] {
        if date[at] != byte {
            return None;
        }
    }
    if !matches!(date[10], b'T' | b't') {
        return None;
    }
    let number = |from: usize, to: usize| digits(&date[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let east = offset(rest)?;
    // What is before 1970 is past, and what is after 2500 is never.
    let days = days_since_0(year, month, day).saturating_sub(EPOCH).min(LAST_DAY);
    let seconds = i64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()? - east;
    if days_since_0(year, month, day) < EPOCH || seconds < 0 {
        return Some(0);
    }
    Some(u64::try_from(seconds).ok()? * SECOND + nanos)
}

/// Appends the time, in UTC and microseconds.
pub fn write(nanos: u64, out: &mut Vec<u8>) {
    let seconds = nanos / SECOND;
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, second / 3600),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
        (20, 6, nanos % SECOND / 1000),
    ];
    for (at, width, value) in parts {
        let mut value = value;
        for place in text[at..at + width].iter_mut().rev() {
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    }
    out.extend_from_slice(&text);
}

/// The time as text.
pub fn text(nanos: u64) -> String {
    let mut text = Vec::new();
    write(nanos, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn digits(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

fn fraction(rest: &[u8]) -> Option<(u64, &[u8])> {
    let Some(after) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let kept = &after[..length.min(9)];
    let scale = 10_u64.pow(9 - u32::try_from(kept.len()).ok()?);
    Some((digits(kept)? * scale, &after[length..]))
}

/// Seconds east of UTC.
fn offset(rest: &[u8]) -> Option<i64> {
    match rest {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the first of March of the year 0. Years begin with a March here, so that the leap day is the last of one;
/// what is before that day is that day.
fn days_since_0(year: u64, month: u64, day: u64) -> u64 {
    let Some(year) = (if month <= 2 { year.checked_sub(1) } else { Some(year) }) else { return 0 };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1
}

/// The year, month and day of a day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:45.5Z", 951_827_445_500_000_000),
            ("2026-12-01T01:00:00.123456789+01:00", 1_796_083_200_123_456_789),
            ("2026-11-30t20:00:00-04:00", 1_796_083_200_000_000_000),
            ("1970-01-01T00:00:00-01:00", 3_600_000_000_000),
            ("1970-01-01T00:30:00+01:00", 0),
            ("0001-01-01T00:00:00Z", 0),
            ("0000-01-01T00:00:00Z", 0),
            ("9999-12-31T00:00:00Z", LAST_DAY * 86_400 * SECOND),
        ] {
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
        assert_eq!(text(1_796_083_200_123_456_789), "2026-12-01T00:00:00.123456Z");
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "now",
            "2026-12-01",
            "2026-12-01 00:00:00Z",
            "2026-12-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:00:60Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00+0100",
            "2026-12-01T00:00:00+24:00",
            "2026-12-01T00:00:00Zjunk",
            "+026-12-01T00:00:00Z",
            "０026-12-01T00:00:0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_a_thousand_years_is_written_and_read() {
        let mut before = 0;
        for day in 0..190_000 {
            let nanos = day * 86_400 * SECOND + 1_000;
            assert_eq!(parse(&text(nanos)), Some(nanos));
            let (_, month, of_month) = date(day);
            assert!(of_month == before + 1 || of_month == 1 && month <= 12, "day {day}");
            before = of_month;
        }
    }
}
