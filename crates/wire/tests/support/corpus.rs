//! Hostile input, one file each, and small changes of it.

use std::path::Path;

/// The files by name.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/corpus/faktory");
    let entries = std::fs::read_dir(&directory).expect("the corpus").map(|entry| entry.expect("a file").path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// One of them as it is after a few changes that `seed` draws.
pub(crate) fn changed(files: &[(String, Vec<u8>)], seed: u64) -> Vec<u8> {
    let mut state = seed;
    // splitmix64: any seed will do.
    let mut draw = move |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((drawn ^ (drawn >> 31)) % below.max(1) as u64).unwrap_or(0)
    };
    let mut bytes = files[draw(files.len())].1.clone();
    for _ in 0..=draw(6) {
        let at = draw(bytes.len() + 1);
        match draw(6) {
            0 => bytes.insert(at, u8::try_from(draw(256)).unwrap_or(0)),
            1 if at < bytes.len() => bytes[at] ^= 1 << draw(8),
            2 if at < bytes.len() => drop(bytes.drain(at..(at + 1 + draw(8)).min(bytes.len()))),
            3 => {
                let piece = bytes[..at].to_vec();
                bytes.extend_from_slice(&piece);
            }
            4 => {
                let other = &files[draw(files.len())].1;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[draw(other.len())..]);
            }
            _ => {
                let odd: [&[u8]; 9] = [b"\"", b"{", b"]", b"\\u", b"1e9", b"\r\n", b"\xff", b"null", b"-"];
                bytes.splice(at..at, odd[draw(9)].iter().copied());
            }
        }
        bytes.truncate(64 << 10);
    }
    bytes
}
