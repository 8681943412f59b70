//! Becoming another program, and what is inherited by it.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// Numbers that were handed out.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Replaces this process by the program in `program`: same pid, same children. Returns only when that failed.
///
/// The signal mask, ignored signals and descriptors without close-on-exec are inherited. Call it from the main thread:
/// it ends every other one.
pub fn replace_self(program: BorrowedFd<'_>, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers =
        |strings: &[CString]| strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: a C string, and two arrays that end with null and point to strings that live until the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Lets `fd` be inherited by the next exec, under its number.
///
/// # Errors
/// The kernel's.
pub fn keep_on_exec(fd: impl AsFd) -> io::Result<()> {
    crate::descriptor::set_close_on_exec(fd, false)
}

/// Takes [`keep_on_exec`] back.
///
/// # Errors
/// The kernel's.
pub fn close_on_exec(fd: impl AsFd) -> io::Result<()> {
    crate::descriptor::set_close_on_exec(fd, true)
}

/// Adopts the inherited descriptor `number`, and closes it on exec from then on. `None` when it is 0, 1 or 2, not
/// open, was taken before, or was not inherited: an inherited one has no close-on-exec flag, while every descriptor
/// that is opened in this process by Rust has, so that nobody else's can be taken by mistake.
pub fn take_descriptor(number: RawFd) -> Option<OwnedFd> {
    if number <= 2 {
        return None;
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: F_GETFD takes a number and changes nothing, whoever it belongs to.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 || !taken.insert(number) {
        return None;
    }
    // SAFETY: it is open and was inherited, so nothing in this process owns it, and the set shows that nobody was
    // given it before.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    close_on_exec(&fd).ok()?;
    Some(fd)
}

/// Makes `to` our standard output and standard error, for us and whatever we execute.
///
/// # Errors
/// The kernel's.
pub fn redirect_output(to: impl AsFd) -> io::Result<()> {
    rustix::stdio::dup2_stdout(&to)?;
    Ok(rustix::stdio::dup2_stderr(&to)?)
}

/// Removes a variable from our environment. Call it before there are threads: others may be reading it.
pub fn remove_variable(name: &str) {
    // SAFETY: the caller has no other thread that could read the environment.
    unsafe { std::env::remove_var(name) };
}

/// Sets a variable of our environment. Call it before there are threads: others may be reading it.
///
/// # Panics
/// When the name is empty or has `=` in it, or either has a zero byte.
pub fn set_variable(name: &str, value: &str) {
    // SAFETY: the caller has no other thread that could read the environment.
    unsafe { std::env::set_var(name, value) };
}
