//! From a `Spawn` record to a running child.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::limits::{Limit, Resource};
use evercrew_sys::notify::NotifySocket;
use evercrew_sys::spawn::{Credentials, Group, Plan, Program, SpawnError, Step};
use evercrew_sys::{channel, descriptor, pipe, spawn, stream};
use evercrew_wire::Text;
use evercrew_wire::supervisor::{self as wire, Kept, Source, Spawn};

use crate::cgroups::Place;
use crate::children::Child;
use crate::custody::Custody;

/// Bytes a worker may be ahead of its reader.
const OUTPUT_PIPE_BYTES: usize = 256 * 1024;

/// Makes the process.
///
/// # Errors
/// When a descriptor cannot be made or the fork fails; what was made is closed again.
pub(crate) fn launch(
    request: &Spawn,
    attached: Option<OwnedFd>,
    place: Place,
    custody: &Custody,
    now: Mono,
) -> Result<Child, SpawnError> {
    let mut kept = Vec::new();
    let mut descriptors = Vec::with_capacity(request.descriptors.len());
    for descriptor in &request.descriptors {
        descriptors.push((open(&descriptor.source, custody, &mut kept).map_err(failed_descriptor)?, descriptor.number));
    }
    let mut notify_path = None;
    if let Some(notify) = &request.notify {
        let path = notify.path.to_path();
        let socket = NotifySocket::bind(&path, notify.owner).map_err(failed_descriptor)?;
        kept.push((Kept::Notify, OwnedFd::from(socket)));
        notify_path = Some(path);
    }
    let program = match (&request.program, attached) {
        (wire::Program::Path(path), _) => Program::Path(c_string(path)?),
        (wire::Program::Attached, Some(fd)) => Program::Descriptor(fd),
        (wire::Program::Attached, None) => return Err(failed_descriptor(invalid())),
    };
    let plan = Plan {
        environment: request.environment.iter().map(c_string).collect::<Result<_, _>>()?,
        pid_variables: request.pid_variables.clone(),
        directory: Some(c_string(&request.directory)?),
        descriptors,
        group: Group::Session,
        cgroup: place.cgroup,
        joined: place.joined,
        parent_death: request.die_with_supervisor.then_some(Signal::Kill),
        limits: request.limits.iter().map(limit).collect::<Result<_, _>>()?,
        credentials: request.credentials.as_ref().map(|wire::Credentials { uid, gid, groups }| Credentials {
            uid: *uid,
            gid: *gid,
            groups: groups.clone(),
        }),
        umask: request.umask,
        nice: request.nice,
        oom_score_adj: request.oom_score_adj,
        ..Plan::new(program, request.arguments.iter().map(c_string).collect::<Result<_, _>>()?)
    };
    let child = spawn::spawn(&plan).inspect_err(|_| {
        if let Some(path) = &notify_path {
            // Nobody will use it; one that stays is replaced by the next of that name.
            let _ = std::fs::remove_file(path);
        }
    })?;
    kept.insert(0, (Kept::Pidfd, child.pidfd));
    Ok(Child {
        label: request.label.clone(),
        pid: child.pid,
        started: now,
        exec: Some(child.outcome),
        kept,
        notify_path,
        signalled: None,
        stop_signal: request.stop_signal.parse().unwrap_or(Signal::Term),
        stop_grace: Duration::from_millis(request.stop_grace_ms),
        ended: false,
    })
}

fn open(source: &Source, custody: &Custody, kept: &mut Vec<(Kept, OwnedFd)>) -> io::Result<OwnedFd> {
    let mut piped = |kind, capacity: Option<usize>| {
        let (read, write) = pipe::pair()?;
        if let Some(bytes) = capacity {
            pipe::enlarge(read.as_fd(), bytes);
        }
        kept.push((kind, read));
        Ok(write)
    };
    match source {
        Source::Null => File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from),
        Source::Inherit(number) => standard(*number),
        Source::Listener(name) => custody
            .listener(name)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .and_then(descriptor::duplicate),
        Source::Output => piped(Kept::Output, Some(OUTPUT_PIPE_BYTES)),
        Source::Error => piped(Kept::Error, Some(OUTPUT_PIPE_BYTES)),
        Source::Ready => piped(Kept::Ready, None),
        Source::Command => {
            let (ours, theirs) = stream::pair()?;
            kept.push((Kept::Command, ours));
            Ok(theirs)
        }
        Source::Link => {
            let (ours, theirs) = channel::pair()?;
            kept.push((Kept::Link, OwnedFd::from(ours)));
            Ok(OwnedFd::from(theirs))
        }
    }
}

fn limit((name, soft, hard): &(String, u64, u64)) -> Result<Limit, SpawnError> {
    let resource = Resource::from_name(name).ok_or(SpawnError { step: Step::Limits, errno: EINVAL })?;
    Ok(Limit { resource, soft: *soft, hard: *hard })
}

/// The supervisor's own 1 or 2.
fn standard(number: i32) -> io::Result<OwnedFd> {
    match number {
        1 => descriptor::duplicate(io::stdout()),
        2 => descriptor::duplicate(io::stderr()),
        _ => Err(invalid()),
    }
}

fn c_string(text: &Text) -> Result<CString, SpawnError> {
    CString::new(text.0.clone()).map_err(|_| failed_descriptor(invalid()))
}

/// A request that no manager of ours makes: a text with a NUL byte, a program that was not attached.
fn invalid() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

fn failed_descriptor(error: io::Error) -> SpawnError {
    SpawnError { step: Step::Descriptors, errno: error.raw_os_error().unwrap_or(EINVAL) }
}

/// For errors that did not come from the kernel.
const EINVAL: i32 = 22;
