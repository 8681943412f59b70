//! Output that never blocks: terminals, pipes and sockets that nobody reads must not stop a supervisor.

use crate::descriptor;
use crate::excerpt::excerpt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A write of that many bytes to a pipe that polls as writable does not block.
const POLLED_CHUNK: usize = 256;

/// How to write without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// An open file of our own, with O_NONBLOCK.
    Own,
    /// A socket: non-blocking call by call.
    Socket,
    /// A file: writing it does not wait for anybody. The inherited open file, whose offset is shared.
    File,
    /// What could not be opened again (another user's terminal): small pieces after a poll, best effort.
    Polled,
}

/// A way to write to an inherited output without ever blocking, and without changing it for those who share it:
/// O_NONBLOCK belongs to the open file, which the shell and every worker have too.
#[derive(Debug)]
pub struct Output {
    fd: OwnedFd,
    way: Way,
}

impl Output {
    /// Opens a way of our own to the file behind `fd`.
    ///
    /// # Errors
    /// The kernel's: EMFILE.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd();
        let status = fstat(fd)?;
        // Opening the master side again would make a new terminal.
        let is_master = (major(status.st_rdev), minor(status.st_rdev)) == (5, 2);
        let way = match FileType::from_raw_mode(status.st_mode) {
            FileType::Fifo => Way::Own,
            FileType::CharacterDevice if !is_master => Way::Own,
            FileType::CharacterDevice => Way::Polled,
            FileType::Socket => Way::Socket,
            _ => Way::File,
        };
        if way == Way::Own {
            return Ok(match reopen(fd) {
                Ok(fd) => Self { fd, way },
                Err(_) => Self { fd: descriptor::duplicate(fd)?, way: Way::Polled },
            });
        }
        Ok(Self { fd: descriptor::duplicate(fd)?, way })
    }

    /// Writes as much as fits now.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; otherwise the kernel's.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.fd.as_fd();
        Ok(match self.way {
            Way::Own | Way::File => retry_on_intr(|| rustix::io::write(fd, bytes))?,
            Way::Socket => retry_on_intr(|| rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))?,
            Way::Polled => {
                let mut poll_fd = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
                if retry_on_intr(|| poll(&mut poll_fd, Some(&Timespec::default())))? == 0 {
                    return Err(Errno::WOULDBLOCK.into());
                }
                let chunk = bytes.get(..POLLED_CHUNK).unwrap_or(bytes);
                retry_on_intr(|| rustix::io::write(fd, chunk))?
            }
        })
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        rustix::termios::isatty(&self.fd)
    }
}

impl AsFd for Output {
    /// For waiting until there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::APPEND | OFlags::CLOEXEC;
    let opened = rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())?;
    if opened.as_raw_fd() > 2 {
        return Ok(opened);
    }
    descriptor::duplicate(opened)
}

/// Columns of a terminal; `None` when it is none, or does not say.
pub fn width(fd: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A new pseudo terminal as (master, slave), both closed on exec: what is written to one is read from the other.
///
/// # Errors
/// The kernel's, when none is left.
pub fn pseudo() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    let unlocked: libc::c_int = 0;
    let mut number: libc::c_int = 0;
    // SAFETY: the call reads one int, which lives here.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call writes one int, which lives here.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let slave = rustix::fs::open(format!("/dev/pts/{number}"), flags, Mode::empty())?;
    Ok((master, slave))
}

/// The terminal that this process belongs to, if it has one.
pub fn controlling() -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()
}

/// The longest line.
const LINE_LIMIT: usize = 64 * 1024;

#[derive(Debug, Default)]
struct State {
    /// The rest of a line that only began to fit.
    pending: Vec<u8>,
    dropped: u64,
    /// Those of `dropped` that no line has told of.
    unreported: u64,
}

/// Lines on standard error. What does not fit is dropped and counted, and a later line says how many.
#[derive(Debug)]
pub struct Stderr {
    output: Output,
    state: Mutex<State>,
    /// Where standard error is a file that nobody else bounds: its most bytes.
    most: Option<u64>,
}

impl Stderr {
    /// Standard error of this process.
    ///
    /// # Errors
    /// The kernel's: it is closed, or no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Self::over(io::stderr())
    }

    /// Lines over `fd` instead.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub fn over(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self { output: Output::open(fd)?, state: Mutex::default(), most: None })
    }

    /// Where standard error is this very file, opened for appending, it is begun anew above `most` bytes.
    #[must_use]
    pub fn bounded(mut self, file: &Path, most: u64) -> Self {
        let (ours, named) = (fstat(&self.output.fd), rustix::fs::stat(file));
        let is_it = matches!((ours, named), (Ok(ours), Ok(named)) if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino));
        self.most = (is_it && self.output.way == Way::File).then_some(most);
        self
    }

    /// Writes `text` (its first 64 KiB) and a newline, or drops it. A line that only began to fit is finished by the
    /// next call.
    pub fn line(&self, text: &str) {
        let mut state = self.state();
        if !self.finish(&mut state) {
            state.drop_line();
            return;
        }
        let text = excerpt(text, LINE_LIMIT);
        let line = match state.unreported {
            0 => format!("{text}\n"),
            count => format!("… {count} lines dropped\n{text}\n"),
        };
        if self.most.is_some_and(|most| self.is_above(most)) {
            // What cannot be cut stays; what is written now is worth more than what was.
            let _ = rustix::fs::ftruncate(&self.output.fd, 0);
        }
        match self.output.write(line.as_bytes()) {
            Ok(written) => {
                state.unreported = 0;
                state.pending.extend_from_slice(line.as_bytes().get(written..).unwrap_or_default());
                self.finish(&mut state);
            }
            Err(_) => state.drop_line(),
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn is_above(&self, most: u64) -> bool {
        fstat(&self.output.fd).is_ok_and(|status| u64::try_from(status.st_size).is_ok_and(|size| size > most))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is pending; whether that is all.
    fn finish(&self, state: &mut State) -> bool {
        while !state.pending.is_empty() {
            match self.output.write(&state.pending) {
                Ok(0) => return false,
                Ok(written) => {
                    state.pending.drain(..written.min(state.pending.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The reader is gone: the rest has no place to go.
                Err(_) => state.pending.clear(),
            }
        }
        true
    }
}

impl State {
    fn drop_line(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.unreported = self.unreported.saturating_add(1);
    }
}
