//! The challenge that a server with a password gives.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Fewest rounds that a server asks for.
pub const FEWEST_ROUNDS: u32 = 4000;
/// Most rounds that a client goes along with.
pub const MOST_ROUNDS: u32 = 1_000_000;

/// What the client answers with: SHA-256 of password and salt, hashed again until there were `rounds` of it, in
/// hexadecimal digits.
pub fn answer(password: &[u8], salt: &str, rounds: u32) -> String {
    let mut hash = Sha256::new_with_prefix(password).chain_update(salt).finalize();
    for _ in 1..rounds {
        hash = Sha256::digest(hash);
    }
    let mut text = String::with_capacity(64);
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether two answers are the same, in a time that does not tell where they differ.
pub fn same(left: &str, right: &str) -> bool {
    let differing = left.bytes().zip(right.bytes()).fold(0, |differing, (left, right)| differing | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_vector() {
        let hash = answer(b"foobar", "55104dc76695721d", 1545);
        assert_eq!(hash, "6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30");
        assert!(same(&hash, "6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30"));
        for other in ["", "6d", &hash[..63], &hash.replace('0', "1")] {
            assert!(!same(&hash, other), "{other}");
        }
    }
}
