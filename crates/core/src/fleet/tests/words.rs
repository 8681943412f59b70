use super::rig::{Rig, WEB, ladder, policy, secs};
use crate::fleet::{Action, Epoch, Event, Pace, Policy, Rollout, StopLadder, StopStep, WorkerId};
use crate::{Signal, Word};

/// Every signal with the word that stands in its place.
fn asked(rig: &Rig) -> Vec<(WorkerId, Signal, Option<Word>)> {
    let signals = rig.log.iter().filter_map(|action| match action {
        Action::Signal { worker, signal, word, .. } => Some((*worker, *signal, *word)),
        Action::Spawn { .. } | Action::Prepare { .. } | Action::Notice(_) | Action::Exit => None,
    });
    signals.collect()
}

#[test]
fn the_first_signal_of_a_stop_has_a_word_in_its_place_and_no_other() {
    let term = StopStep { signal: Signal::Term, repeat: Some(secs(2)), increment: secs(0), lasting: Some(secs(3)) };
    let quit = StopStep { signal: Signal::Quit, repeat: None, increment: secs(0), lasting: Some(secs(3)) };
    let mut rig = Rig::ready(Policy { stop: StopLadder { steps: vec![term, quit] }, ..policy(1) });
    rig.send(Event::Stop { service: WEB, now: false });
    rig.pass(secs(2));
    rig.pass(secs(1));
    rig.pass(secs(3));
    let told = asked(&rig);
    let signals: Vec<Signal> = told.iter().map(|(_, signal, _)| *signal).collect();
    assert_eq!(signals, [Signal::Term, Signal::Term, Signal::Quit, Signal::Kill]);
    assert_eq!(told[0].2, Some(Word::GracefulStop));
    assert!(told[1..].iter().all(|(_, _, word)| word.is_none()), "{told:?}");
}

#[test]
fn a_stop_that_begins_with_quit_is_an_immediate_one() {
    let mut rig = Rig::ready(Policy { stop: ladder(&[(Signal::Quit, 3)]), ..policy(1) });
    rig.send(Event::Stop { service: WEB, now: false });
    assert_eq!(asked(&rig), [(WorkerId(1), Signal::Quit, Some(Word::ImmediateStop))]);
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Stop { service: WEB, now: true });
    assert_eq!(asked(&rig), [(WorkerId(1), Signal::Kill, None)]);
}

#[test]
fn who_leaves_for_a_whole_new_set_is_detached() {
    let rollout = Rollout { settle: secs(1), prove: secs(1), ..Rollout::default() };
    let mut rig = Rig::ready(Policy { rollout, ..policy(2) });
    rig.send(Event::Restart { service: WEB, slot: None, epoch: Epoch(2), pace: Pace::Detached });
    for _ in 0..3 {
        rig.start_all();
        rig.pass(secs(1));
    }
    let words: Vec<_> = asked(&rig).into_iter().map(|(.., word)| word).collect();
    assert_eq!(words, [Some(Word::Detach); 2]);
}

#[test]
fn a_word_that_never_went_out_is_told_after_a_crash_of_the_shell() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Stop { service: WEB, now: false });
    rig.log.clear();
    rig.send(Event::Unsignalled { worker: WorkerId(1) });
    assert_eq!(asked(&rig), [(WorkerId(1), Signal::Term, Some(Word::GracefulStop))]);
}

#[test]
fn who_is_about_to_be_replaced_does_not_stay() {
    let mut rig = Rig::ready(policy(2));
    assert_eq!(rig.fleet.staying(), [WorkerId(1), WorkerId(2)]);
    rig.send(Event::Scale { service: WEB, workers: 1 });
    assert_eq!(rig.fleet.staying(), [WorkerId(1)]);
    rig.exit(WorkerId(2));
    rig.restart(2);
    let new = rig.spawn();
    assert_eq!(rig.fleet.staying(), [new], "the old one serves, and is about to go");
}
