//! The password, from a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::Password;
use crate::error::Error;

/// Longest password, in bytes.
const LONGEST: u64 = 4096;

/// Reads the file at `path`, less the line ends behind it.
///
/// # Errors
/// It cannot be read, is too long, or is empty: then strangers would come in.
pub(crate) fn read(path: &Path) -> Result<Password, Error> {
    let failed = |error| Error::Password(path.to_owned(), error);
    let invalid = |why: &str| failed(io::Error::new(io::ErrorKind::InvalidData, why));
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LONGEST + 3).read_to_string(&mut text)).map_err(failed)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(invalid("the file is empty: write the password into it"));
    }
    if text.len() as u64 > LONGEST {
        return Err(invalid("it has more than 4096 bytes"));
    }
    Ok(Password::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_password_is_none_to_serve_with() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("password");
        let missing = read(&path).expect_err("missing");
        assert_eq!(missing.exit_code(), 78);
        assert!(missing.to_string().contains(path.to_str().expect("text")), "{missing}");
        let long = "x".repeat(5000);
        for bytes in [&b""[..], b"\n", b"\r\n\n", b"\xff\xfe", long.as_bytes()] {
            std::fs::write(&path, bytes).expect("write");
            assert_eq!(read(&path).expect_err("no password").exit_code(), 78, "{bytes:?}");
        }
        assert_eq!(read(home.path()).expect_err("a directory").exit_code(), 78);
        std::fs::write(&path, " s3cret \r\n").expect("write");
        assert!(read(&path).expect("a password") == Password::new(" s3cret "));
    }
}
