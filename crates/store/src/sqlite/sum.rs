//! Checksums of rows.

/// The checksum of a row: of its key as well, so that a row in another's place is found.
pub(super) fn of(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// The checksum of a row that is kept under a number.
pub(super) fn numbered(number: u64, body: &[u8]) -> u32 {
    of(&number.to_le_bytes(), body)
}
