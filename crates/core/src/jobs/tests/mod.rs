//! Random histories with crashes, refused commits, deaths and clock steps, judged by an oracle that sees only what
//! clients and the disk see.

mod fault;
mod oracle;
mod twice;
mod watching;
mod world;

use fault::Fault;
use oracle::Violation;
use world::World;

const STEPS: usize = 400;

fn run(seed: u64, fault: Option<Fault>) -> Result<(), Violation> {
    let mut world = World::new(seed, fault);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()
}

fn seeds() -> u64 {
    std::env::var("EVERCREW_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(256)
}

#[test]
fn no_history_breaks_a_promise() {
    for seed in 0..seeds() {
        if let Err(violation) = run(seed, None) {
            panic!("seed {seed}: {violation:?}");
        }
    }
}

#[test]
fn every_planted_fault_is_found() {
    for fault in Fault::ALL {
        let found = (0..seeds()).find_map(|seed| run(seed, Some(fault)).err().map(|violation| (seed, violation)));
        assert!(found.is_some(), "{fault:?} is found by no seed");
    }
}
