//! Becoming another program, and what is inherited by it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Replaces this process by the program in `program`: same pid, same children. Returns only when that failed.
///
/// The signal mask, ignored signals and descriptors without close-on-exec are inherited. Call it from the main thread:
/// it ends every other one.
pub fn replace_self(program: BorrowedFd<'_>, arguments: &[CString], environment: &[CString]) -> io::Error {
    let _ = (program, arguments, environment);
    unimplemented!()
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
    let _ = number;
    unimplemented!()
}

/// Removes a variable from our environment. Call it before there are threads: others may be reading it.
pub fn remove_variable(name: &str) {
    let _ = name;
    unimplemented!()
}

/// Sets a variable of our environment. Call it before there are threads: others may be reading it.
///
/// # Panics
/// When the name is empty or has `=` in it, or either has a zero byte.
pub fn set_variable(name: &str, value: &str) {
    let _ = (name, value);
    unimplemented!()
}
