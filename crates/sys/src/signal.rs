//! Signals: their numbers, and the descriptor they are read from.

use evercrew_core::Signal;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

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
        let mask = blockable();
        for number in numbers() {
            // SAFETY: reads a local set.
            if unsafe { libc::sigismember(&raw const mask, number) } == 1 {
                set_default(number);
            }
        }
        ignore(libc::SIGPIPE)?;
        // SAFETY: reads a local set; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: reads a local set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened it for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal, `None` when none waits. Equal signals that were sent before the read count once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Option<Received>> {
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut record)) {
            Ok(length) if length == record.len() => {}
            Ok(_) => return Ok(None),
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // SAFETY: the structure is plain numbers, and the kernel has filled every byte of it.
        let record = unsafe { ptr::read_unaligned(record.as_ptr().cast::<libc::signalfd_siginfo>()) };
        let number = i32::try_from(record.ssi_signo).unwrap_or(0);
        Ok(Some(Received {
            number,
            signal: from_number(number),
            sender_pid: record.ssi_pid,
            sender_uid: record.ssi_uid,
            from_kernel: record.ssi_code == libc::SI_KERNEL,
        }))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether this process ignores a signal: it may have been started so (`nohup`).
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: plain numbers and a pointer, all of which may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: asks only, and writes to a local.
    let result = unsafe { libc::sigaction(number(signal), ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Unblocks every signal of the calling thread and resets every disposition to the default.
///
/// A spawned child does this by itself. This is for a process that goes on as something else.
pub fn default_dispositions() {
    numbers().for_each(set_default);
    // SAFETY: an all-zero set is an empty one; the old mask is not asked for.
    unsafe {
        let mut empty: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const empty, ptr::null_mut());
    }
}

/// Every number but those that the C library keeps for itself.
fn numbers() -> impl Iterator<Item = i32> {
    (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

fn set_default(number: i32) {
    // SAFETY: the default action runs no code of ours. The kernel refuses it for KILL and STOP, which have no other.
    unsafe { libc::signal(number, libc::SIG_DFL) };
}

fn ignore(number: i32) -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours.
    if unsafe { libc::signal(number, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Every signal but the synchronous faults and SIGPIPE.
fn blockable() -> libc::sigset_t {
    let kept = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, libc::SIGPIPE];
    // SAFETY: the set is a local that sigfillset initializes, and the numbers are valid.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        for number in kept {
            libc::sigdelset(&raw mut set, number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for &signal in Signal::ALL {
            assert_eq!(from_number(number(signal)), Some(signal));
        }
        assert_eq!(from_number(0), None);
        assert_eq!(from_number(40), None);
    }
}
