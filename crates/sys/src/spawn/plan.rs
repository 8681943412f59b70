//! What a process is to be started with.

use crate::limits::Limit;
use evercrew_core::Signal;
use std::ffi::CString;
use std::os::fd::{OwnedFd, RawFd};

/// The file to execute.
#[derive(Debug)]
pub enum Program {
    /// By path. Without a slash it is a file in the working directory: resolve names with
    /// [`find_program`](crate::spawn::find_program). A relative path is looked up in [`Plan::directory`].
    Path(CString),
    /// By an open file: a binary, never a script (its interpreter could not open it again).
    Descriptor(OwnedFd),
}

/// Which process group the child is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// It leads a session, and so a group, of its own, without a controlling terminal.
    Session,
    /// It leads a group of its own in our session.
    Own,
    /// It stays in ours.
    Inherit,
}

/// The user the child runs as. Setting it needs CAP_SETUID and CAP_SETGID even when it is our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user.
    pub uid: u32,
    /// Real, effective and saved group.
    pub gid: u32,
    /// The supplementary groups, exactly.
    pub groups: Vec<u32>,
}

/// Everything about a process to be started.
#[derive(Debug)]
pub struct Plan {
    /// The file to execute.
    pub program: Program,
    /// argv, its first entry (the program's name) included.
    pub arguments: Vec<CString>,
    /// The whole environment as `NAME=value`; nothing is inherited.
    pub environment: Vec<CString>,
    /// The working directory; `None` keeps ours.
    pub directory: Option<CString>,
    /// Open files and the number the child finds each at. 0, 1 and 2 are inherited unless they are named here; every
    /// other descriptor is closed. Sources and targets may overlap in any way.
    pub descriptors: Vec<(OwnedFd, RawFd)>,
    /// Its process group.
    pub group: Group,
    /// Its user; `None` keeps ours.
    pub credentials: Option<Credentials>,
    /// Its file mode mask; `None` keeps ours.
    pub umask: Option<u32>,
    /// Its resource limits; those not named are inherited.
    pub limits: Vec<Limit>,
    /// Its nice value, absolute.
    pub nice: Option<i32>,
    /// Its OOM score adjustment, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// An open cgroup2 directory to start in.
    pub cgroup: Option<OwnedFd>,
    /// Open directories of other cgroup hierarchies (version 1) to move into.
    pub joined: Vec<OwnedFd>,
    /// The signal it gets when the thread that started it ends.
    pub parent_death: Option<Signal>,
    /// Environment variables that hold the child's own pid: a name, such as `LISTEN_PID`, or `NAME=text` with `{pid}` in
    /// the text. They replace entries of [`Plan::environment`] of the same name.
    pub pid_variables: Vec<String>,
}

impl Plan {
    /// A plan with these arguments and nothing else: empty environment, our directory, 0 to 2 inherited.
    pub fn new(program: Program, arguments: Vec<CString>) -> Self {
        Self {
            program,
            arguments,
            environment: Vec::new(),
            directory: None,
            descriptors: Vec::new(),
            group: Group::Inherit,
            credentials: None,
            umask: None,
            limits: Vec::new(),
            nice: None,
            oom_score_adj: None,
            cgroup: None,
            joined: Vec::new(),
            parent_death: None,
            pid_variables: Vec::new(),
        }
    }
}
