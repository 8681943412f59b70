//! Every property holds on many seeds. `EVERCREW_SIM_SEED=n` replays one with a trace, `EVERCREW_SIM_SEEDS=n` runs more.

use std::time::Duration;

use evercrew_sim::run;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// So many tell enough.
const MOST_FAILURES: usize = 8;

#[test]
fn every_property_holds_on_every_seed() {
    if let Some(seed) = number("EVERCREW_SIM_SEED") {
        match run(seed, None, true) {
            Ok(summary) => println!("seed {seed}: {summary:?}"),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let seeds = number("EVERCREW_SIM_SEEDS").unwrap_or(256);
    let first = number("EVERCREW_SIM_FIRST").unwrap_or(0);
    let (mut events, mut lasted) = (0, Duration::ZERO);
    let mut failures = Vec::new();
    for seed in first..first + seeds {
        match run(seed, None, false) {
            Ok(summary) => {
                events += summary.events;
                lasted += summary.lasted;
            }
            Err(failure) => failures.push(failure.to_string()),
        }
        if failures.len() == MOST_FAILURES {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{seeds} seeds, {events} events, {} virtual hours", lasted.as_secs() / 3600);
    assert!(events > seeds * 50, "the runs are too short to show anything: {events} events");
}
