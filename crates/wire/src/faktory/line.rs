//! Lines out of what has been received, read in place.

/// Longest line before login, in bytes.
pub const LONGEST_BEFORE_LOGIN: usize = 4096;
/// Longest line with one job, in bytes: the job, its verb and some room.
pub const LONGEST_WITH_JOB: usize = super::job::LARGEST_JOB + 4096;
/// Longest line with many jobs, in bytes.
pub const LONGEST_WITH_JOBS: usize = (16 << 20) + 64;
/// Longest of all other lines, in bytes.
pub const LONGEST_OF_OTHERS: usize = 1 << 20;

/// What stands at the beginning of the bytes that were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole line, without its end, and how many bytes it takes with it.
    Line(&'a [u8], usize),
    /// The beginning of one that may become `most` bytes long.
    More(usize),
    /// The beginning of one that is longer than `most` bytes.
    TooLong(usize),
}

/// Looks for the first line in `bytes`, of which the first `searched` are known to hold no line end.
pub fn next(bytes: &[u8], searched: usize, logged_in: bool) -> Next<'_> {
    let most = longest(bytes, logged_in);
    let searched = searched.min(bytes.len());
    match bytes[searched..].iter().position(|byte| *byte == b'\n') {
        Some(found) if searched + found <= most + 1 => {
            let end = searched + found;
            let line = &bytes[..end];
            Next::Line(line.strip_suffix(b"\r").unwrap_or(line), end + 1)
        }
        Some(_) => Next::TooLong(most),
        None if bytes.len() > most + 1 => Next::TooLong(most),
        None => Next::More(most),
    }
}

fn longest(bytes: &[u8], logged_in: bool) -> usize {
    if !logged_in {
        return LONGEST_BEFORE_LOGIN;
    }
    // The shorter verb is the beginning of the longer.
    if bytes.starts_with(b"PUSHB") {
        LONGEST_WITH_JOBS
    } else if bytes.starts_with(b"PUSH") {
        LONGEST_WITH_JOB
    } else {
        LONGEST_OF_OTHERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_line_ends_are_taken() {
        assert_eq!(next(b"INFO\r\nEND\r\n", 0, true), Next::Line(b"INFO", 6));
        assert_eq!(next(b"INFO\nEND", 0, true), Next::Line(b"INFO", 5));
        assert_eq!(next(b"INFO\r", 4, true), Next::More(LONGEST_OF_OTHERS));
        assert_eq!(next(b"\n", 0, true), Next::Line(b"", 1));
        assert_eq!(next(b"", 0, false), Next::More(LONGEST_BEFORE_LOGIN));
    }

    #[test]
    fn each_bound_holds_to_the_byte() {
        for (verb, logged_in, most) in [
            ("PUSH", false, 4096),
            ("PUSH", true, LONGEST_WITH_JOB),
            ("PUSHB", true, LONGEST_WITH_JOBS),
            ("FETCH", true, LONGEST_OF_OTHERS),
        ] {
            let mut line = format!("{verb} ");
            line.extend(std::iter::repeat_n('x', most - line.len()));
            let whole = format!("{line}\r\n");
            assert_eq!(next(whole.as_bytes(), 0, logged_in), Next::Line(line.as_bytes(), most + 2), "{verb}");
            line.push_str("xx");
            assert_eq!(next(line.as_bytes(), 0, logged_in), Next::TooLong(most), "{verb}");
            line.push('\n');
            assert_eq!(next(line.as_bytes(), 0, logged_in), Next::TooLong(most), "{verb}");
        }
    }
}
