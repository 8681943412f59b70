//! Random lives of a client whose engine's managers die, hang and come back, judged by what its askers see.

mod world;

use std::time::Duration;

use super::fault::Fault;
use super::{Action, AskId, End, Event, Session, Terms, Unreached, Upon};
use crate::Mono;
use world::World;

const STEPS: usize = 300;

fn run(seed: u64, fault: Option<Fault>) -> Result<(), String> {
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
fn every_request_ends_once_and_in_time_whatever_connections_and_managers_do() {
    for seed in 0..seeds() {
        if let Err(violation) = run(seed, None) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn every_planted_fault_is_found() {
    for fault in Fault::ALL {
        assert!((0..256).any(|seed| run(seed, Some(fault)).is_err()), "{fault:?} is found by no seed");
    }
}

const LOOK: Terms = Terms {
    upon: Upon::Repeat,
    timeout: None,
    usual: Some(Duration::from_secs(10)),
    exact: false,
    reach: Duration::from_secs(10),
};

fn at(seconds: u64) -> Mono {
    Mono::from_nanos(1).after(Duration::from_secs(seconds))
}

fn told(session: &mut Session, now: Mono, event: Event) -> Vec<Action> {
    let mut out = Vec::new();
    session.handle(now, event, &mut out);
    out
}

#[test]
fn a_deadline_is_told_a_little_short_unless_the_engine_answers_at_it() {
    let mut session = Session::default();
    let terms = Terms { timeout: Some(Duration::from_secs(1)), ..LOOK };
    told(&mut session, at(0), Event::Asked { ask: AskId(1), terms });
    let exact = Terms { exact: true, ..terms };
    told(&mut session, at(0), Event::Asked { ask: AskId(2), terms: exact });
    let sent = |ask, left| Action::Send { ask: AskId(ask), since: None, left: Some(Duration::from_millis(left)) };
    assert_eq!(told(&mut session, at(0), Event::Connected), [sent(1, 900), sent(2, 1000)]);
    let late = |ask| [Action::Withdraw { ask: AskId(ask) }, Action::End { ask: AskId(ask), end: End::Late }];
    assert_eq!(told(&mut session, at(1), Event::Tick), late(1));
    assert_eq!(told(&mut session, at(2), Event::Tick), late(2));
}

#[test]
fn nobody_is_told_at_once_and_a_follower_that_its_engine_is_over() {
    let mut session = Session::default();
    let follow = Terms { upon: Upon::Resume, usual: None, ..LOOK };
    told(&mut session, at(0), Event::Asked { ask: AskId(1), terms: follow });
    told(&mut session, at(0), Event::Connected);
    told(&mut session, at(0), Event::Heard { ask: AskId(1), terminal: false, next: Some(7), engine: Some(1) });
    assert_eq!(told(&mut session, at(1), Event::Broken), [Action::Connect]);
    told(&mut session, at(1), Event::Asked { ask: AskId(2), terms: LOOK });
    let ends = [(1, End::Over), (2, End::Nobody)].map(|(ask, end)| Action::End { ask: AskId(ask), end });
    assert_eq!(told(&mut session, at(1), Event::Unreached(Unreached::Nobody)), ends);
    assert_eq!(session.deadline(), None);
}
