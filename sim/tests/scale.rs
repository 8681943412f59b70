//! Many workers: no event may cost a walk over all of them. The bounds are far above what is measured, so that only a
//! change of kind breaks them.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{
    Action, Epoch, Event, ExitStatus, Fleet, Heartbeat, Pace, Policy, Readiness, Rollout, ServiceId, ServiceState,
    WorkerId,
};

struct Shell {
    fleet: Fleet,
    now: Mono,
    out: Vec<Action>,
}

impl Shell {
    fn new() -> Self {
        Self { fleet: Fleet::new(1), now: Mono::from_nanos(1), out: Vec::new() }
    }

    /// Handles the event; answers who is to be started and who is to be stopped.
    fn handle(&mut self, event: Event) -> (Vec<WorkerId>, Vec<WorkerId>) {
        self.now = self.now.after(Duration::from_micros(1));
        self.out.clear();
        self.fleet.handle(self.now, event, &mut self.out);
        let (mut started, mut stopped) = (Vec::new(), Vec::new());
        for action in &self.out {
            match action {
                Action::Spawn { worker, .. } => started.push(*worker),
                Action::Signal { worker, .. } => stopped.push(*worker),
                Action::Prepare { .. } | Action::Notice(_) | Action::Exit => {}
            }
        }
        (started, stopped)
    }

    /// Everybody who is started gets ready at once, everybody who is stopped ends at once, until nobody is left.
    fn obey(&mut self, mut started: Vec<WorkerId>, mut stopped: Vec<WorkerId>) {
        loop {
            let (more, less) = if let Some(worker) = started.pop() {
                self.handle(Event::Spawned { worker });
                self.handle(Event::Ready { worker })
            } else if let Some(worker) = stopped.pop() {
                self.handle(Event::Exited { worker, status: ExitStatus::Code(0) })
            } else {
                return;
            };
            started.extend(more);
            stopped.extend(less);
        }
    }
}

fn policy(workers: u32) -> Policy {
    Policy {
        ready: Readiness::Reported,
        heartbeat: Some(Heartbeat { timeout: Duration::from_secs(30), signal: evercrew_core::Signal::Kill }),
        rollout: Rollout {
            surge: 50,
            unavailable: 0,
            settle: Duration::ZERO,
            prove: Duration::ZERO,
            ..Rollout::default()
        },
        ..Policy::basic(workers)
    }
}

/// What this thread has had of a processor: others that are busy beside it are no matter.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

fn timed(what: &str, bound: Duration, f: impl FnOnce()) {
    let began = spent();
    f();
    let took = spent() - began;
    println!("{what}: {took:?}");
    assert!(took < bound, "{what} took {took:?}, {bound:?} allowed");
}

#[test]
fn five_thousand_workers_of_one_service() {
    let (id, count) = (ServiceId(1), 5_000);
    let mut shell = Shell::new();
    timed("boot", Duration::from_secs(2), || {
        let (started, _) = shell.handle(Event::Define { service: id, policy: policy(count), epoch: Epoch(1) });
        shell.obey(started, Vec::new());
    });
    assert_eq!(shell.fleet.service(id).map(|view| view.state), Some(ServiceState::Ready));
    timed("100,000 beats", Duration::from_secs(2), || {
        for beat in 0..100_000_u64 {
            shell.handle(Event::Beat { worker: WorkerId(1 + beat % u64::from(count)) });
        }
    });
    timed("a death and a replacement each", Duration::from_secs(2), || {
        for worker in 1..=u64::from(count) {
            let (started, stopped) =
                shell.handle(Event::Exited { worker: WorkerId(worker), status: ExitStatus::Code(1) });
            shell.obey(started, stopped);
        }
    });
    timed("rollout", Duration::from_secs(4), || {
        let (started, stopped) =
            shell.handle(Event::Restart { service: id, slot: None, epoch: Epoch(2), pace: Pace::Gradual });
        shell.obey(started, stopped);
    });
    let view = shell.fleet.service(id).expect("defined");
    assert!(!view.rolling && view.workers.iter().all(|row| row.epoch == Epoch(2)), "the rollout is not complete");
    timed("stop", Duration::from_secs(2), || {
        let (started, stopped) = shell.handle(Event::Shutdown { now: false });
        shell.obey(started, stopped);
    });
    assert!(shell.out.contains(&Action::Exit));
}

#[test]
fn a_thousand_services_of_one_worker() {
    let mut shell = Shell::new();
    timed("boot", Duration::from_secs(1), || {
        for id in 1..=1_000 {
            let define = Event::Define { service: ServiceId(id), policy: policy(1), epoch: Epoch(1) };
            let (started, stopped) = shell.handle(define);
            shell.obey(started, stopped);
        }
    });
    assert!(shell.fleet.services().iter().all(|view| view.state == ServiceState::Ready));
    timed("stop", Duration::from_secs(1), || {
        let (started, stopped) = shell.handle(Event::Shutdown { now: false });
        shell.obey(started, stopped);
    });
    assert!(shell.out.contains(&Action::Exit));
}
