//! Sizes as text: `"512KiB"`, `"64MiB"`, `"2GiB"`.

use crate::nearest::nearest;

/// More is taken for a typing error.
const LARGEST: u64 = 1 << 60;

const UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotASize {
    /// Not a number followed by a unit; with what was probably meant.
    Form(Option<String>),
    /// Over one EiB.
    TooLarge,
}

/// Reads a whole number and its unit: B, KiB, MiB, GiB or TiB.
pub(crate) fn parse(text: &str) -> Result<u64, NotASize> {
    exact(text).unwrap_or_else(|| Err(NotASize::Form(meant(text))))
}

/// Nothing when it is not a number followed by a unit.
fn exact(text: &str) -> Option<Result<u64, NotASize>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.into_iter().find(|(name, _)| *name == unit && !number.is_empty())?;
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes));
    Some(size.filter(|size| *size <= LARGEST).ok_or(NotASize::TooLarge))
}

/// The size that `text` was probably meant to be: units as other programs write them.
fn meant(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).take(64).collect();
    let digits = compact.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = compact.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        "b" | "byte" | "bytes" | "" => "B",
        other => nearest(other, UNITS.iter().map(|(name, _)| *name))?,
    };
    let meant = format!("{number}{unit}");
    exact(&meant)?.is_ok().then_some(meant)
}

/// The shortest text that [`parse`] reads back.
pub(crate) fn format(size: u64) -> String {
    let fits = |(_, bytes): &&(&str, u64)| size.is_multiple_of(*bytes) && size > 0;
    let (unit, bytes) = UNITS.iter().rev().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", size / bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_and_written_back() {
        for text in ["0B", "1B", "1023B", "512KiB", "64MiB", "3GiB", "2TiB"] {
            let parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(format(parsed), text);
        }
        assert_eq!(parse("64MiB"), Ok(64 * 1024 * 1024));
        assert_eq!(format(1024), "1KiB");
    }

    #[test]
    fn other_ways_of_writing_are_understood_but_refused() {
        for (text, instead) in [("64M", "64MiB"), ("64 mb", "64MiB"), ("512", "512B"), ("1gib", "1GiB")] {
            assert_eq!(parse(text), Err(NotASize::Form(Some(instead.to_owned()))), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1B", "٣MiB", "much"] {
            assert_eq!(parse(text), Err(NotASize::Form(None)), "{text}");
        }
        for text in ["2000000TiB", "18446744073709551616B", "99999999999999999999TiB"] {
            assert_eq!(parse(text), Err(NotASize::TooLarge), "{text}");
        }
    }
}
