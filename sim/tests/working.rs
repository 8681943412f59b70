//! Every property of a job worker holds on many seeds, and each planted mistake is found within them.
//! `EVERCREW_SIM_SEED=n` replays one with a trace, `EVERCREW_SIM_SEEDS=n` runs more.

use evercrew_core::work::Fault;
use evercrew_sim::work;

const SEEDS: u64 = 256;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn no_job_is_lost_or_run_twice_whatever_server_and_network_do() {
    if let Some(seed) = number("EVERCREW_SIM_SEED") {
        return match work(seed, None, true) {
            Ok(summary) => println!("seed {seed}: {summary:?}"),
            Err(failure) => panic!("{failure}"),
        };
    }
    let seeds = number("EVERCREW_SIM_SEEDS").unwrap_or(SEEDS);
    let mut events = 0;
    for seed in 0..seeds {
        events += work(seed, None, false).unwrap_or_else(|failure| panic!("{failure}")).events;
    }
    println!("{seeds} seeds, {events} events");
    assert!(events > seeds * 100, "the runs are too short to show anything: {events} events");
}

#[test]
fn each_planted_fault_is_found() {
    for fault in Fault::ALL {
        let found = (0..SEEDS).find_map(|seed| work(seed, Some(*fault), false).err());
        let failure = found.unwrap_or_else(|| panic!("no seed finds {fault:?}"));
        println!("{fault:?}: seed {}: {:.80}", failure.seed, failure.message);
    }
}
