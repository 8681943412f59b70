//! Finding a program by name.

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
    let _ = (name, path, directory);
    unimplemented!()
}
