//! The table's columns, and which of them a narrow terminal keeps.

/// Their titles, from left to right.
pub(crate) const TITLES: [&str; COLUMNS] =
    ["NAME", "STATE", "PID", "GEN", "REV", "UPTIME", "RESTARTS", "MEMORY", "CPU", "LAST EXIT"];
/// How many there are.
pub(crate) const COLUMNS: usize = 10;
/// The most important first.
const RANK: [usize; COLUMNS] = [0, 1, 6, 9, 5, 2, 7, 8, 3, 4];
/// Between two of them.
pub(crate) const GAP: usize = 2;
/// What a column may be cut down to before others go: the state loses how far a rollout is, the last exit its reason.
const SHORTEST: [usize; COLUMNS] = {
    let mut shortest = [usize::MAX; COLUMNS];
    (shortest[1], shortest[COLUMNS - 1]) = (12, 12);
    shortest
};

/// Which columns fit into this width, from left to right, each with its own. What is left goes to those that were cut.
pub(crate) fn fitting(widths: [usize; COLUMNS], available: usize) -> Vec<(usize, usize)> {
    let mut left = available;
    let mut kept: Vec<(usize, usize)> = Vec::new();
    for column in RANK {
        let gap = if kept.is_empty() { 0 } else { GAP };
        let needed = widths[column].min(SHORTEST[column]);
        // The first one is there however narrow it is.
        let needed = if kept.is_empty() { needed.min(left) } else { needed };
        if needed + gap <= left {
            left -= needed + gap;
            kept.push((column, needed));
        }
    }
    kept.sort_unstable();
    for (column, width) in &mut kept {
        let more = (widths[*column] - *width).min(left);
        *width += more;
        left -= more;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [usize; COLUMNS] = [7, 13, 5, 3, 3, 6, 8, 7, 5, 20];

    fn titles(available: usize) -> Vec<&'static str> {
        fitting(WIDTHS, available).into_iter().map(|(column, _)| TITLES[column]).collect()
    }

    #[test]
    fn a_wide_terminal_shows_all_and_a_narrow_one_what_matters_most() {
        assert_eq!(titles(200), TITLES);
        assert_eq!(titles(60), ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT"]);
        assert_eq!(titles(24), ["NAME", "STATE"]);
        assert_eq!(titles(3), ["NAME"]);
    }

    #[test]
    fn no_width_is_exceeded() {
        for available in 0..200 {
            let kept = fitting(WIDTHS, available);
            let gaps = kept.len().saturating_sub(1) * GAP;
            assert!(kept.iter().map(|(_, width)| width).sum::<usize>() + gaps <= available, "{available}: {kept:?}");
        }
    }
}
