//! How much the processor time of a thread is worth.

/// The nice value of this process.
pub fn own() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}

/// Makes the calling thread nicer by `niceness` (up to 19): others that want the processor come before it. Where the
/// kernel refuses, it stays as it is.
pub fn lower(niceness: i32) {
    // On Linux the value is the calling thread's alone.
    let _ = rustix::process::nice(niceness);
}
