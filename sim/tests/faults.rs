//! The checker is tested too: each planted mistake has to be found within the seeds that every test run plays.

use evercrew_core::fleet::Fault;
use evercrew_sim::run;

/// As many seeds as `seeds.rs` plays.
const SEEDS: u64 = 256;

/// Where the fault is found first, and by which property.
fn find(fault: Fault) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| run(seed, Some(fault), false).err().map(|failure| (seed, failure.message)))
}

macro_rules! found {
    ($($name:ident: $fault:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                let (seed, message) = find(Fault::$fault).expect("no seed finds it");
                println!("seed {seed}: {}", message.lines().next().unwrap_or_default());
            }
        )+

        #[test]
        fn every_fault_is_tried() {
            let tried = [$(Fault::$fault),+];
            let missing: Vec<_> = Fault::ALL.iter().filter(|fault| !tried.contains(fault)).collect();
            assert!(missing.is_empty(), "no test plants {missing:?}");
        }
    };
}

found! {
    no_backoff: NoBackoff,
    short_life_resets_backoff: ShortLifeResetsBackoff,
    start_limit_ignored: StartLimitIgnored,
    commanded_stop_counts: CommandedStopCounts,
    latest_deadline: LatestDeadline,
    ready_timeout_forgotten: ReadyTimeoutForgotten,
    heartbeat_forgotten: HeartbeatForgotten,
    away_kills: AwayKills,
    late_look_kills: LateLookKills,
    ladder_without_end: LadderWithoutEnd,
    immediate_stop_waits: ImmediateStopWaits,
    scale_down_picks_draining: ScaleDownPicksDraining,
    rollout_drops_all_old: RolloutDropsAllOld,
    canary_not_awaited: CanaryNotAwaited,
    settle_ignored: SettleIgnored,
    failed_rollout_keeps_epoch: FailedRolloutKeepsEpoch,
    prove_ignored: ProveIgnored,
    paused_goes_on: PausedGoesOn,
    undo_forgotten: UndoForgotten,
    word_forgotten: WordForgotten,
    drain_forgotten: DrainForgotten,
    draining_unbounded: DrainingUnbounded,
    leavers_not_counted: LeaversNotCounted,
    start_before_dependency: StartBeforeDependency,
    stop_order_ignored: StopOrderIgnored,
    spawn_after_shutdown: SpawnAfterShutdown,
    exit_too_early: ExitTooEarly,
    lost_forgotten: LostForgotten,
    restore_forgets_next_worker: RestoreForgetsNextWorker,
    worker_before_prologue: WorkerBeforePrologue,
    prologue_failure_ignored: PrologueFailureIgnored,
    prologue_timeout_forgotten: PrologueTimeoutForgotten,
    prologue_outlives_stop: PrologueOutlivesStop,
    restore_forgets_prologue: RestoreForgetsPrologue,
    restore_forgets_backoff: RestoreForgetsBackoff,
    define_forgets_scale: DefineForgetsScale,
    live_change_rolls: LiveChangeRolls,
    removed_is_restarted: RemovedIsRestarted,
    terms_of_new_version: TermsOfNewVersion,
    version_forgotten: VersionForgotten,
}
