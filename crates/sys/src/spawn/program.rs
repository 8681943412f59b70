//! Finding a program by name.

use rustix::fs::{Access, access};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// A program that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// No directory of the search path holds it.
    NotFound {
        /// What was looked for.
        name: PathBuf,
    },
    /// A file of that name is there, but it may not be executed (no x bit for us, or a directory).
    NotExecutable {
        /// The first such file.
        path: PathBuf,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => write!(f, "no program `{}` found", name.display()),
            Self::NotExecutable { path } => write!(f, "`{}` is not an executable file", path.display()),
        }
    }
}

impl std::error::Error for FindError {}

/// The absolute path of the program `name`, as `execvp` in `directory` would find it.
///
/// A name with a slash is relative to `directory`; one without is looked up in `path` (the value of PATH, whose
/// relative and empty entries are relative to `directory` too). `directory` should be absolute.
///
/// # Errors
/// [`FindError`] when there is no such file, or none that we may execute.
pub fn find_program(name: &OsStr, path: &OsStr, directory: &Path) -> Result<PathBuf, FindError> {
    if name.as_encoded_bytes().contains(&b'/') {
        let candidate = directory.join(name);
        return match check(&candidate) {
            Candidate::Executable => Ok(candidate),
            Candidate::Unusable => Err(FindError::NotExecutable { path: candidate }),
            Candidate::Missing => Err(FindError::NotFound { name: candidate }),
        };
    }
    let not_found = || FindError::NotFound { name: PathBuf::from(name) };
    if name.is_empty() {
        return Err(not_found());
    }
    let mut unusable = None;
    for entry in std::env::split_paths(path) {
        let candidate = directory.join(entry).join(name);
        match check(&candidate) {
            Candidate::Executable => return Ok(candidate),
            Candidate::Unusable => unusable = unusable.or(Some(candidate)),
            Candidate::Missing => {}
        }
    }
    Err(unusable.map_or_else(not_found, |path| FindError::NotExecutable { path }))
}

enum Candidate {
    Executable,
    Unusable,
    Missing,
}

fn check(path: &Path) -> Candidate {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && access(path, Access::EXEC_OK).is_ok() => Candidate::Executable,
        Ok(_) => Candidate::Unusable,
        // A directory that we may not search may hold it.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Candidate::Unusable,
        Err(_) => Candidate::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").expect("write");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn the_first_executable_of_the_path_wins() {
        let root = tempfile::tempdir().expect("directory");
        for name in ["a", "b", "c"] {
            std::fs::create_dir(root.path().join(name)).expect("directory");
        }
        file(&root.path().join("a/tool"), 0o644);
        file(&root.path().join("b/tool"), 0o755);
        file(&root.path().join("c/tool"), 0o755);
        file(&root.path().join("a/plain"), 0o644);
        let find = |name: &str| find_program(name.as_ref(), "a:b:c".as_ref(), root.path());
        assert_eq!(find("tool"), Ok(root.path().join("b/tool")));
        assert_eq!(find("plain"), Err(FindError::NotExecutable { path: root.path().join("a/plain") }));
        assert_eq!(find("none"), Err(FindError::NotFound { name: "none".into() }));
        assert_eq!(find(""), Err(FindError::NotFound { name: "".into() }));
        assert_eq!(find("./c/tool"), Ok(root.path().join("./c/tool")));
        assert_eq!(find("a/tool"), Err(FindError::NotExecutable { path: root.path().join("a/tool") }));
        assert_eq!(find("./a"), Err(FindError::NotExecutable { path: root.path().join("./a") }));
        assert_eq!(find("./none"), Err(FindError::NotFound { name: root.path().join("./none") }));
    }

    #[test]
    fn an_empty_entry_is_the_working_directory() {
        let root = tempfile::tempdir().expect("directory");
        file(&root.path().join("tool"), 0o755);
        assert_eq!(find_program("tool".as_ref(), ":/nowhere".as_ref(), root.path()), Ok(root.path().join("tool")));
        assert_eq!(
            find_program("sh".as_ref(), "/bin".as_ref(), root.path()),
            Ok(PathBuf::from("/bin/sh")),
            "absolute entries ignore the directory"
        );
    }
}
