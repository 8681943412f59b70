//! How soon it answers, and what it costs while nothing is to be done.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Server;
use crate::crew::{Crew, ask, greeted};
use crate::roles::{Pusher, Worker, job, wall_nanos};
use crate::server::print_times;
use crate::table::Table;

/// From the push to the job at a worker that waits, one job after the other.
pub(crate) fn wake(durability: &str, table: &mut Table) {
    let server = Server::start(durability);
    let mut producer = greeted(server.address, None);
    let mut worker = greeted(server.address, Some("waiting-worker"));
    let (mut starts, mut beyond) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        let (arrived, committed, began) = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let fetched = ask(&mut worker, "FETCH default");
                let arrived = Instant::now();
                let value: Value = serde_json::from_str(&fetched).expect("a job");
                let jid = value["jid"].as_str().expect("a jid").to_owned();
                assert_eq!(ask(&mut worker, &format!("ACK {{\"jid\":\"{jid}\"}}")), "+OK");
                arrived
            });
            // The worker has asked when the server counts one that waits.
            let mut probe = greeted(server.address, None);
            loop {
                let info: Value = serde_json::from_str(&ask(&mut probe, "INFO")).expect("JSON");
                if info["evercrew"]["waiting_workers"].as_u64() == Some(1) {
                    break;
                }
            }
            let command = format!("PUSH {}", job(""));
            let began = Instant::now();
            assert_eq!(ask(&mut producer, &command), "+OK");
            let committed = Instant::now();
            (waiting.join().expect("the worker"), committed, began)
        });
        starts.push(arrived - began);
        beyond.push(arrived.saturating_duration_since(committed));
    }
    print_times("from PUSH to the job at a waiting worker", &mut starts);
    let beyond = print_times("the same, from the producer's +OK on", &mut beyond);
    table.note(durability, "wake.p50", format!("{:.2}", beyond.p50));
    table.note(durability, "wake.p99", format!("{:.2}", beyond.p99));
    server.end();
}

/// How late scheduled jobs come.
pub(crate) fn late(durability: &str, table: &mut Table) {
    let mut latest = 0.0;
    for (what, spread) in [("all due at once", Duration::ZERO), ("due within 10 s", Duration::from_secs(10))] {
        let mut server = Server::start(durability);
        let jobs = 100_000u64;
        let due = wall_nanos() + 8_000_000_000;
        let pieces = 100;
        let roles = (0..pieces)
            .map(|piece| {
                let spread = u64::try_from(spread.as_nanos()).unwrap_or(0);
                let at = stamp(due + spread * piece / pieces);
                Pusher::new(1000, jobs / pieces, &format!(",\"at\":\"{at}\""))
            })
            .collect();
        let mut filling = Crew::connect(server.address, roles, |_| None);
        filling.begin();
        filling.run(None);
        let ahead = due.saturating_sub(wall_nanos()) / 1_000_000;
        println!("{jobs} jobs scheduled {ahead} ms before the first is due");
        let workers = (0..20).map(|_| Worker::new(jobs / 20).keeping()).collect();
        let mut crew = Crew::connect(server.address, workers, |place| Some(format!("worker-{place:04}")));
        let before = server.used();
        crew.begin();
        crew.run(None);
        let after = server.used();
        let (mut ready, mut received) = (Vec::new(), Vec::new());
        for (arrived, job) in crew.into_roles().into_iter().flat_map(|role| role.received) {
            let job: Value = serde_json::from_slice(&job).expect("a job");
            let at = nanos(job["at"].as_str().expect("at"));
            ready.push(Duration::from_nanos(
                nanos(job["enqueued_at"].as_str().expect("enqueued_at")).saturating_sub(at),
            ));
            received.push(Duration::from_nanos(arrived.saturating_sub(at)));
        }
        let ready = print_times(&format!("{jobs} scheduled, {what}: late in its queue"), &mut ready);
        latest = ready.max.max(latest);
        print_times(&format!("{jobs} scheduled, {what}: late at a worker (20 take what they can)"), &mut received);
        println!("processor {:.1} us a job", (after.cpu - before.cpu).as_secs_f64() * 1e6 / jobs as f64);
        server.end();
    }
    table.note(durability, "late", format!("{latest:.1}"));
}

/// How late jobs come that failed.
pub(crate) fn retried(durability: &str, table: &mut Table) {
    let server = Server::start(durability);
    let jobs = 20_000;
    let run = |workers: Vec<Worker>| {
        let mut crew = Crew::connect(server.address, workers, |place| Some(format!("worker-{place:04}")));
        crew.begin();
        crew.run(None);
        crew.into_roles()
    };
    let mut filling = Crew::connect(server.address, vec![Pusher::new(1000, jobs, "")], |_| None);
    filling.begin();
    filling.run(None);
    run((0..20).map(|_| Worker::new(jobs / 20).failing()).collect());
    let mut received = Vec::new();
    for (arrived, job) in
        run((0..20).map(|_| Worker::new(jobs / 20).keeping()).collect()).into_iter().flat_map(|role| role.received)
    {
        let job: Value = serde_json::from_slice(&job).expect("a job");
        let due = nanos(job["failure"]["next_at"].as_str().expect("next_at"));
        received.push(Duration::from_nanos(arrived.saturating_sub(due)));
    }
    let late = print_times(&format!("{jobs} retried after 15 to 45 s: late at a worker"), &mut received);
    table.note(durability, "retried", format!("{:.1}", late.max));
    server.end();
}

/// What 64 workers that wait for a minute cost.
pub(crate) fn idle(durability: &str, table: &mut Table) {
    let mut server = Server::start(durability);
    let workers = (0..64).map(|_| Worker::new(1)).collect();
    let mut crew = Crew::connect(server.address, workers, |place| Some(format!("worker-{place:04}")));
    crew.begin();
    crew.run(Some(Instant::now() + Duration::from_secs(5)));
    let before = server.used();
    crew.run(Some(Instant::now() + Duration::from_secs(60)));
    let after = server.used();
    let seconds = (after.at - before.at).as_secs_f64();
    let (written, syncs) = (after.written - before.written, after.syncs - before.syncs);
    let commits = after.commits - before.commits;
    let busy = (after.cpu - before.cpu).as_secs_f64() / seconds * 100.0;
    println!(
        "64 waiting workers for {seconds:.0} s: {written} bytes written, {syncs} syncs, {commits} commits, {busy:.3} % of a \
         processor"
    );
    table.note(durability, "idle", format!("{written}, {syncs}, {busy:.3}"));
    server.end();
}

/// RFC 3339 with nanoseconds.
fn stamp(nanos: u64) -> String {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date, by eras of 400 years.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:09}Z")
}

/// Nanoseconds since 1970 of such a text, with any number of decimals.
fn nanos(text: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("a number");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let y = year - u64::from(month <= 2);
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let decimals: String = text[19..].chars().filter(char::is_ascii_digit).collect();
    let rest: u64 = format!("{decimals:0<9}")[..9].parse().expect("decimals");
    seconds * 1_000_000_000 + rest
}
