//! What servers and networks do to a worker; the known faults of other workers by their numbers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evercrew_jobs::{Client, Context, Failure, Job, Remote, Report, Worker};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::pace::until;
use crate::proxy::Proxy;
use crate::rig::Rig;
use crate::script::Script;

/// A worker that notes which jobs ran.
struct Crew {
    ran: Arc<Mutex<Vec<String>>>,
    /// A job of the type `Held` ends with the next one of these.
    release: Arc<Notify>,
    began: Arc<Notify>,
    remote: Remote,
    running: JoinHandle<Report>,
}

impl Crew {
    fn at(address: evercrew_jobs::Address, slots: u32) -> Self {
        let (ran, release, began) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (kept, held, notify) = (Arc::clone(&ran), Arc::clone(&release), Arc::clone(&began));
        let worker = Worker::builder()
            .address(address)
            .concurrency(slots)
            .fallback(move |context: Context| {
                kept.lock().expect("no panic").push(context.jid().to_owned());
                let (held, notify) = (Arc::clone(&held), Arc::clone(&notify));
                async move {
                    if context.kind() == "Held" {
                        notify.notify_one();
                        held.notified().await;
                    }
                    Ok::<(), Failure>(())
                }
            })
            .build()
            .expect("worker");
        let remote = worker.remote();
        let running = tokio::spawn(async move { worker.run().await.expect("it ends well") });
        Self { ran, release, began, remote, running }
    }

    async fn stop(self) -> (Report, Vec<String>) {
        self.remote.stop();
        let report = self.running.await.expect("no panic");
        (report, self.ran.lock().expect("no panic").clone())
    }
}

fn each_once(ran: &[String]) {
    let distinct: HashSet<&String> = ran.iter().collect();
    assert_eq!(distinct.len(), ran.len(), "some ran twice: {ran:?}");
}

/// Fault 3: a server that restarts while the worker is idle, and while a job runs, ends nothing: the result is
/// delivered once, and the job runs once.
#[tokio::test]
async fn a_server_that_restarts_gets_each_result_once() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("jobs.db");
    let mut rig = Rig::on_disk(&path);
    let proxy = Proxy::new(rig.address);
    let crew = Crew::at(proxy.url(), 4);
    let client = Client::new(proxy.url());
    client.push(Job::new("Held", ()).named("held-job-1")).await.expect("push");
    crew.began.notified().await;
    proxy.lead_to(None);
    rig.stop();
    crew.release.notify_one();
    proxy.cut_all();
    let rig = Rig::on_disk(&path);
    proxy.lead_to(Some(rig.address));
    client.push(Job::new("Next", ()).named("next-job-1")).await.expect("push");
    until(|| rig.state("held-job-1") == "done" && rig.state("next-job-1") == "done").await;
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!((report.done, report.failed, ran.len()), (2, 0, 2));
    assert_eq!(rig.total("done"), 2);
}

/// Fault 4: one reset connection of four hurts nobody else, and the worker goes on.
#[tokio::test]
async fn one_reset_connection_of_four_hurts_one_fetch() {
    let script = Script::new();
    let crew = Crew::at(script.url(), 50);
    script.until_async("four are open", |state| (state.open.len() == 4).then_some(())).await;
    for place in 0..4 {
        let before = script.state().logged_in;
        script.cut(place);
        script
            .until_async("it is open again", move |state| {
                (state.logged_in > before && state.open.len() == 4).then_some(())
            })
            .await;
        script.job(&format!("after-cut-{place}"), "T");
        let wanted = place + 1;
        script.until_async("a job is done", move |state| (state.count("ACK") == wanted).then_some(())).await;
    }
    assert!(script.state().logged_in <= 4 + 4 + 4, "a cut costs one connection: {}", script.state().logged_in);
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!(report.done, 4);
}

/// Fault 5: after a worker could not work, the next one of the same process does.
#[tokio::test]
async fn a_worker_that_was_denied_is_followed_by_one_that_works() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("T", ()).named("one-job-1")).await.expect("push");
    let build = || Worker::builder().address(rig.url()).fallback(|_| async { Ok::<(), Failure>(()) });
    assert!(build().wid("short").build().is_err(), "no name of a worker");
    for done in [1, 0] {
        assert_eq!(build().build().expect("worker").run_one().await.expect("it ends well").done, done);
    }
}

/// Fault 7: a server that says nothing any more is noticed within 10 s, and works again when it does.
#[tokio::test]
async fn a_server_that_stands_still_is_noticed() {
    let script = Script::new();
    let crew = Crew::at(script.url(), 4);
    script.until_async("it fetches", |state| (state.count("FETCH") >= 2).then_some(())).await;
    let since = Instant::now();
    let before = script.with(|state| {
        state.stalls = true;
        state.open.keys().next_back().copied()
    });
    script
        .until_async("it is given up, and tried anew", move |state| {
            (state.open.keys().next_back().copied() > before).then_some(())
        })
        .await;
    assert!(since.elapsed() < Duration::from_secs(11), "noticed after {:?}", since.elapsed());
    script.with(|state| state.stalls = false);
    let again = Instant::now();
    script.job("after-stall", "T");
    script.until_async("it works again", |state| (state.count("ACK") == 1).then_some(())).await;
    assert!(again.elapsed() < Duration::from_secs(5), "it works again after {:?}", again.elapsed());
    crew.stop().await;
}

/// Fault 9: two hundred slots take four connections, those of clients included in none.
#[tokio::test]
async fn two_hundred_slots_take_four_connections() {
    let script = Script::new();
    for number in 0..200 {
        script.job(&format!("many-jobs-{number}"), "Held");
    }
    let crew = Crew::at(script.url(), 200);
    let ran = Arc::clone(&crew.ran);
    until(move || ran.lock().expect("no panic").len() == 200).await;
    assert_eq!(script.state().logged_in, 4);
    for _ in 0..200 {
        crew.release.notify_waiters();
        tokio::task::yield_now().await;
    }
    script.until_async("all are done", |state| (state.count("ACK") == 200).then_some(())).await;
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!((report.done, script.state().logged_in), (200, 4));
}

/// Fault 10: a job that blocks for longer than a beat's interval stops no beat, and keeps its connections.
#[tokio::test]
async fn a_job_that_blocks_stops_no_beat() {
    let script = Script::new();
    script.job("blocks-long", "Blocks");
    let seen = script.clone();
    let worker = Worker::builder()
        .address(script.url())
        .concurrency(1)
        .blocking_handler("Blocks", move |_, (): ()| -> Result<(), Failure> {
            let before = seen.state().count("BEAT");
            seen.until("beats go on", |state| (state.count("BEAT") > before).then_some(()));
            Ok(())
        })
        .build()
        .expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    script.until_async("it is done", |state| (state.count("ACK") == 1).then_some(())).await;
    let beat = script.state().lines.iter().rfind(|line| line.starts_with("BEAT")).cloned().expect("BEAT");
    let rss = beat.split("\"rss_kb\":").nth(1).and_then(|rest| rest.trim_end_matches('}').parse::<u64>().ok());
    assert!(rss.is_some_and(|rss| rss > 100), "{beat}");
    assert_eq!(script.state().logged_in, 2);
    remote.stop();
    assert_eq!(running.await.expect("no panic").expect("it ends well").done, 1);
}

/// A result whose connection is cut before its answer is told again, once, and its job does not run again.
#[tokio::test]
async fn a_result_on_a_cut_connection_is_told_again() {
    let rig = Rig::new();
    let proxy = Proxy::new(rig.address);
    let crew = Crew::at(proxy.url(), 2);
    let client = Client::new(rig.url());
    for number in 0..5 {
        let jid = format!("cut-result-{number}");
        client.push(Job::new("Held", ()).named(&jid)).await.expect("push");
        crew.began.notified().await;
        proxy.stall(true);
        crew.release.notify_one();
        let accepted = proxy.accepted();
        // Something of the result is on its way, and nothing of it arrives.
        tokio::task::yield_now().await;
        proxy.cut_all();
        proxy.stall(false);
        until(|| rig.state(&jid) == "done").await;
        assert!(proxy.accepted() > accepted);
    }
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!((report.done, rig.total("done"), rig.total("failed")), (5, 5, 0));
}

/// A server that does not know the worker any more is told who it is.
#[tokio::test]
async fn a_forgotten_worker_says_who_it_is() {
    let script = Script::new();
    script.with(|state| state.forgets = 2);
    let crew = Crew::at(script.url(), 1);
    script.job("after-that", "T");
    script.until_async("it works", |state| (state.count("ACK") == 1).then_some(())).await;
    assert!(script.state().logged_in >= 3, "{:#?}", script.state().lines);
    crew.stop().await;
}

/// A result that the server cannot store is told again until it can, and counts as delivered only then.
#[tokio::test]
async fn a_refused_result_is_told_again() {
    let script = Script::new();
    script.with(|state| state.refuses = 3);
    let crew = Crew::at(script.url(), 1);
    script.job("disk-full-1", "T");
    script.until_async("it is told four times", |state| (state.count("ACK") == 4).then_some(())).await;
    let (report, ran) = crew.stop().await;
    assert_eq!((report.done, report.undelivered, ran.len()), (1, 0, 1));
}

/// Answers that come byte by byte are answers.
#[tokio::test]
async fn half_lines_are_waited_for() {
    let script = Script::new();
    script.with(|state| state.dribbles = true);
    let crew = Crew::at(script.url(), 3);
    for number in 0..20 {
        script.job(&format!("dribbled-{number}"), "T");
    }
    script.until_async("all are done", |state| (state.count("ACK") == 20).then_some(())).await;
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!(report.done, 20);
}

/// Connections are reset at any moment while jobs run: each of them is done once.
#[tokio::test]
async fn jobs_run_once_while_connections_are_cut() {
    let jobs = if std::env::var_os("EVERCREW_LONG").is_some() { 20_000 } else { 2000 };
    let rig = Rig::new();
    let proxy = Proxy::new(rig.address);
    let client = Client::new(rig.url());
    let all = (0..jobs).map(|number| Job::new("T", (number,)).named(format!("under-fire-{number}")));
    assert!(client.push_many(all).await.expect("push").is_empty());
    let crew = Crew::at(proxy.url(), 20);
    let count = AtomicU32::new(0);
    let asked = Instant::now();
    while rig.total("done") < jobs {
        proxy.cut_all();
        count.fetch_add(1, Ordering::Relaxed);
        let (before, accepted) = (rig.total("done"), proxy.accepted());
        until(|| proxy.accepted() >= accepted + 2 && rig.total("done") > before || rig.total("done") == jobs).await;
        assert!(asked.elapsed() < Duration::from_secs(120), "{} of {jobs}", rig.total("done"));
    }
    let (report, ran) = crew.stop().await;
    each_once(&ran);
    assert_eq!((report.done, rig.total("done"), rig.total("failed")), (jobs, jobs, 0));
    println!("{jobs} jobs, {} times all connections were cut", count.into_inner());
}
