//! A plan turned into what the child can use without a single allocation.

use super::error::{SpawnError, Step};
use super::plan::{Group, Plan, Program};
use std::ffi::{CString, c_char};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// Room for `u32::MAX` in decimal and the terminating zero.
const PID_ROOM: usize = 11;

/// Stands for the child's pid in the text of a pid variable.
const PID_PLACE: &str = "{pid}";

/// An environment entry whose value the child writes.
pub(super) struct PidVariable {
    /// `NAME=` and what stands before the pid, then zero bytes: room for the pid, for `after` and for the end.
    buffer: Vec<u8>,
    /// Where the digits begin.
    digits: usize,
    /// What stands behind the pid.
    after: Vec<u8>,
}

impl PidVariable {
    /// `None` for a text without a name, with a zero byte, or with a value that has no place for the pid.
    fn new(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=').unwrap_or((text, PID_PLACE));
        let (before, after) = value.split_once(PID_PLACE)?;
        if name.is_empty() || text.contains('\0') {
            return None;
        }
        let mut buffer = format!("{name}={before}").into_bytes();
        let digits = buffer.len();
        buffer.resize(digits + PID_ROOM + after.len(), 0);
        Some(Self { buffer, digits, after: after.as_bytes().to_vec() })
    }

    fn name(text: &str) -> &str {
        text.split_once('=').map_or(text, |(name, _)| name)
    }

    /// Writes `pid` in decimal. Neither allocates nor panics.
    pub(super) fn write(&mut self, pid: u32) {
        let mut rest = pid;
        let mut reversed = [0u8; PID_ROOM];
        let mut length = 0;
        for place in &mut reversed {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            length += 1;
            if rest == 0 {
                break;
            }
        }
        let text = reversed.iter().take(length).rev().chain(&self.after);
        for (place, byte) in self.buffer.iter_mut().skip(self.digits).zip(text) {
            *place = *byte;
        }
    }
}

/// A descriptor on its way to its number.
pub(super) struct Move {
    pub(super) source: RawFd,
    /// Its duplicate above all targets, which the child makes.
    pub(super) staged: RawFd,
    pub(super) target: RawFd,
}

/// Everything the child reads. It points into the plan, so it must not outlive it.
pub(super) struct Prepared<'a> {
    pub(super) plan: &'a Plan,
    pub(super) arguments: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    pub(super) pid_variables: Vec<PidVariable>,
    pub(super) moves: Vec<Move>,
    /// Ranges of numbers above 2 that no target is in.
    pub(super) gaps: Vec<(u32, u32)>,
    /// One above the highest target, and above 2.
    pub(super) floor: RawFd,
    pub(super) oom_score_adj: Option<CString>,
    pub(super) parent: i32,
}

impl<'a> Prepared<'a> {
    /// # Errors
    /// EINVAL for targets that are negative or named twice, and for pid variables without a name.
    pub(super) fn new(plan: &'a Plan) -> Result<Self, SpawnError> {
        let invalid = |step| SpawnError { step, errno: libc::EINVAL };
        let mut targets: Vec<RawFd> = plan.descriptors.iter().map(|(_, target)| *target).collect();
        targets.sort_unstable();
        if targets.first().is_some_and(|lowest| *lowest < 0) || targets.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(invalid(Step::Descriptors));
        }
        let highest = targets.last().copied().unwrap_or(2).max(2);
        let floor = highest.checked_add(1).ok_or(invalid(Step::Descriptors))?;
        let moves = plan
            .descriptors
            .iter()
            .map(|(source, target)| Move { source: source.as_raw_fd(), staged: -1, target: *target })
            .collect();
        let pid_variables: Option<Vec<PidVariable>> =
            plan.pid_variables.iter().map(|text| PidVariable::new(text)).collect();
        let pid_variables = pid_variables.ok_or(invalid(Step::Exec))?;
        let replaced = |entry: &&CString| {
            let bytes = entry.as_bytes();
            plan.pid_variables
                .iter()
                .map(|text| PidVariable::name(text).as_bytes())
                .any(|name| bytes.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'=')))
        };
        let environment = plan
            .environment
            .iter()
            .filter(|entry| !replaced(entry))
            .map(|entry| entry.as_ptr())
            .chain(pid_variables.iter().map(|variable| variable.buffer.as_ptr().cast()))
            .chain([ptr::null()])
            .collect();
        Ok(Self {
            plan,
            arguments: plan.arguments.iter().map(|argument| argument.as_ptr()).chain([ptr::null()]).collect(),
            environment,
            pid_variables,
            moves,
            gaps: gaps(&targets),
            floor,
            oom_score_adj: plan.oom_score_adj.and_then(|value| CString::new(value.to_string()).ok()),
            parent: rustix::process::getpid().as_raw_nonzero().get(),
        })
    }

    pub(super) fn group(&self) -> Group {
        self.plan.group
    }

    pub(super) fn program(&self) -> &Program {
        &self.plan.program
    }
}

/// The ranges of numbers from 3 on between the sorted `targets`.
fn gaps(targets: &[RawFd]) -> Vec<(u32, u32)> {
    let mut gaps = Vec::with_capacity(targets.len() + 1);
    let mut next: u32 = 3;
    for target in targets.iter().filter_map(|target| u32::try_from(*target).ok()).filter(|target| *target >= 3) {
        if target > next {
            gaps.push((next, target - 1));
        }
        next = target + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_leave_out_the_targets() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[0, 1, 2]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[3, 4, 9]), [(5, 8), (10, u32::MAX)]);
        assert_eq!(gaps(&[5]), [(3, 4), (6, u32::MAX)]);
    }

    #[test]
    fn a_pid_is_written_in_decimal() {
        for pid in [1, 9, 10, 4_194_304, u32::MAX] {
            for (text, expected) in
                [("LISTEN_PID", format!("LISTEN_PID={pid}")), ("R=a:{pid}:3", format!("R=a:{pid}:3"))]
            {
                let mut variable = PidVariable::new(text).unwrap_or_else(|| panic!("{text} is one"));
                variable.write(pid);
                let written = variable.buffer.split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
                assert_eq!(written, Some(expected.into_bytes()));
                assert_eq!(variable.buffer.last(), Some(&0));
            }
        }
    }

    #[test]
    fn a_pid_variable_needs_a_name_and_a_place_for_the_pid() {
        for text in ["", "=", "={pid}", "A=b", "A\0"] {
            assert!(PidVariable::new(text).is_none(), "{text:?}");
        }
    }
}
