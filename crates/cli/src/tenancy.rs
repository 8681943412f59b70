//! Whose an engine's directory is: one engine's at a time, also where somebody removed the files that say so.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_sys::claim::{Claim, claim};
use evercrew_sys::lock::{Lock, LockError};
use evercrew_sys::pid_file::PidFile;
use evercrew_sys::{process, user};

use crate::client::forbidden;
use crate::failure::Failure;

/// How long a lock may outlive the process that took it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this process, and what it becomes, has of the directory.
#[derive(Debug)]
pub(crate) struct Tenancy {
    pub(crate) lock: Lock,
    pub(crate) claim: Option<OwnedFd>,
}

/// Takes the engine's directory, which is there.
///
/// # Errors
/// When another engine has it.
pub(crate) fn take(directory: &Path) -> Result<Tenancy, Failure> {
    let until = Instant::now() + PATIENCE;
    // First what no removed file can give away.
    let claim = take_claim(directory, until)?;
    let lock = take_lock(directory, until)?;
    Ok(Tenancy { lock, claim })
}

fn take_claim(directory: &Path, until: Instant) -> Result<Option<OwnedFd>, Failure> {
    let Ok(name) = name(directory) else { return Ok(None) };
    loop {
        match claim(&name) {
            Ok(Claim::Ours(claim)) => return Ok(Some(claim)),
            Ok(Claim::Others { pid, uid }) if is_engine_of(directory, pid, uid) => {
                if process::exists(pid) {
                    return Err(taken(directory, &format!("process {pid}")));
                }
                // A killed supervisor's last child holds a copy until its exec, gone in a moment.
                if Instant::now() >= until {
                    return Ok(None);
                }
                pause();
            }
            // Somebody else's by chance, or not to be had here: the lock alone must do.
            Ok(Claim::Others { .. }) | Err(_) => return Ok(None),
        }
    }
}

/// By the directory that it is in, which stays when it is removed itself, and its name in there.
fn name(directory: &Path) -> io::Result<Vec<u8>> {
    let path = fs::canonicalize(directory)?;
    let parent = fs::metadata(path.parent().unwrap_or(&path))?;
    // FNV-1a: a name may be longer than a claim.
    let hash = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default().iter();
    let hash =
        hash.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    Ok(format!("evercrew/{:x}:{:x}/{hash:016x}", parent.dev(), parent.ino()).into_bytes())
}

/// Whether who has the claim can be an engine of this very directory: anybody may claim any name, and another container
/// on this network may have the same numbers.
fn is_engine_of(directory: &Path, pid: u32, uid: u32) -> bool {
    let owner = fs::metadata(directory).map_or(uid, |metadata| metadata.uid());
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt"));
    let elsewhere = match (namespace(&pid.to_string()), namespace("self")) {
        (Ok(theirs), Ok(ours)) => theirs != ours,
        _ => false,
    };
    pid != 0 && !elsewhere && [0, owner, user::current().0].contains(&uid)
}

fn take_lock(directory: &Path, until: Instant) -> Result<Lock, Failure> {
    let path = directory.join("lock");
    loop {
        match Lock::acquire(&path) {
            Ok(lock) => return Ok(lock),
            // As above; one that is just starting has not written who it is.
            Err(LockError::Held { pid }) if !pid.is_some_and(process::exists) && Instant::now() < until => pause(),
            Err(LockError::Held { pid }) => {
                let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                return Err(taken(directory, &who));
            }
            Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(forbidden(&path));
            }
            Err(error) => return Err(Failure::unavailable(error.to_string())),
        }
    }
}

pub(crate) fn taken(directory: &Path, who: &str) -> Failure {
    let text = format!("an engine runs in {} already: {who}", directory.display());
    Failure::unavailable(text).hint("`evercrew status` shows it, `evercrew down` stops it")
}

/// Makes the pid file.
///
/// # Errors
/// When another process that lives has it, or it cannot be made.
pub(crate) fn make_pid_file(path: &Path) -> Result<PidFile, Failure> {
    PidFile::create(path).map_err(|error| match error {
        LockError::Held { pid } => {
            let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            Failure::unavailable(format!("the pid file {} is that of {who}, which runs", path.display()))
                .hint("stop that one, remove the file if it is none of yours, or set engine.pid_file to another path")
        }
        LockError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => forbidden(path),
        error => Failure::unavailable(format!("cannot make the pid file {}: {error}", path.display()))
            .hint("set engine.pid_file to a path that you may write to"),
    })
}

#[allow(clippy::disallowed_methods, reason = "a lock gives no sign when it is free")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
