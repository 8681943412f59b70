//! What `ps` shows.

/// Writes `text` over this process's arguments and makes its first 15 bytes the thread's name.
///
/// It is cut to the space the arguments had. Call it before there are threads, and read `std::env::args` before it:
/// they are gone afterwards. Best effort: without /proc nothing happens.
pub fn set(text: &str) {
    let _ = text;
    unimplemented!()
}
