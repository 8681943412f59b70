//! What single steps do; the whole is simulated.

use std::time::Duration;

use super::*;
use crate::Mono;

const PATIENCE: Duration = Duration::from_millis(500);

fn at(millis: u64) -> Mono {
    Mono::default().after(Duration::from_millis(millis))
}

struct Rig(Handover);

impl Rig {
    fn after(events: &[Event]) -> Self {
        let mut rig = Self(Handover::default());
        for event in events {
            rig.tell(0, *event);
        }
        rig
    }

    fn tell(&mut self, millis: u64, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.0.handle(at(millis), event, &mut out);
        out
    }
}

const ASKED: Event = Event::Asked { patience: PROVING };
const LEFT: Event = Event::Left { patience: PATIENCE };
const STEPS: [Event; 4] = [ASKED, Event::Ready, LEFT, Event::Applied];

#[test]
fn step_by_step_the_duty_changes_hands() {
    let mut rig = Rig::after(&[]);
    let expected = [Action::Start, Action::Freeze, Action::HandOn, Action::Commit];
    for (event, action) in STEPS.into_iter().zip(expected) {
        assert_eq!(rig.tell(0, event), [action]);
    }
    let settled = at(0).after(WINDOW);
    assert_eq!(rig.0.deadline(), Some(settled));
    assert_eq!(rig.tell(10_000, Event::Tick), [Action::Settle]);
    assert_eq!(rig.0.deadline(), None);
}

#[test]
fn before_the_commit_whatever_goes_wrong_lets_the_manager_go_on() {
    let cases: [(usize, Event, u64, Failure); 10] = [
        (1, Event::NotStarted, 0, Failure::NotStarted),
        (1, Event::SuccessorEnded, 0, Failure::EndedUnready),
        (1, Event::Tick, 60_000, Failure::LateUnready),
        (1, Event::StopAsked, 0, Failure::Stopped),
        (2, Event::SuccessorEnded, 0, Failure::EndedUnready),
        (2, Event::Kept, 0, Failure::Kept),
        (2, Event::Tick, 5000, Failure::LateLeaving),
        (3, Event::SuccessorEnded, 0, Failure::EndedTaking),
        (3, Event::Tick, 500, Failure::LateTaking),
        (3, Event::StopAsked, 0, Failure::Stopped),
    ];
    for (steps, event, millis, failure) in cases {
        let mut rig = Rig::after(&STEPS[..steps]);
        assert!(rig.tell(millis.saturating_sub(1), Event::Tick).is_empty(), "{failure:?}");
        assert_eq!(rig.tell(millis, event), [Action::End, Action::GoOn(failure)]);
        assert!(!rig.0.is_under_way());
        assert_eq!(rig.tell(millis, ASKED), [Action::Start], "the next one is welcome");
    }
}

#[test]
fn a_manager_that_ends_meanwhile_takes_its_successor_along() {
    for steps in 1..=3 {
        for by_itself in [true, false] {
            let mut rig = Rig::after(&STEPS[..steps]);
            assert_eq!(rig.tell(0, Event::ManagerEnded { by_itself }), [Action::End]);
            assert_eq!(rig.tell(0, Event::SuccessorEnded), []);
        }
    }
}

#[test]
fn after_the_commit_one_that_ends_by_itself_is_the_last_of_its_kind() {
    let mut rig = Rig::after(&STEPS);
    assert_eq!(rig.tell(10, Event::ManagerEnded { by_itself: false }), [], "a kill is no judgement");
    assert_eq!(rig.tell(20, Event::ManagerEnded { by_itself: true }), [Action::Return]);
    assert_eq!(rig.tell(30, Event::ManagerEnded { by_itself: true }), [], "the one before has nobody before it");
}

#[test]
fn one_at_a_time_and_the_next_one_ends_the_window() {
    let mut rig = Rig::after(&STEPS[..2]);
    assert_eq!(rig.tell(0, ASKED), [Action::GoOn(Failure::Busy)]);
    let mut rig = Rig::after(&STEPS);
    assert_eq!(rig.tell(0, ASKED), [Action::Settle, Action::Start]);
}

#[test]
fn what_comes_out_of_turn_changes_nothing() {
    for event in [Event::Ready, LEFT, Event::Kept, Event::Applied, Event::SuccessorEnded, Event::StopAsked, Event::Tick]
    {
        assert_eq!(Rig::after(&[]).tell(0, event), [], "{event:?}");
    }
    for (steps, event) in [(1, Event::Applied), (1, LEFT), (2, Event::Ready), (2, Event::Applied), (3, Event::Ready)] {
        assert_eq!(Rig::after(&STEPS[..steps]).tell(0, event), [], "{event:?} after {steps}");
    }
}
