//! `after`: which services wait for which, and circles in it.

use std::collections::BTreeMap;

use evercrew_core::fleet::ServiceId;

use crate::diagnostic::{Diagnostic, Report};
use crate::nearest::nearest;
use crate::service::Draft;
use crate::text::Span;

/// Fills in `policy.after` of every service, and reports names that are none and circles.
pub(crate) fn resolve(report: &Report, drafts: &mut [Draft]) {
    let ids: BTreeMap<String, usize> =
        drafts.iter().enumerate().map(|(index, draft)| (draft.service.name.clone(), index)).collect();
    let mut waits: Vec<Vec<(usize, Span)>> = Vec::new();
    for draft in drafts.iter_mut() {
        let mut edges = Vec::new();
        for (name, at) in &draft.after {
            match ids.get(name) {
                Some(index) => edges.push((*index, *at)),
                None => report.add(unknown("service", name, *at, ids.keys().map(String::as_str))),
            }
        }
        draft.service.policy.after =
            edges.iter().filter_map(|(index, _)| u32::try_from(*index).ok().map(ServiceId)).collect();
        waits.push(edges);
    }
    if let Some(circle) = circle(&waits) {
        report_circle(report, drafts, &circle);
    }
}

/// An error for a name that nothing has.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &str,
    at: Span,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let shown = crate::diagnostic::shorten(name);
    let error = Diagnostic::error(at, format!("there is no {what} \"{shown}\"")).label(format!("unknown {what}"));
    if let Some(near) = nearest(name, known.clone()) {
        return error.patch(at, format!("\"{near}\""), format!("there is a {what} \"{near}\""));
    }
    let known: Vec<&str> = known.take(10).collect();
    match (what, known.is_empty()) {
        (_, false) => error.help(format!("the file has {}", known.join(", "))),
        ("listener", true) => error.help(format!("add a table [listen.{shown}] with its `address`")),
        (_, true) => error,
    }
}

/// The services of one circle, each with the place where it names the next.
fn circle(waits: &[Vec<(usize, Span)>]) -> Option<Vec<(usize, Span)>> {
    let mut finished = vec![false; waits.len()];
    for start in 0..waits.len() {
        // The way from `start` to where the search stands, as (service, edges tried so far).
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((service, tried)) = way.last_mut() {
            let (here, edge) = (*service, waits[*service].get(*tried).copied());
            *tried += 1;
            match edge {
                None => {
                    finished[here] = true;
                    way.pop();
                }
                Some((next, _)) if finished[next] => {}
                Some((next, _)) => match way.iter().position(|(on_way, _)| *on_way == next) {
                    None => way.push((next, 0)),
                    Some(begin) => {
                        let edge_of = |(service, tried): &(usize, usize)| (*service, waits[*service][*tried - 1].1);
                        return Some(way[begin..].iter().map(edge_of).collect());
                    }
                },
            }
        }
    }
    None
}

fn report_circle(report: &Report, drafts: &[Draft], circle: &[(usize, Span)]) {
    let name = |index: usize| drafts[index].service.name.as_str();
    let Some((first, at)) = circle.first() else { return };
    let mut path: Vec<String> = circle.iter().map(|(service, _)| format!("\"{}\"", name(*service))).collect();
    path.push(format!("\"{}\"", name(*first)));
    let mut error = Diagnostic::error(*at, format!("services wait for each other: {}", path.join(" after ")))
        .label(format!("\"{}\" waits here", name(*first)));
    for (service, at) in &circle[1..] {
        error = error.also(*at, format!("\"{}\" waits here", name(*service)));
    }
    report.add(error.help("none of them could ever start; take one of these out"));
}
