//! Rules of this house that no tool of the language knows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::stage::{refuse, root};

/// Lines that a source file may have; a longer one has a second noun in it.
const MOST_LINES: usize = 500;

/// Files that are longer all the same, with the lines they may have. Numbers here only fall.
const LONGER: [(&str, usize); 0] = [];

/// The one crate that may hold code the compiler does not check.
const SYSTEM_CALLS: &str = "crates/sys/";

/// What a crate's first documentation has to tell.
const OPENING: [&str; 4] =
    ["**What it does.**", "**Where to start.**", "**What it must never", "**How it is tested.**"];

/// One source file.
struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

/// Checks every source file of the workspace.
pub(crate) fn check() -> Result<()> {
    let root = root()?;
    let mut sources = Vec::new();
    for folder in ["crates", "sim", "load", "e2e", "xtask"] {
        collect(&root, &root.join(folder), &mut sources)?;
    }
    refuse(&findings(&sources))
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, sources)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source { path, text });
        }
    }
    Ok(())
}

fn findings(sources: &[Source]) -> Vec<String> {
    let mut findings: Vec<String> = sources.iter().flat_map(of_file).collect();
    for (path, _) in LONGER {
        let is_needed = sources.iter().any(|source| source.path == path && source.text.lines().count() > MOST_LINES);
        if !is_needed {
            findings.push(format!("{path}: not over {MOST_LINES} lines; take it off the list in xtask/src/tidy.rs"));
        }
    }
    findings.sort();
    findings
}

fn of_file(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let path = source.path.as_str();
    let lines = source.text.lines().count();
    let most = LONGER.iter().find(|(longer, _)| *longer == path).map_or(MOST_LINES, |(_, lines)| *lines);
    if lines > most {
        findings.push(format!("{path}: {lines} lines, {most} allowed; is there a second noun in it?"));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if ["utils.rs", "util.rs", "common.rs", "helpers.rs"].contains(&name) {
        findings.push(format!("{path}: a file is named after what is in it"));
    }
    if path.ends_with("/src/lib.rs") {
        let missing = OPENING.iter().filter(|part| !source.text.contains(**part));
        findings.extend(missing.map(|part| format!("{path}: does not open with a paragraph {part}")));
    }
    let mut in_tests = is_test_file(path);
    for (index, line) in source.text.lines().enumerate() {
        in_tests |= line.trim() == "#[cfg(test)]";
        findings.extend(of_line(path, line, in_tests).map(|found| format!("{path}:{}: {found}", index + 1)));
    }
    findings
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("e2e/") || path.starts_with("sim/")
}

fn of_line(path: &str, line: &str, in_tests: bool) -> Option<&'static str> {
    // The words are put together here so that this file is not found itself.
    let unchecked = concat!("un", "safe");
    let sleeps = [concat!("thread::", "sleep"), concat!("time::", "sleep"), concat!("sleep", "(Duration")];
    let ignored = concat!("#[", "ignore");
    let code = line.split("//").next().unwrap_or_default();
    if has_word(code, unchecked) && !path.starts_with(SYSTEM_CALLS) {
        return Some("only crates/sys may hold code that the compiler does not check");
    }
    if in_tests && sleeps.iter().any(|sleep| code.contains(sleep)) {
        return Some("a test waits on an event, never on a sleep");
    }
    if code.contains(ignored) {
        return Some("a test runs or does not exist; one that cannot run here prints SKIP and its reason");
    }
    None
}

/// Whether `word` stands in `code` as a whole word outside of strings.
fn has_word(code: &str, word: &str) -> bool {
    let outside: String = code.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    outside.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        of_file(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn ordinary_code_passes() {
        let text =
            format!("//! About {0}.\nfn f() {{ g(\"{0}\"); }} // {0}\n#![forbid({0}_code)]\n", concat!("un", "safe"));
        assert_eq!(found("crates/core/src/f.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn every_planted_violation_is_found() {
        let block = concat!("un", "safe { f() }");
        let sleep = concat!("std::thread::", "sleep(SECOND);");
        let planted = [
            ("crates/core/src/f.rs", block.to_owned(), "crates/sys"),
            ("e2e/tests/f.rs", sleep.to_owned(), "never on a sleep"),
            ("crates/core/src/f.rs", format!("#[cfg(test)]\nmod tests {{\n{sleep}\n}}"), "never on a sleep"),
            ("crates/core/src/f.rs", concat!("#[", "ignore]").to_owned(), "SKIP"),
            ("crates/core/src/utils.rs", String::new(), "named after"),
            ("crates/core/src/lib.rs", OPENING[1..].join("\n//! "), "does not open with"),
            ("crates/core/src/f.rs", "\n".repeat(MOST_LINES + 1), "second noun"),
        ];
        for (path, text, expected) in planted {
            let found = found(path, &text);
            assert!(found.len() == 1 && found[0].contains(expected), "{path}: {found:?}");
        }
        assert_eq!(found("crates/sys/src/f.rs", block), Vec::<String>::new());
    }
}
