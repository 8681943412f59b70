//! Whose the engine's files are, where manager and logger run as another user than the supervisor.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use evercrew_config::{Address, Settings};
use evercrew_wire::supervisor::Credentials;

use crate::failure::Failure;

/// Gives the engine's directory, its logs and what is in both to whoever manager and logger run as.
///
/// # Errors
/// When they cannot be given away.
pub(crate) fn give(settings: &Settings, to: Option<&Credentials>) -> Result<(), Failure> {
    let Some(to) = to else { return Ok(()) };
    let paths = settings.listeners.iter().filter_map(|listener| match &listener.address {
        Address::Unix(path) => path.parent(),
        Address::Tcp(_) => None,
    });
    // Where they are missing, the manager might not be permitted to make them.
    for directory in paths.filter(|directory| !directory.exists()) {
        // What fails shows when the socket is opened.
        let _ = fs::create_dir_all(directory).and_then(|()| give_one(directory, to));
    }
    for directory in [&settings.engine.directory, &settings.log.directory] {
        give_directory(directory, to).map_err(|error| {
            Failure::unavailable(format!("cannot give {} to the user of [engine]: {error}", directory.display()))
        })?;
    }
    Ok(())
}

fn give_directory(directory: &Path, to: &Credentials) -> io::Result<()> {
    match give_one(directory, to) {
        // The logger makes it where it can.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        given => given?,
    }
    for entry in fs::read_dir(directory)? {
        give_one(&entry?.path(), to)?;
    }
    Ok(())
}

/// Not a file that has another name elsewhere: whoever may write in the directory could have linked anybody's.
fn give_one(path: &Path, to: &Credentials) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() || (metadata.nlink() == 1 && !metadata.is_symlink()) {
        lchown(path, Some(to.uid), Some(to.gid))?;
    }
    Ok(())
}
