//! Kept connections with a request each 50 ms, through rollouts without an end.

use std::time::{Duration, Instant};

use evercrew_load::{Load, Report};

use crate::{median, millis, start};

const CLIENTS: u32 = 16;
const PAIRS: usize = 10;
const STRETCH: Duration = Duration::from_secs(6);

pub(crate) fn measure() {
    let (engine, address) = start("rollout = { settle = \"50ms\" }\n");
    let rate = f64::from(CLIENTS) * 20.0;
    let load = Load::builder(address).rate(rate).keep_alive(CLIENTS as usize).duration(STRETCH);
    let stretch = |rolls: bool| -> (Report, u32) {
        let running = load.clone().start_thread().expect("start the load");
        let (begin, mut rollouts) = (Instant::now(), 0);
        while rolls && begin.elapsed() < STRETCH {
            engine.ok(&["restart", "web"]);
            rollouts += 1;
        }
        (running.finish(), rollouts)
    };
    let (mut added, mut quiet, mut rollouts, mut lost, mut closed) = (Vec::new(), Vec::new(), 0, 0, 0);
    for _ in 0..PAIRS {
        let (calm, _) = stretch(false);
        let (busy, count) = stretch(true);
        quiet.push(millis(calm.latency.p99));
        added.push(millis(busy.latency.p99) - millis(calm.latency.p99));
        rollouts += count;
        for report in [calm, busy] {
            lost += report.failed() + report.idle_closes + report.idle_resets;
            closed += report.announced_closes;
        }
    }
    println!(
        "kept: {CLIENTS} connections, a request each 50 ms, {rollouts} rollouts: {lost} lost or ended unannounced, {closed} \
         ended as announced; p99 {:.1} ms without, {:+.1} ms with rollouts (medians of {PAIRS} pairs)",
        median(&quiet),
        median(&added),
    );
}
