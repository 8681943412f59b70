//! The one table of the engine's own metrics. The reference page `docs/reference/metrics.md` is written from it.

/// One metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for the reference page"))]
    pub(crate) labels: &'static str,
    pub(crate) help: &'static str,
}

macro_rules! families {
    ($($id:ident: $kind:literal $name:literal [$labels:literal] $help:literal;)+) => {
        $(pub(crate) static $id: Family = Family { name: $name, kind: $kind, labels: $labels, help: $help };)+
        /// Every one that stands alone, in the order in which they are served.
        pub(crate) static FAMILIES: &[&Family] = &[
            $(&$id,)+
            &ENGINE[0], &ENGINE[1], &ENGINE[2], &WORKER[0], &WORKER[1], &WORKER[2],
        ];
    };
}

families! {
    INFO: "gauge" "evercrew_info" ["version"] "Always 1";
    GENERATION: "gauge" "evercrew_manager_generation" [""] "How many managers there were since the engine was started";
    REVISION: "gauge" "evercrew_configuration_revision" [""] "The revision of the configuration in force";
    CLIENTS: "gauge" "evercrew_control_clients" [""] "Connections on the control socket";
    FOLLOWERS: "gauge" "evercrew_event_followers" [""] "Requests that follow events";
    CALLS: "gauge" "evercrew_calls_open" [""] "Commands to workers that are not answered yet";
    COMMANDS: "counter" "evercrew_commands_total" ["verb"] "Requests on the control socket";
    EVENTS: "counter" "evercrew_events_total" ["kind"] "Events by kind";
    DISREGARDED: "counter" "evercrew_answers_disregarded_total" ["why"] "Answers of workers that changed nothing: late or double, another worker's, to no question, too much progress";
    WANTED: "gauge" "evercrew_service_workers_wanted" ["service"] "Workers that are wanted";
    READY: "gauge" "evercrew_service_workers_ready" ["service"] "Workers that are ready";
    STATE: "gauge" "evercrew_service_state" ["service, state"] "1 for the state that the service is in";
    RESTARTS: "gauge" "evercrew_service_restarts" ["service"] "Unplanned restarts of the slots that there are";
    EXITS: "counter" "evercrew_worker_exits_total" ["service, reason"] "Workers that ended, by the reason as in `last_exit`";
    DRAINS: "histogram" "evercrew_worker_drain_seconds" ["service"] "From the request to leave to the end";
    IMBALANCE: "gauge" "evercrew_service_accept_imbalance_ratio" ["service"] "Connections a second of the worker that accepts most, by the mean of all; 1 is even. Of workers that tell `http_connections_total`, two at least";
    ACCEPTED: "counter" "evercrew_worker_accepted_total" ["service, worker"] "Connections that it has accepted, where it tells that";
    LAG: "histogram" "evercrew_worker_heartbeat_lag_seconds" ["service"] "By how much heartbeats came later than `heartbeat.interval` after the one before";
    UPTIME: "gauge" "evercrew_worker_uptime_seconds" ["service, worker"] "Since its process was started";
    BEAT: "gauge" "evercrew_worker_beat_age_seconds" ["service, worker"] "Since its last heartbeat, where it sends any";
    REPORTS: "gauge" "evercrew_worker_reports" ["service, worker"] "Whether it has told any metric of its own, where it can; 0 is missing in the sums";
    REFUSED: "counter" "evercrew_metrics_refused_total" ["service, why"] "Metrics of workers that were not taken";
}

/// Processor, memory, descriptors.
pub(crate) static ENGINE: [Family; 3] = [
    Family {
        name: "evercrew_process_cpu_seconds_total",
        kind: "counter",
        labels: "process",
        help: "Processor time of supervisor, manager and logger",
    },
    Family {
        name: "evercrew_process_resident_memory_bytes",
        kind: "gauge",
        labels: "process",
        help: "Resident memory of supervisor, manager and logger",
    },
    Family {
        name: "evercrew_process_open_fds",
        kind: "gauge",
        labels: "process",
        help: "Open descriptors of supervisor, manager and logger",
    },
];

/// The same of a worker's own process.
pub(crate) static WORKER: [Family; 3] = [
    Family {
        name: "evercrew_worker_cpu_seconds_total",
        kind: "counter",
        labels: "service, worker",
        help: "Processor time of the worker's own process",
    },
    Family {
        name: "evercrew_worker_resident_memory_bytes",
        kind: "gauge",
        labels: "service, worker",
        help: "Resident memory of the worker's own process",
    },
    Family {
        name: "evercrew_worker_open_fds",
        kind: "gauge",
        labels: "service, worker",
        help: "Open descriptors of the worker's own process",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let mut page = "# Metrics\n\nThe table is written by the code; `EVERCREW_BLESS=1 cargo test -p evercrew-manager reference` writes it again.\n\n\
            ```toml\n[metrics]\nlisten = \"127.0.0.1:9100\"      # or \"unix:run/metrics.sock\"\n```\n\n\
            `GET /metrics` answers there with Prometheus' text format, to everybody who reaches the address. At most 16 scrapers are\n\
            served at a time, each for 10 s at most. `evercrew metrics` prints the same, `evercrew metrics --json` the figures of each\n\
            worker beside their sums, and `missing`: workers that could tell metrics and have told none.\n\n\
            Counters of the engine begin at 0 with each manager, those of workers with each engine and manager: Prometheus takes that\n\
            for the restart it is. While a manager lives no sum of workers goes backwards, whatever ends or begins anew.\n\n\
            ## Of workers\n\n\
            A worker with a [command pipe](command-pipe.md#metrics) tells what it counts. Of each service there is one sample a series,\n\
            with the label `service` and the worker's own: counters and histograms are sums of all workers, those that ended too;\n\
            gauges are merged by their own rule (`sum`, `max`, `min`, `mean`) among those that live.\n\n"
            .to_owned();
        page += include_str!("families/queue.md");
        page += "## Of the engine\n\n| metric | kind | labels | |\n|---|---|---|---|\n";
        for Family { name, kind, labels, help } in FAMILIES {
            page += &format!("| `{name}` | {kind} | {labels} | {help} |\n");
        }
        page
    }

    #[test]
    fn names_follow_the_conventions() {
        for family in FAMILIES {
            assert!(family.name.starts_with("evercrew_"), "{}", family.name);
            assert_eq!(family.kind == "counter", family.name.ends_with("_total"), "{}", family.name);
        }
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        crate::reference::is_up_to_date("metrics.md", &page());
    }
}
