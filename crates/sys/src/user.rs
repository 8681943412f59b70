//! Users and groups by name.

use std::io;
use std::path::PathBuf;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its own group.
    pub gid: u32,
    /// All groups it is a member of, its own included.
    pub groups: Vec<u32>,
    /// Its home directory.
    pub home: PathBuf,
    /// Its shell.
    pub shell: PathBuf,
}

/// The user called `name`, or with that number when it is one; `None` when there is none.
///
/// # Errors
/// When the user database cannot be read.
pub fn find(name: &str) -> io::Result<Option<User>> {
    let _ = name;
    unimplemented!()
}

/// The number of the group called `name` (a number stands for itself); `None` when there is none.
///
/// # Errors
/// When the group database cannot be read.
pub fn find_group(name: &str) -> io::Result<Option<u32>> {
    let _ = name;
    unimplemented!()
}

/// The (effective user, effective group) of this process.
pub fn current() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}
