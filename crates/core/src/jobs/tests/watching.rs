//! Which jobs a worker is told are its no more, and when.

use std::time::Duration;

use super::super::*;
use crate::Mono;

/// A server with worker `w`, and its jobs `a`, `b` and `c`, each with a minute.
struct Watched {
    jobs: Jobs,
    now: Now,
    leases: Vec<LeaseNumber>,
}

impl Watched {
    fn new() -> Self {
        let now = Now { mono: Mono::default().after(Duration::from_secs(1)), wall: Wall(1 << 60) };
        let policy = Policy { keep_dead: Duration::from_secs(60), most_workers: 100, most_deaths: 3, seed: 7 };
        let mut server = Self { jobs: Jobs::start(policy, now, Found::default()), now, leases: Vec::new() };
        for wid in ["w", "v"] {
            let greeting = Greeting { wid: wid.into(), host: String::new(), pid: 0, labels: Vec::new() };
            server.tell(Event::Greeted(greeting));
        }
        for jid in ["a", "b", "c"] {
            let (queue, kind) = ("q".into(), "T".into());
            let new = NewJob { jid: jid.into(), queue, kind, reserve_for: 60, retry: 25, backtrace: 0, at: None };
            server.tell(Event::Pushed(new));
        }
        server.commit();
        server.fetch("w", 3);
        server.commit();
        server
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.jobs.handle(self.now, event, &mut out);
        out
    }

    /// Seals what is open, and has it on disk.
    fn commit(&mut self) -> Vec<Action> {
        let mut out = Vec::new();
        if let Verdict::Batch(Some(batch)) = self.jobs.handle(self.now, Event::Sealed, &mut out) {
            self.jobs.handle(self.now, Event::Committed(batch), &mut out);
        }
        out
    }

    fn fetch(&mut self, wid: &str, most: u32) {
        let queues = vec!["q".into()];
        let fetch = Fetch { asker: Asker(1), wid: wid.into(), pid: 0, queues, most, wait: Duration::ZERO };
        for action in self.tell(Event::Fetched(fetch)) {
            if let Action::Grant(_, grants) = action {
                self.leases.extend(grants.iter().map(|grant| grant.lease));
            }
        }
    }

    fn claim(&self, number: usize) -> Claim {
        Claim { jid: ["a", "b", "c"][number].into(), lease: Some(self.leases[number]), wid: Some("w".into()) }
    }

    fn watch(&mut self, seconds: u64) -> Vec<Action> {
        let held = (0..3).map(|number| self.claim(number)).collect();
        let wait = Duration::from_secs(seconds);
        self.tell(Event::Watched(Watch { asker: Asker(9), wid: "w".into(), pid: 0, held, wait }))
    }
}

fn ended(jids: &[&str]) -> Action {
    Action::Ended(Asker(9), jids.iter().map(|jid| (*jid).into()).collect())
}

#[test]
fn a_worker_is_told_of_a_cancelled_job_once_that_is_on_disk() {
    let mut server = Watched::new();
    assert_eq!(server.watch(0), [Action::Nothing(Asker(9))], "all are its own");
    assert_eq!(server.watch(10), []);
    let begun = server.tell(Event::Cancelled("b".into()));
    assert!(!begun.contains(&ended(&["b"])), "it may be refused");
    assert!(server.commit().contains(&ended(&["b"])));
    assert_eq!(server.watch(10), [ended(&["b"])], "who asks again is told at once");
    assert_eq!(server.jobs.waiting(), 0);
}

#[test]
fn a_cancellation_that_is_refused_is_not_told() {
    let mut server = Watched::new();
    server.watch(10);
    server.tell(Event::Cancelled("b".into()));
    let Verdict::Batch(Some(batch)) = server.jobs.handle(server.now, Event::Sealed, &mut Vec::new()) else {
        panic!("nothing was sealed")
    };
    assert!(!server.tell(Event::Refused(batch)).contains(&ended(&["b"])));
    assert_eq!(server.jobs.waiting(), 1);
}

#[test]
fn what_the_worker_ends_itself_is_not_told() {
    let mut server = Watched::new();
    server.watch(10);
    server.tell(Event::Done(server.claim(0), None));
    server.tell(Event::Refunded(server.claim(1)));
    server.tell(Event::Failed(server.claim(2), Box::default()));
    server.commit();
    assert_eq!(server.jobs.waiting(), 1, "it still waits");
    assert_eq!(server.watch(0), [ended(&["a", "b", "c"])], "asked for, they are its no more");
}

#[test]
fn time_that_ran_out_a_flush_and_another_worker_end_them_too() {
    let mut server = Watched::new();
    server.watch(100);
    server.now.mono = server.now.mono.after(Duration::from_secs(61));
    server.now.wall = server.now.wall.after(Duration::from_secs(61));
    // Both are heard, so that only the reservations run out.
    for wid in ["w", "v"] {
        server.tell(Event::Beat(wid.into(), Stage::Running, 0));
    }
    assert!(server.tell(Event::Ticked).contains(&ended(&["a"])), "one is told, the others when it asks again");
    assert_eq!(server.watch(100), [ended(&["a", "b", "c"])]);
    server.commit();
    server.fetch("v", 3);
    assert_eq!(server.watch(100), [ended(&["a", "b", "c"])], "another worker has them");

    let mut server = Watched::new();
    server.watch(100);
    let mut out = server.tell(Event::Flushed);
    out.extend(server.commit());
    assert!(out.iter().any(|action| matches!(action, Action::Ended(Asker(9), _))), "{out:?}");
}

#[test]
fn nobody_is_told_who_waits_no_more_or_never_was_there() {
    let mut server = Watched::new();
    server.watch(10);
    server.tell(Event::Left(Asker(9)));
    server.tell(Event::Cancelled("b".into()));
    assert!(!server.commit().contains(&ended(&["b"])));
    let watch = Watch { asker: Asker(9), wid: "x".into(), pid: 0, held: Vec::new(), wait: Duration::ZERO };
    assert_eq!(server.jobs.handle(server.now, Event::Watched(watch), &mut Vec::new()), Verdict::Unknown);
    // The time of one that waits is up.
    let mut server = Watched::new();
    server.watch(10);
    server.now.mono = server.now.mono.after(Duration::from_secs(10));
    assert_eq!(server.tell(Event::Ticked), [Action::Nothing(Asker(9))]);
}
