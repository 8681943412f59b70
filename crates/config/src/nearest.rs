//! The known name that an unknown one was probably meant to be.

/// The candidate nearest to `name`, if any is near enough to be a typing error.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length > 64 {
        return None;
    }
    let bound = (length / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The service, or worker of one, that was probably meant by a name that is none: `web.2` by `wbe.2`.
pub fn nearest_name<'a>(name: &str, services: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(name, services.clone()) {
        return Some(near.to_owned());
    }
    let (service, slot) = name.rsplit_once('.')?;
    let near = nearest(service, services).filter(|near| *near != service)?;
    Some(format!("{near}.{slot}"))
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment); case and `-` for `_` are free.
fn distance(left: &str, right: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (left, right) = (fold(left), fold(right));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near() {
        let known = ["workers", "command", "ready_timeout", "env"];
        assert_eq!(nearest("worker", known), Some("workers"));
        assert_eq!(nearest("comamnd", known), Some("command"));
        assert_eq!(nearest("Ready-Timeout", known), Some("ready_timeout"));
        assert_eq!(nearest("eng", known), Some("env"));
    }

    #[test]
    fn a_worker_s_name_is_near_by_its_service() {
        let known = ["web", "worker"];
        assert_eq!(nearest_name("wbe", known).as_deref(), Some("web"));
        assert_eq!(nearest_name("wroker.12", known).as_deref(), Some("worker.12"));
        assert_eq!(nearest_name("web.99999", known), None, "that service is known, its worker is not there");
        assert_eq!(nearest_name("mailer", known), None);
    }

    #[test]
    fn other_words_are_not() {
        assert_eq!(nearest("colour", ["workers", "command"]), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", ["y"]), None);
        assert_eq!(nearest(&"w".repeat(1 << 20), ["workers"]), None);
    }
}
