//! Patterns of `include`: a path whose last part may have `*` and `?`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path whose last part may have wildcards. Absolute.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    folder: PathBuf,
    name: Vec<u8>,
}

impl Glob {
    /// The pattern that is the absolute path `path`, or why it is none.
    pub(crate) fn new(path: &Path) -> Result<Self, &'static str> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err("found no file's name") };
        let has_wildcard = |bytes: &[u8]| bytes.iter().any(|byte| b"*?".contains(byte));
        if has_wildcard(folder.as_os_str().as_bytes()) {
            return Err("`*` and `?` may stand only in the last part of a path");
        }
        Ok(Self { folder: folder.to_path_buf(), name: name.as_bytes().to_vec() })
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The one file that it means, when it has no wildcard.
    pub(crate) fn literal(&self) -> Option<PathBuf> {
        let plain = !self.name.iter().any(|byte| b"*?".contains(byte));
        plain.then(|| self.folder.join(OsStr::from_bytes(&self.name)))
    }

    /// Whether `path` is meant. A leading dot must be written.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().map(OsStrExt::as_bytes) else { return false };
        let is_hidden = name.first() == Some(&b'.') && self.name.first() != Some(&b'.');
        path.parent() == Some(&self.folder) && !is_hidden && matches(&self.name, name)
    }
}

/// Whether the pattern is the whole name. Each `*` is tried again one character later: never more than the product of
/// both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[here] => {
                at += 1;
                here += 1;
            }
            Some(_) | None => match &mut star {
                Some((begin, taken)) => {
                    *taken += 1;
                    (at, here) = (*begin + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_any_part_of_a_name() {
        for (pattern, name) in [("*.toml", "a.toml"), ("a?c*", "abc"), ("*", "x"), ("**b", "aab"), ("a", "a")] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.toml~"), ("a?c", "ac"), ("", "x"), ("a*b", "abc"), ("?", "")] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        let name = "a".repeat(255);
        assert!(!matches("*a".repeat(100).as_bytes(), format!("{name}b").as_bytes()));
    }

    #[test]
    fn a_pattern_means_files_of_one_folder() {
        let glob = Glob::new(Path::new("/etc/crew/conf.d/*.toml")).expect("a pattern");
        assert!(glob.matches(Path::new("/etc/crew/conf.d/a.toml")));
        assert!(!glob.matches(Path::new("/etc/crew/conf.d/.a.toml")));
        assert!(!glob.matches(Path::new("/etc/crew/a.toml")));
        assert!(!glob.matches(Path::new("/etc/crew/conf.d/x/a.toml")));
        assert_eq!(glob.literal(), None);
        let one = Glob::new(Path::new("/etc/crew/a.toml")).expect("a pattern");
        assert_eq!(one.literal(), Some(PathBuf::from("/etc/crew/a.toml")));
        assert!(Glob::new(Path::new("/etc/*/a.toml")).is_err());
        assert!(Glob::new(Path::new("/")).is_err());
    }
}
