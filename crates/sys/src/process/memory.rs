//! How much memory processes have.

use rustix::param::page_size;
use std::fs::{self, File};
use std::io::Read;

/// Bytes of memory that are resident.
pub fn memory(pid: u32) -> Option<u64> {
    // Seven numbers; read in one piece, since `status` asks it of every worker.
    let mut bytes = [0; 160];
    let length = File::open(format!("/proc/{pid}/statm")).ok()?.read(&mut bytes).ok()?;
    let text = str::from_utf8(bytes.get(..length)?).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(page_size()).ok()?)
}

/// Bytes of anonymous memory, resident and swapped out: cheap to read. Pages that it shares with others since a fork
/// count in full, so it is an upper bound of [`anonymous_share`]. The page cache is nobody's growth.
pub fn anonymous(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    bytes(&text, "RssAnon:")?.checked_add(bytes(&text, "VmSwap:").unwrap_or(0))
}

/// As [`anonymous`], with each page that several processes share divided among them. The kernel walks all of its pages
/// for it, and lets only those read it who could trace the process.
pub fn anonymous_share(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    bytes(&text, "Pss_Anon:")?.checked_add(bytes(&text, "SwapPss:").unwrap_or(0))
}

/// The value of a line such as `RssAnon:    12 kB`.
fn bytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_bytes() {
        let text = "Name:\tx\nRssAnon:\t      12 kB\nVmSwap:\t broken\n";
        assert_eq!(bytes(text, "RssAnon:"), Some(12 * 1024));
        assert_eq!(bytes(text, "VmSwap:"), None);
        assert_eq!(bytes(text, "Pss_Anon:"), None);
        assert_eq!(bytes(&format!("A: {}", u64::MAX), "A:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let own = std::process::id();
        assert!(memory(own).is_some_and(|bytes| bytes > 100_000));
        assert!(anonymous(own).is_some_and(|bytes| bytes > 10_000));
        assert!(anonymous_share(own).is_some_and(|bytes| bytes > 10_000));
        assert_eq!(anonymous(u32::MAX), None);
    }
}
