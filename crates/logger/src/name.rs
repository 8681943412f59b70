//! Names of log files: `web.1.log`, and `web.1.log.20260102T030405.678Z` for one that is complete.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Of compressed ones.
pub(crate) const GZ: &str = ".gz";

/// Of one that is being compressed.
pub(crate) const PART: &str = ".gz.part";

/// The bytes of `20260102T030405.678Z`.
const MOMENT: usize = 20;

/// `web.1.log`. Names have no slash by their grammar; one that had would not lead out of the directory.
pub(crate) fn current(base: &str) -> String {
    let base: String = base.chars().map(|character| if character == '/' { '_' } else { character }).collect();
    format!("{base}.log")
}

/// What a complete file is called, less its ending: greater than `last`, whatever the clock says.
pub(crate) fn complete(base: &str, now: i64, last: Option<&str>) -> String {
    let last = last.and_then(|name| moment_of(name.get(current(base).len() + 1..)?));
    let millis = last.map_or(now, |last| now.max(last + 1));
    format!("{}.{}", current(base), moment(millis))
}

fn moment(millis: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// Milliseconds since 1970 of `20260102T030405.678Z` with anything behind it.
pub(crate) fn moment_of(text: &str) -> Option<i64> {
    let text = text.get(..MOMENT)?;
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.fZ", text).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// (`web.1`, what stands behind `web.1.log.`) of a complete file's name, compressed or not.
pub(crate) fn parse_complete(name: &str) -> Option<(&str, &str)> {
    let (base, rest) = name.rsplit_once(".log.")?;
    let moment = rest.strip_suffix(GZ).unwrap_or(rest);
    (moment.len() == MOMENT && moment_of(moment).is_some()).then_some((base, moment))
}

/// The complete files of a directory by what they are of, oldest first, without `.gz`; each once.
///
/// # Errors
/// When the directory cannot be read; one that is missing is empty.
pub(crate) fn scan(directory: &Path) -> io::Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names(directory)? {
        if let Some((base, moment)) = parse_complete(&name) {
            let complete = format!("{}.{moment}", current(base));
            found.entry(base.to_owned()).or_default().push(complete);
        }
    }
    for files in found.values_mut() {
        files.sort_unstable();
        files.dedup();
    }
    Ok(found)
}

/// Every name in the directory that is text.
///
/// # Errors
/// When it cannot be read; one that is missing is empty.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_directory() {
        assert_eq!(current("web.1"), "web.1.log");
        assert_eq!(current("../etc/x"), ".._etc_x.log");
        assert_eq!(current(".."), "...log");
    }

    #[test]
    fn complete_files_are_in_order_whatever_the_clock_says() {
        let first = complete("web.1", 1_767_323_045_678, None);
        assert_eq!(first, "web.1.log.20260102T030405.678Z");
        let second = complete("web.1", 0, Some(&first));
        assert_eq!(second, "web.1.log.20260102T030405.679Z");
        assert!(second > first);
    }

    #[test]
    fn names_are_understood_or_left_alone() {
        assert_eq!(parse_complete("web.1.log.20260102T030405.678Z"), Some(("web.1", "20260102T030405.678Z")));
        assert_eq!(parse_complete("web.1.log.20260102T030405.678Z.gz"), Some(("web.1", "20260102T030405.678Z")));
        for other in ["web.1.log", "web.1.log.1", "web.1.log.20260102T030405.678Z.gz.part", "", "é.log.ééééééééééé"]
        {
            assert_eq!(parse_complete(other), None, "{other}");
        }
    }
}
