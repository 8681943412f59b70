//! A name that one process at a time can have, whatever happens to files.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::peer;

/// Those who ask who has it leave a connection that nobody takes; beyond it there is no telling who.
const QUESTIONS: i32 = 1024;
/// It is given up while it is asked for, over and over: rather tell than turn for ever.
const TRIES: usize = 8;

/// What became of a claim.
#[derive(Debug)]
pub enum Claim {
    /// Ours as long as a copy of this descriptor is open (closed on exec).
    Ours(OwnedFd),
    /// Another process has it.
    Others {
        /// Its pid; 0 when it is not visible from here.
        pid: u32,
        /// Its user.
        uid: u32,
    },
}

/// Claims `name` in this network namespace: an abstract socket, so no file stands for it and none is left behind.
///
/// # Errors
/// The kernel's; `InvalidInput` for a name of more than 107 bytes.
pub fn claim(name: &[u8]) -> io::Result<Claim> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    for _ in 0..TRIES {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match bind(&socket, &address) {
            Ok(()) => {
                listen(&socket, QUESTIONS)?;
                return Ok(Claim::Ours(socket));
            }
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
        let question = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&question, &address) {
            Ok(()) => {
                let peer = peer::credentials(&question)?;
                return Ok(Claim::Others { pid: peer.pid, uid: peer.uid });
            }
            // It was just given up, or is not listened on yet.
            Err(Errno::CONNREFUSED) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_who_is_told() {
        let name = format!("evercrew-test-{}", std::process::id());
        let Claim::Ours(first) = claim(name.as_bytes()).expect("claim") else { panic!("nobody has it") };
        match claim(name.as_bytes()).expect("ask") {
            Claim::Others { pid, uid } => assert_eq!((pid, uid), (std::process::id(), crate::user::current().0)),
            Claim::Ours(_) => panic!("twice"),
        }
        drop(first);
        assert!(matches!(claim(name.as_bytes()).expect("claim"), Claim::Ours(_)));
        assert!(claim(&[b'x'; 200]).is_err());
    }
}
