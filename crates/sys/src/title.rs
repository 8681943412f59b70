//! What `ps` shows.

use crate::process;
use std::ffi::CString;
use std::ptr;

/// The kernel keeps that many bytes of a thread's name.
const NAME_LIMIT: usize = 15;

/// Writes `text` over this process's arguments and makes its first 15 bytes the thread's name.
///
/// It is cut to the space the arguments had. Call it before there are threads, and read `std::env::args` before it:
/// they are gone afterwards. Best effort: without /proc only the name is set.
pub fn set(text: &str) {
    let bytes = text.as_bytes();
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    if let Ok(name) = CString::new(bytes.get(..NAME_LIMIT).unwrap_or(bytes)) {
        let _ = rustix::thread::set_name(&name);
    }
    let Some((start, end)) = process::argument_area() else { return };
    // The last byte stays the zero that ends the last argument: whoever reads arguments stops there.
    let Some(room) = end.checked_sub(start).and_then(|length| length.checked_sub(1)) else { return };
    let length = bytes.len().min(room);
    let area: *mut u8 = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the kernel says that these bytes hold our arguments: they are mapped, writable and of this size for the
    // life of the process, and nothing of Rust's is in them. Nobody reads them in this moment: there are no threads.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), area, length);
        ptr::write_bytes(area.add(length), 0, room - length);
    }
}
