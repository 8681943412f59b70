//! The form of the file.

/// The form that this version writes; `user_version` of the file.
pub(super) const FORM: u32 = 1;

/// `application_id` of a file whose commits are synced one by one. It says how to judge what a crash left, so it is
/// read before anything else. The two differ in many bits.
pub(super) const SYNCED: u32 = 0x4576_634A;
/// `application_id` of a file whose commits are not.
pub(super) const RELAXED: u32 = 0x4576_93B5;

/// The tables, in the order of their making.
pub(super) const TABLES: [(&str, &str); 4] = [
    ("record", "CREATE TABLE record(number INTEGER PRIMARY KEY, sum INTEGER NOT NULL, body BLOB NOT NULL)"),
    ("payload", "CREATE TABLE payload(number INTEGER PRIMARY KEY, sum INTEGER NOT NULL, body BLOB NOT NULL)"),
    ("fact", "CREATE TABLE fact(name BLOB PRIMARY KEY, sum INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID"),
    ("total", "CREATE TABLE total(one INTEGER PRIMARY KEY, sum INTEGER NOT NULL, body BLOB NOT NULL)"),
];

/// Bytes of a page. Tests use small ones, so that every bit of a store can be turned.
pub(super) const PAGE: u32 = 4096;
