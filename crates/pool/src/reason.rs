//! Words for what became of jobs and children.

use std::time::Duration;

use evercrew_core::fleet::ExitStatus;
use evercrew_core::pool::{Doom, Failure};

/// How a process ended.
pub(crate) fn exit(status: Option<ExitStatus>) -> String {
    match status {
        Some(ExitStatus::Code(code)) => format!("exit code {code}"),
        Some(ExitStatus::Signal(Some(signal))) => signal.to_string(),
        Some(ExitStatus::Signal(None)) => "a signal without a name".to_owned(),
        Some(ExitStatus::OutOfMemory) => "SIGKILL for want of memory".to_owned(),
        None => "no process came of it".to_owned(),
    }
}

/// Why a child is ended.
pub(crate) fn doom(why: Doom) -> &'static str {
    match why {
        Doom::TimedOut(_) => "it had a job in hand for longer than it may",
        Doom::Cancelled(_) => "its job was cancelled",
        Doom::OutOfStep => {
            "it is out of step: it answered for a job that it does not have; write one line for each job, with its id"
        }
        Doom::Garbage => {
            "it wrote what is no answer: a line that is too long, or output where only answers may stand; print to standard error"
        }
        Doom::Foreign => "it speaks another version of the protocol, or takes no job at once; this is version 1",
        Doom::Stayed => "it did not get ready, or did not end when its input was closed",
        Doom::Stopped => "its time to finish is over",
    }
}

/// Why a job failed: a short name, and words.
pub(crate) fn failure(failure: Failure) -> (&'static str, String) {
    match failure {
        Failure::Said => ("Error", String::new()),
        Failure::Died(status) => ("ChildDied", format!("its child died: {}", exit(status))),
        Failure::TimedOut(after) => ("Timeout", format!("it was not done within {}", seconds(after))),
        Failure::OutOfStep => ("OutOfStep", "its child answered for another job, and was ended".to_owned()),
        Failure::Garbage => ("Garbage", "its child wrote what is no answer, and was ended".to_owned()),
        Failure::Bystander => ("Bystander", "its child was ended because of another job".to_owned()),
        Failure::NeverBegun => ("NeverBegun", "one child after the other died before it began it".to_owned()),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
