//! Users and groups by name.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

/// No entry of a user database is larger.
const BUFFER_LIMIT: usize = 1 << 20;

/// The kernel takes 65,536 groups.
const GROUPS_LIMIT: usize = 65_536;

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
    let text = CString::new(name)?;
    let by_name = entry(|passwd, buffer, length, found| {
        // SAFETY: a C string, and locals of `entry` with their lengths.
        unsafe { libc::getpwnam_r(text.as_ptr(), passwd, buffer, length, found) }
    })?;
    match (by_name, name.parse()) {
        (Some(user), _) => Ok(Some(user)),
        (None, Ok(uid)) => entry(|passwd, buffer, length, found| {
            // SAFETY: locals of `entry` with their lengths.
            unsafe { libc::getpwuid_r(uid, passwd, buffer, length, found) }
        }),
        (None, Err(_)) => Ok(None),
    }
}

/// The number of the group called `name` (a number stands for itself); `None` when there is none.
///
/// # Errors
/// When the group database cannot be read.
pub fn find_group(name: &str) -> io::Result<Option<u32>> {
    if let Ok(gid) = name.parse() {
        return Ok(Some(gid));
    }
    let name = CString::new(name)?;
    growing(|buffer| {
        // SAFETY: plain numbers and pointers, all of which may be zero.
        let mut group: libc::group = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        // SAFETY: a C string, and locals with their lengths.
        let result = unsafe {
            let length = buffer.len();
            libc::getgrnam_r(name.as_ptr(), &raw mut group, buffer.as_mut_ptr(), length, &raw mut found)
        };
        (result, (!found.is_null()).then_some(group.gr_gid))
    })
}

/// Looks up one user by `call`, one of the `getpw*_r` functions.
fn entry(
    mut call: impl FnMut(*mut libc::passwd, *mut c_char, usize, *mut *mut libc::passwd) -> i32,
) -> io::Result<Option<User>> {
    growing(|buffer| {
        // SAFETY: plain numbers and pointers, all of which may be zero.
        let mut passwd: libc::passwd = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        let result = call(&raw mut passwd, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if result != 0 || found.is_null() {
            return (result, None);
        }
        // SAFETY: a found entry's texts are C strings in the buffer, which is alive.
        let (name, home, shell) = unsafe { (bytes(passwd.pw_name), bytes(passwd.pw_dir), bytes(passwd.pw_shell)) };
        let path = |bytes: &CStr| PathBuf::from(OsStr::from_bytes(bytes.to_bytes()));
        let user = User {
            name: name.to_string_lossy().into_owned(),
            uid: passwd.pw_uid,
            gid: passwd.pw_gid,
            groups: groups(name, passwd.pw_gid),
            home: path(home),
            shell: path(shell),
        };
        (0, Some(user))
    })
}

/// # Safety
/// Null, or a C string that lives as long as the result is used.
unsafe fn bytes<'a>(text: *const c_char) -> &'a CStr {
    // SAFETY: the caller's promise.
    if text.is_null() { c"" } else { unsafe { CStr::from_ptr(text) } }
}

/// Calls with a larger buffer until the entry fits.
fn growing<T>(mut call: impl FnMut(&mut [c_char]) -> (i32, Option<T>)) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if buffer.len() < BUFFER_LIMIT => buffer.resize(buffer.len() * 4, 0),
            // How some C libraries say "not found".
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn groups(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: a C string, and a vector with its length.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if result >= 0 || groups.len() >= GROUPS_LIMIT {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return groups;
        }
        groups.resize(groups.len() * 4, 0);
    }
}

/// The (user, group) of the process that started us, as the kernel shows it; our own where it is not to be seen.
pub fn of_parent() -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero());
    let seen = parent.and_then(|parent| std::fs::metadata(format!("/proc/{parent}")).ok());
    seen.map_or_else(current, |process| (process.uid(), process.gid()))
}

/// The (effective user, effective group) of this process.
pub fn current() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Raise any resource limit, and lower the OOM score adjustment.
pub const CAP_SYS_RESOURCE: u32 = 24;
/// Lower the nice value.
pub const CAP_SYS_NICE: u32 = 23;

/// Whether this process has the capability of this number now.
pub fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    set >> number & 1 == 1
}

/// Whether the kernel would let this process write there, by mode, groups, capabilities and mount.
pub fn may_write(path: &std::path::Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number() {
        let root = find("root").expect("database").expect("root");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(find("0").expect("database"), Some(root));
        assert_eq!(find_group("root").expect("database"), Some(0));
        assert_eq!(find_group("4242").expect("database"), Some(4242));
    }

    #[test]
    fn unknown_names_are_none_and_zero_bytes_an_error() {
        assert_eq!(find("no-such-user-here").expect("database"), None);
        assert_eq!(find_group("no-such-group-here").expect("database"), None);
        assert!(find("a\0b").is_err());
    }

    #[test]
    fn may_write_is_what_a_write_finds() {
        use std::os::unix::fs::PermissionsExt;
        let place = std::env::temp_dir().join(format!("evercrew-may-write-{}", std::process::id()));
        std::fs::create_dir(&place).expect("make a directory");
        for mode in [0o700, 0o500] {
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode)).expect("set its mode");
            assert_eq!(may_write(&place), std::fs::write(place.join("file"), "").is_ok(), "{mode:o}");
            let _ = std::fs::remove_file(place.join("file"));
        }
        std::fs::remove_dir(&place).expect("remove it");
        assert!(!may_write(&place));
    }
}
