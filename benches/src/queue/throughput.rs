//! How much it carries.

use std::time::{Duration, Instant};

use crate::Server;
use crate::crew::{Answer, Crew, Role};
use crate::roles::{Pusher, Worker};
use crate::server::{Rate, print_rate, print_times};
use crate::table::Table;

const TIME: Duration = Duration::from_secs(8);
const FOR_EVER: u64 = u64::MAX / 2;

/// Producers and workers in one crew.
pub(crate) enum Part {
    Pusher(Pusher),
    Worker(Worker),
}

impl Role for Part {
    fn next(&mut self, answer: Option<Answer<'_>>, now: Instant, out: &mut Vec<u8>) {
        match self {
            Self::Pusher(pusher) => pusher.next(answer, now, out),
            Self::Worker(worker) => worker.next(answer, now, out),
        }
    }
}

pub(crate) fn push_over_64_connections(durability: &str, table: &mut Table) {
    let rate = push("PUSH, 64 connections", durability, 64, 1);
    table.note(durability, "push", format!("{:.0}", rate.jobs));
    table.note(durability, "push.syncs", format!("{:.4}", rate.syncs));
}

pub(crate) fn push_over_one_connection(durability: &str, table: &mut Table) {
    let rate = push("PUSH, 1 connection", durability, 1, 1);
    table.note(durability, "alone", format!("{:.0}", rate.jobs));
    table.note(durability, "alone.syncs", format!("{:.4}", rate.syncs));
}

pub(crate) fn push_hundreds(durability: &str, table: &mut Table) {
    let rate = push("PUSHB of 100, 8 connections", durability, 8, 100);
    table.note(durability, "bulk", format!("{:.0}", rate.jobs));
}

fn push(what: &str, durability: &str, connections: usize, at_once: u64) -> Rate {
    let mut server = Server::start(durability);
    let roles = (0..connections).map(|_| Pusher::new(at_once, FOR_EVER, "")).collect();
    let mut crew = Crew::connect(server.address, roles, |_| None);
    crew.begin();
    crew.run(Some(Instant::now() + Duration::from_secs(1)));
    let before = server.used();
    let pushed = |crew: &mut Crew<Pusher>| crew.roles().map(|role| role.pushed).sum::<u64>();
    let already = pushed(&mut crew);
    crew.roles().for_each(|role| role.times.clear());
    crew.run(Some(Instant::now() + TIME));
    let jobs = pushed(&mut crew) - already;
    let after = server.used();
    let rate = print_rate(what, jobs, before, after);
    let mut times: Vec<Duration> = crew.into_roles().into_iter().flat_map(|role| role.times).collect();
    print_times(&format!("{what}, to its answer"), &mut times);
    server.end();
    rate
}

pub(crate) fn push_fetch_acknowledge(durability: &str, table: &mut Table) {
    let mut server = Server::start(durability);
    let producers = 20;
    let roles = (0..producers + 20)
        .map(|place| {
            if place < producers {
                Part::Pusher(Pusher::new(1, FOR_EVER, ""))
            } else {
                Part::Worker(Worker::new(FOR_EVER))
            }
        })
        .collect();
    let wid = |place| (place >= producers).then(|| format!("worker-{place:04}"));
    let mut crew = Crew::connect(server.address, roles, wid);
    crew.begin();
    crew.run(Some(Instant::now() + Duration::from_secs(1)));
    let done = |crew: &mut Crew<Part>| {
        let done = crew.roles().map(|role| if let Part::Worker(worker) = role { worker.done } else { 0 });
        done.sum::<u64>()
    };
    let pushed = |crew: &mut Crew<Part>| {
        crew.roles().map(|role| if let Part::Pusher(pusher) = role { pusher.pushed } else { 0 }).sum::<u64>()
    };
    let (before, first, first_pushed) = (server.used(), done(&mut crew), pushed(&mut crew));
    crew.run(Some(Instant::now() + TIME));
    let jobs = done(&mut crew) - first;
    let left = pushed(&mut crew) - first_pushed - jobs.min(pushed(&mut crew) - first_pushed);
    let after = server.used();
    let what = "push, fetch, acknowledge, 20 producers and 20 workers";
    let rate = print_rate(what, jobs, before, after);
    table.note(durability, "work", format!("{:.0}", rate.jobs));
    table.note(durability, "work.cpu", format!("{:.1}", rate.cpu));
    println!("{what}: {left} more were pushed than done meanwhile");
    server.end();
    drain(durability);
}

/// Fetch and acknowledge alone, from a full queue.
fn drain(durability: &str) {
    let mut server = Server::start(durability);
    let jobs = 200_000;
    let mut filling = Crew::connect(server.address, vec![Pusher::new(1000, jobs, "")], |_| None);
    filling.begin();
    filling.run(None);
    let workers = (0..20).map(|_| Worker::new(jobs / 20)).collect();
    let mut crew = Crew::connect(server.address, workers, |place| Some(format!("worker-{place:04}")));
    let before = server.used();
    crew.begin();
    crew.run(None);
    let after = server.used();
    print_rate("fetch, acknowledge, 20 workers, from a full queue", jobs, before, after);
    let roles = crew.into_roles();
    let mut fetches: Vec<Duration> = roles.iter().flat_map(|role| role.fetches.iter().copied()).collect();
    print_times("FETCH, to its job", &mut fetches);
    let mut acks: Vec<Duration> = roles.iter().flat_map(|role| role.acks.iter().copied()).collect();
    print_times("ACK, to its answer", &mut acks);
    server.end();
}
