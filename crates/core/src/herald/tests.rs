use super::*;

fn at(ms: u64) -> Mono {
    Mono::from_nanos((1_000_000 + ms) * 1_000_000)
}

fn sight(stage: Stage, reload: Option<u64>, status: &str) -> Sight {
    Sight { stage, reload, status: status.to_owned() }
}

fn see(herald: &mut Herald, ms: u64, stage: Stage, reload: Option<u64>, status: &str) -> Vec<Tiding> {
    let mut out = Vec::new();
    herald.see(at(ms), &sight(stage, reload, status), &mut out);
    out
}

const STARTING: Stage = Stage::Starting { hopeful: true };

fn text(status: &str) -> Tiding {
    Tiding::Status(status.to_owned())
}

#[test]
fn an_engine_at_rest_wants_nothing() {
    let mut herald = Herald::new(None, false);
    assert_eq!(see(&mut herald, 0, STARTING, None, "0/1"), [Tiding::Extend(EXTENSION), text("0/1")]);
    herald.changed();
    assert_eq!(see(&mut herald, 50, Stage::Complete, None, "1/1"), [Tiding::Ready, text("1/1")]);
    assert_eq!(herald.deadline(), None);
    assert!(!herald.looks(at(99_999), false, None));
    assert_eq!(see(&mut herald, 60_000, Stage::Complete, None, "1/1"), []);
}

#[test]
fn readiness_is_told_once_and_what_lacks_later_does_not_take_it_back() {
    let mut herald = Herald::new(None, false);
    assert!(see(&mut herald, 0, Stage::Complete, None, "a").contains(&Tiding::Ready));
    for (ms, stage) in [(2000, Stage::Lacking), (4000, Stage::Complete)] {
        assert!(!see(&mut herald, ms, stage, None, "b").contains(&Tiding::Ready));
    }
    // The next one says it again: its predecessor may have ended in a reload.
    let mut next = Herald::new(None, herald.told_ready());
    assert!(see(&mut next, 5000, Stage::Lacking, None, "c").contains(&Tiding::Ready));
    assert!(!see(&mut next, 9000, Stage::Lacking, None, "d").contains(&Tiding::Ready));
}

#[test]
fn a_reload_is_told_with_its_time_and_its_end_and_so_is_the_next_one_right_behind_it() {
    let mut herald = Herald::new(None, false);
    see(&mut herald, 0, Stage::Complete, None, "a");
    assert!(herald.looks(at(1), false, Some(1)));
    let reloading = |ms| Tiding::Reloading { at: at(ms) };
    assert_eq!(see(&mut herald, 1, Stage::Complete, Some(1), "a"), [reloading(1), Tiding::Extend(EXTENSION)]);
    assert_eq!(see(&mut herald, 2, Stage::Complete, Some(2), "a"), [reloading(2)]);
    assert_eq!(see(&mut herald, 3, Stage::Complete, None, "a"), [Tiding::Ready]);
    assert_eq!(herald.deadline(), None);
}

#[test]
fn time_is_asked_for_while_something_is_under_way_and_hope_is_left() {
    let mut herald = Herald::new(None, false);
    see(&mut herald, 0, STARTING, None, "a");
    assert_eq!(herald.deadline(), Some((at(10_000), Why::Extension)));
    assert!(herald.looks(at(10_000), false, None));
    assert_eq!(see(&mut herald, 10_000, STARTING, None, "a"), [Tiding::Extend(EXTENSION)]);
    assert_eq!(see(&mut herald, 20_000, Stage::Starting { hopeful: false }, None, "a"), []);
    assert_eq!(herald.deadline(), None, "the one above gives up by its own clock");
    assert_eq!(see(&mut herald, 30_000, Stage::Stopping, None, "a"), [Tiding::Stopping, Tiding::Extend(EXTENSION)]);
    assert_eq!(see(&mut herald, 40_000, Stage::Stopping, None, "a"), [Tiding::Extend(EXTENSION)]);
}

#[test]
fn signs_of_life_come_at_half_of_the_time_and_only_where_they_are_asked_for() {
    let mut herald = Herald::new(Some(Duration::from_secs(4)), false);
    let mut beats = Vec::new();
    for ms in (0..10_000).step_by(100) {
        let mut out = Vec::new();
        herald.live(at(ms), &mut out);
        beats.extend((!out.is_empty()).then_some(ms));
    }
    assert_eq!(beats, [0, 2000, 4000, 6000, 8000]);
    let mut none = Herald::new(None, false);
    let mut out = Vec::new();
    none.live(at(0), &mut out);
    assert_eq!(out, []);
}

/// Any sequence of changes: what must hold of all that is said.
#[test]
fn whatever_happens_texts_are_bounded_the_last_one_is_right_and_every_reload_ends() {
    for seed in 0..2000u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut herald = Herald::new(None, false);
        let (mut now, mut stage, mut reload, mut status) = (0, STARTING, None, 0);
        let (mut told, mut open, mut readies, mut reloads) = (Vec::new(), false, 0, 0);
        for step in 0..60 {
            now += next(700);
            match next(6) {
                0 if stage == STARTING => stage = Stage::Complete,
                1 if stage != STARTING => {
                    stage = if stage == Stage::Complete { Stage::Lacking } else { Stage::Complete }
                }
                2 if stage != STARTING => reload = if reload.is_none() { Some(step) } else { None },
                _ => status += next(2),
            }
            herald.changed();
            // It is asked whenever it wants to be, and now.
            let due = herald.deadline().map(|(due, _)| due).filter(|due| *due <= at(now));
            for at in due.into_iter().chain([at(now)]) {
                if !herald.looks(at, false, reload) {
                    continue;
                }
                let mut out = Vec::new();
                herald.see(at, &sight(stage, reload, &status.to_string()), &mut out);
                assert!(herald.deadline().is_none_or(|(due, _)| due > at), "seed {seed}: it would spin");
                for tiding in out.iter() {
                    match tiding {
                        Tiding::Ready => (open, readies) = (false, readies + 1),
                        Tiding::Reloading { at: told_at } => {
                            assert_eq!(*told_at, at);
                            (open, reloads) = (true, reloads + 1);
                        }
                        Tiding::Status(text) => told.push((at, text.clone(), out.len() == 1 && herald.told_ready())),
                        Tiding::Extend(_) => {}
                        Tiding::Stopping | Tiding::Alive => panic!("seed {seed}: {tiding:?}"),
                    }
                }
                assert_eq!(open, herald.told_ready() && reload.is_some(), "seed {seed}");
            }
        }
        // What is told beside something else is told with it.
        for pair in told.windows(2).filter(|pair| pair[1].2) {
            let gap = pair[1].0.since(pair[0].0);
            assert!(gap >= GAP, "seed {seed}: {gap:?}");
        }
        assert!(readies <= 1 + reloads, "seed {seed}");
        if let Some((due, Why::Change)) = herald.deadline() {
            let mut out = Vec::new();
            herald.see(due, &sight(stage, reload, &status.to_string()), &mut out);
            told.extend(out.into_iter().filter_map(|tiding| match tiding {
                Tiding::Status(text) => Some((due, text, true)),
                _ => None,
            }));
        }
        assert_eq!(told.last().map(|(_, text, _)| text.clone()), Some(status.to_string()), "seed {seed}");
    }
}
