//! Bytes in memory behind a descriptor, sealed so that nobody can change them.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

/// A memfd that holds `bytes` and can never be changed again. `name` shows in /proc only.
///
/// # Errors
/// The kernel's; `InvalidInput` for a name with a zero byte or over 249 bytes.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Not known before Linux 6.3.
        Err(Errno::INVAL) => memfd_create(name, flags)?,
        result => result?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, every_seal())?;
    Ok(file.into())
}

/// All bytes of a sealed memfd. The file offset is neither used nor moved.
///
/// # Errors
/// `InvalidData` when it is not sealed against every change (its writer could change it under us) or holds more than
/// `limit` bytes; otherwise the kernel's.
pub fn read(fd: impl AsFd, limit: usize) -> io::Result<Vec<u8>> {
    let fd = fd.as_fd();
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    // A file that knows no seals answers EINVAL.
    if !fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(every_seal())) {
        return Err(invalid("the file is not a sealed memfd"));
    }
    let length = usize::try_from(fstat(fd)?.st_size).unwrap_or(usize::MAX);
    if length > limit {
        return Err(invalid(&format!("the memfd holds {length} bytes, more than the {limit} that are taken")));
    }
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::pread(fd, &mut bytes[filled..], filled as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

fn every_seal() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_again_and_cannot_be_changed() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let fd = sealed("test", &bytes).expect("memfd");
        assert_eq!(read(&fd, bytes.len()).expect("read"), bytes);
        assert_eq!(read(&fd, bytes.len()).expect("read twice"), bytes);
        let mut file = File::from(fd.try_clone().expect("clone"));
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
        assert_eq!(read(sealed("", b"").expect("empty"), 0).expect("read"), b"");
    }

    #[test]
    fn the_unsealed_and_the_oversized_are_refused() {
        let kind = |result: io::Result<Vec<u8>>| result.err().map(|error| error.kind());
        let fd = sealed("test", b"four").expect("memfd");
        assert_eq!(kind(read(&fd, 3)), Some(io::ErrorKind::InvalidData));
        let open = memfd_create("open", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
        assert_eq!(kind(read(&open, 3)), Some(io::ErrorKind::InvalidData));
        let file = tempfile::tempfile().expect("file");
        assert_eq!(kind(read(&file, 3)), Some(io::ErrorKind::InvalidData));
    }
}
