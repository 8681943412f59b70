//! Places where a test may stop a process, to see what becomes of the others: in builds with debug assertions alone.
//!
//! `EVERCREW_FAILPOINTS` names a directory. A process that comes to a place for which there is a file of that name there
//! moves it away, so that one process stops there once, writes its pid into `NAME.reached`, and goes on when that file is
//! gone, after ten seconds at the latest; where that file says `abort`, it ends so.

/// The process is at this place.
#[cfg(not(debug_assertions))]
pub const fn reached(_: &str) {}

/// The process is at this place.
#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "a test decides when it goes on, and no product is built so")]
pub fn reached(name: &str) {
    use std::path::PathBuf;
    use std::time::Duration;

    /// Between two looks.
    const LOOK: Duration = Duration::from_millis(2);
    /// Looks before it goes on in any case.
    const MOST: u32 = 5000;

    let Some(directory) = std::env::var_os("EVERCREW_FAILPOINTS").map(PathBuf::from) else { return };
    let (armed, reached) = (directory.join(name), directory.join(format!("{name}.reached")));
    let written = directory.join(format!("{name}.{}", std::process::id()));
    if std::fs::rename(&armed, &written).is_err() {
        return;
    }
    // Whoever waits for it sees it whole.
    if std::fs::write(&written, std::process::id().to_string()).is_err() || std::fs::rename(&written, &reached).is_err()
    {
        return;
    }
    for _ in 0..MOST {
        match std::fs::read(&reached) {
            Err(_) => return,
            Ok(text) if text == b"abort" => {
                let _ = std::fs::remove_file(&reached);
                std::process::abort();
            }
            Ok(_) => {}
        }
        std::thread::sleep(LOOK);
    }
}
