//! `stop`: the signals of a stop, as a pair with a grace or as a ladder.

use evercrew_core::Signal;
use evercrew_core::fleet::{StopLadder, StopStep};

use crate::convert::Wrong;
use crate::diagnostic::Diagnostic;
use crate::keys::{RUNG, STOP};
use crate::raw::{Kind, Value};
use crate::reader::Reader;

/// Most steps of a ladder.
const MOST_STEPS: usize = 16;

/// Reads `stop` of a service.
pub(crate) fn ladder(service: &Reader<'_>) -> StopLadder {
    match service.given("stop") {
        Some(Value { kind: Kind::Array(steps), .. }) => array(service, steps),
        Some(Value { kind: Kind::Table(_), .. }) | None => pair(&service.table_or_default("stop", &STOP)),
        Some(value) => {
            service.wrong("stop", Wrong::found(service.report(), value));
            StopLadder { steps: Vec::new() }
        }
    }
}

fn pair(stop: &Reader<'_>) -> StopLadder {
    let once = |signal, lasting| StopStep { signal, repeat: None, increment: std::time::Duration::ZERO, lasting };
    let grace = stop.duration_or_forever("grace");
    let first = stop.signal("signal").unwrap_or(Signal::Term);
    let then = stop.signal("then").unwrap_or(Signal::Kill);
    let mut steps = vec![once(first, grace)];
    if then != Signal::Kill {
        steps.push(once(then, grace));
    }
    StopLadder { steps }
}

fn array(service: &Reader<'_>, steps: &[Value]) -> StopLadder {
    let report = service.report();
    let at = service.at("stop");
    if steps.is_empty() {
        report.add(
            Diagnostic::error(at, format!("`stop` in {} has no step", service.name()))
                .label("an empty ladder")
                .help("leave `stop` out for TERM, 30s, KILL"),
        );
    }
    if steps.len() > MOST_STEPS {
        report.add(
            Diagnostic::error(at, format!("`stop` in {} has {} steps", service.name(), steps.len()))
                .label(format!("at most {MOST_STEPS} are allowed")),
        );
    }
    let mut ladder = StopLadder { steps: Vec::new() };
    for (index, value) in steps.iter().take(MOST_STEPS).enumerate() {
        let Kind::Table(table) = &value.kind else {
            service.wrong("stop", Wrong::found(report, value));
            continue;
        };
        let step = service.nested("stop", &RUNG, table, value.at);
        if step.given("signal").is_none() {
            step.missing("signal", "write which signal, like `signal = \"TERM\"`");
        }
        let lasting = step.duration_or_forever("for");
        if lasting.is_none() && index + 1 < steps.len() {
            report.add(
                Diagnostic::error(step.at("for"), format!("`stop` in {} has a step after \"forever\"", service.name()))
                    .label("no further step is ever reached"),
            );
        }
        ladder.steps.push(StopStep {
            signal: step.signal("signal").unwrap_or(Signal::Term),
            repeat: step.optional_duration("repeat"),
            increment: step.duration("increment"),
            lasting,
        });
    }
    ladder
}
