//! When a task is over, and what its outcomes amount to.

use super::outcome::Tally;

/// What an asker needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every answer, and each has to be a success.
    All,
    /// Every answer; those that are missing are named, and the rest is of use: a status of each, metrics that are merged.
    Map,
    /// One success, whoever is first.
    First,
    /// So many successes.
    Quorum(u32),
}

/// What the outcomes of a task amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was needed is there.
    Ok,
    /// Some of it is; the lines say what is missing.
    Partial,
    /// Somebody failed, ended or was replaced.
    Failed,
    /// Nobody failed, but somebody said nothing in time.
    Late,
    /// There was nobody to ask. That is no success.
    Nobody,
    /// More is being asked already than can be kept.
    Refused,
}

impl Strategy {
    /// What the outcomes so far amount to; `None` while that can change to the better or more is to be heard.
    pub(super) const fn verdict(self, tally: &Tally) -> Option<Verdict> {
        if tally.asked() == 0 {
            return Some(Verdict::Nobody);
        }
        let needed = match self {
            Self::All | Self::Map => {
                if tally.open > 0 {
                    return None;
                }
                tally.asked()
            }
            Self::First => 1,
            Self::Quorum(0) => 1,
            Self::Quorum(number) => number,
        };
        if tally.ok >= needed {
            return Some(Verdict::Ok);
        }
        if tally.ok + tally.open >= needed {
            return None;
        }
        let partial = matches!(self, Self::Map) && tally.ok > 0;
        Some(match (partial, tally.lost(), tally.timeout) {
            (true, ..) => Verdict::Partial,
            (false, 0, 1..) => Verdict::Late,
            (false, ..) => Verdict::Failed,
        })
    }
}
