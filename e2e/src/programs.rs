//! Programs under test, as `cargo xtask programs` installs them.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where the sources of small programs under test are.
pub fn apps() -> PathBuf {
    workspace().join("e2e/apps")
}

/// The path of an installed program. `None`, with a line that says why the test is skipped, when it is not there.
pub fn program(name: &str) -> Option<String> {
    let programs = workspace().join(".programs");
    let path = programs.join("bin").join(name);
    if path.exists() {
        return Some(path.display().to_string());
    }
    let reason = std::fs::read_to_string(programs.join("skipped").join(name));
    println!("SKIP {name}: {}", reason.as_deref().unwrap_or("not installed, run `cargo xtask programs`"));
    None
}

/// A port of the loopback that nothing listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    listener.local_addr().expect("its address").port()
}
