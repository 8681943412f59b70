//! The directory that relative paths start at.

use std::path::{Path, PathBuf};

/// The configuration file's own directory.
#[derive(Clone, Debug)]
pub(crate) struct Base(PathBuf);

impl Base {
    /// The directory of the file at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
    }

    /// `path` from here, without `.` in it.
    pub(crate) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path).components().collect()
    }
}
