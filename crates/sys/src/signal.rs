//! Signals: their numbers, and the descriptor they are read from.

use evercrew_core::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The kernel's number of a signal.
pub const fn number(signal: Signal) -> i32 {
    match signal {
        Signal::Hup => libc::SIGHUP,
        Signal::Int => libc::SIGINT,
        Signal::Quit => libc::SIGQUIT,
        Signal::Ill => libc::SIGILL,
        Signal::Trap => libc::SIGTRAP,
        Signal::Abrt => libc::SIGABRT,
        Signal::Bus => libc::SIGBUS,
        Signal::Fpe => libc::SIGFPE,
        Signal::Kill => libc::SIGKILL,
        Signal::Usr1 => libc::SIGUSR1,
        Signal::Segv => libc::SIGSEGV,
        Signal::Usr2 => libc::SIGUSR2,
        Signal::Pipe => libc::SIGPIPE,
        Signal::Alrm => libc::SIGALRM,
        Signal::Term => libc::SIGTERM,
        Signal::Stkflt => libc::SIGSTKFLT,
        Signal::Chld => libc::SIGCHLD,
        Signal::Cont => libc::SIGCONT,
        Signal::Stop => libc::SIGSTOP,
        Signal::Tstp => libc::SIGTSTP,
        Signal::Ttin => libc::SIGTTIN,
        Signal::Ttou => libc::SIGTTOU,
        Signal::Urg => libc::SIGURG,
        Signal::Xcpu => libc::SIGXCPU,
        Signal::Xfsz => libc::SIGXFSZ,
        Signal::Vtalrm => libc::SIGVTALRM,
        Signal::Prof => libc::SIGPROF,
        Signal::Winch => libc::SIGWINCH,
        Signal::Io => libc::SIGIO,
        Signal::Pwr => libc::SIGPWR,
        Signal::Sys => libc::SIGSYS,
    }
}

/// The signal with this number; `None` for real-time signals and numbers that are none.
pub fn from_number(number: i32) -> Option<Signal> {
    Signal::ALL.iter().copied().find(|&signal| self::number(signal) == number)
}

/// A signal that was sent to this process, with what the kernel knows of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The kernel's number.
    pub number: i32,
    /// Its name; `None` for a real-time signal.
    pub signal: Option<Signal>,
    /// The sender's pid; 0 when it was the kernel (or a process outside of our pid namespace).
    pub sender_pid: u32,
    /// The sender's user.
    pub sender_uid: u32,
    /// The kernel itself sent it: a terminal (ctrl-c, background read) or a lost terminal, not a process.
    pub from_kernel: bool,
}

/// All signals of this thread as a descriptor that becomes readable.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks every signal that can be blocked and returns the descriptor they are read from from then on: closed on
    /// exec, non-blocking.
    ///
    /// Not blocked are the synchronous faults (SEGV, BUS, FPE, ILL, TRAP, SYS): they end the process as they should.
    /// SIGPIPE is ignored instead of blocked: a write answers EPIPE and the descriptor stays silent. All other
    /// dispositions are reset to default, so that an inherited "ignore SIGCHLD" does not take the exit statuses away.
    ///
    /// Only the calling thread and threads it starts afterwards are affected: call it before there are others.
    ///
    /// # Errors
    /// The kernel's: EMFILE, ENFILE.
    pub fn block_all() -> io::Result<Self> {
        unimplemented!()
    }

    /// The next signal, `None` when none waits. Equal signals that were sent before the read count once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Option<Received>> {
        unimplemented!()
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Unblocks every signal of the calling thread and resets every disposition to the default.
///
/// A spawned child does this by itself. This is for a process that goes on as something else.
pub fn default_dispositions() {
    unimplemented!()
}
