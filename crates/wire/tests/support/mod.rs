//! Forms that were written once and must stay readable.

use std::path::PathBuf;

use evercrew_wire::deposit::VERSION;

/// The golden file of this name; written anew with EVERCREW_BLESS.
pub(crate) fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("v{VERSION}-{name}.json"));
    if std::env::var_os("EVERCREW_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("make the directory");
        std::fs::write(&path, [bytes, b"\n"].concat()).expect("write the golden file");
    }
    let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    found.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(found)
}
