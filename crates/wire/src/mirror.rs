//! The fleet's memory in serialized form.
//!
//! `core` knows nothing of serialization, and its structs may change with the code; these mirror them field by field
//! and change only with [`crate::deposit::VERSION`]. The compiler refuses a field that is forgotten on either side.

use std::time::Duration;

use evercrew_core::{Mono, Signal, fleet};
use serde::{Deserialize, Serialize};

/// A serialized form of a type of `core`.
pub(crate) trait Mirror<T> {
    /// From the type.
    fn of(value: &T) -> Self;
    /// To the type.
    fn back(self) -> T;
}

macro_rules! itself {
    ($($type:ty),+) => {$(
        impl Mirror<$type> for $type {
            fn of(value: &$type) -> Self { *value }
            fn back(self) -> $type { self }
        }
    )+};
}
itself!(u8, u32, u64, bool);

macro_rules! number {
    ($($type:ty: $value:ident -> $number:expr, $back:expr;)+) => {$(
        impl Mirror<$type> for u64 {
            fn of($value: &$type) -> Self { $number }
            fn back(self) -> $type { let back = $back; back(self) }
        }
    )+};
}
number! {
    Mono: value -> value.as_nanos(), Mono::from_nanos;
    Duration: value -> u64::try_from(value.as_nanos()).unwrap_or(u64::MAX), Duration::from_nanos;
    fleet::Epoch: value -> value.0, fleet::Epoch;
    fleet::WorkerId: value -> value.0, fleet::WorkerId;
}

impl Mirror<fleet::ServiceId> for u32 {
    fn of(value: &fleet::ServiceId) -> Self {
        value.0
    }

    fn back(self) -> fleet::ServiceId {
        fleet::ServiceId(self)
    }
}

impl<T, M: Mirror<T>> Mirror<Option<T>> for Option<M> {
    fn of(value: &Option<T>) -> Self {
        value.as_ref().map(M::of)
    }

    fn back(self) -> Option<T> {
        self.map(M::back)
    }
}

impl<T, M: Mirror<T>> Mirror<Vec<T>> for Vec<M> {
    fn of(value: &Vec<T>) -> Self {
        value.iter().map(M::of).collect()
    }

    fn back(self) -> Vec<T> {
        self.into_iter().map(M::back).collect()
    }
}

impl Mirror<Signal> for String {
    fn of(value: &Signal) -> Self {
        value.name().to_owned()
    }

    fn back(self) -> Signal {
        // Every name that was ever written is known; an unknown one can only be damage, and KILL is what it ended by.
        self.parse().unwrap_or(Signal::Kill)
    }
}

macro_rules! mirror_struct {
    ($form:ident = $type:ident { $($(#[$meta:meta])* $field:ident: $field_form:ty),+ $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        pub(crate) struct $form { $($(#[$meta])* $field: $field_form,)+ }

        impl Mirror<fleet::$type> for $form {
            fn of(value: &fleet::$type) -> Self {
                let fleet::$type { $($field,)+ } = value;
                Self { $($field: Mirror::of($field),)+ }
            }

            fn back(self) -> fleet::$type {
                fleet::$type { $($field: self.$field.back(),)+ }
            }
        }
    };
}

macro_rules! mirror_enum {
    ($form:ident = $type:ident { $($variant:ident $({ $($field:ident: $field_form:ty),+ })? $(($inner:ident: $inner_form:ty))?),+ $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum $form { $($variant $({ $($field: $field_form,)+ })? $(($inner_form))?,)+ }

        impl Mirror<fleet::$type> for $form {
            fn of(value: &fleet::$type) -> Self {
                match value {
                    $(fleet::$type::$variant $({ $($field),+ })? $(($inner))? =>
                        Self::$variant $({ $($field: Mirror::of($field)),+ })? $((Mirror::of($inner)))?,)+
                }
            }

            fn back(self) -> fleet::$type {
                match self {
                    $(Self::$variant $({ $($field),+ })? $(($inner))? =>
                        fleet::$type::$variant $({ $($field: $field.back()),+ })? $(($inner.back()))?,)+
                }
            }
        }
    };
}

mirror_struct!(SnapshotForm = Snapshot {
    at: u64,
    next_worker: u64,
    shutdown: Option<HasteForm>,
    services: Vec<ServiceForm>,
});
mirror_enum!(HasteForm = Haste { Graceful, Now });
mirror_enum!(WishForm = Wish { Run, Stop(haste: HasteForm), Remove, });
mirror_struct!(ServiceForm = ServiceMemory {
    service: u32,
    wish: WishForm,
    scale: Option<u32>,
    epoch: u64,
    serving: u64,
    #[serde(default)]
    previous: Option<u64>,
    stamp: u64,
    released: bool,
    next_start: u64,
    rollout: Option<RolloutForm>,
    #[serde(default)]
    prologue: Option<PrologueForm>,
    slots: Vec<SlotForm>,
});
mirror_struct!(PrologueForm = PrologueMemory { owed: bool, epoch: u64, command: u32, slot: SlotForm });
mirror_struct!(RolloutForm = RolloutMemory {
    epoch: u64,
    fallback: Option<u64>,
    whole: bool,
    canary: Option<u32>,
    proved: bool,
    done: u32,
    #[serde(default)]
    paused: bool,
    #[serde(default = "gradual")]
    pace: PaceForm,
});
mirror_enum!(PaceForm = Pace { Gradual, Detached, AtOnce });

fn gradual() -> PaceForm {
    PaceForm::Gradual
}

mirror_struct!(SlotForm = SlotMemory {
    generation: u32,
    restarts: u32,
    last_exit: Option<LastExitForm>,
    standing: StandingForm,
    since: u64,
    failures: u32,
    starts: Vec<u64>,
    tripped: bool,
    fell: bool,
    spared: bool,
    untried: bool,
    served: bool,
    renew: Option<u64>,
    replace_after: Option<u64>,
    workers: Vec<WorkerForm>,
});
mirror_struct!(LastExitForm = LastExit { status: Option<StatusForm>, reason: ReasonForm, at: u64, });
mirror_enum!(StatusForm = ExitStatus { Code(code: u8), Signal(signal: Option<String>), OutOfMemory, });
mirror_enum!(ReasonForm = ExitReason {
    Unasked,
    ReadyTimeout,
    Heartbeat,
    SpawnFailed,
    OutOfMemory,
    Asked(reason: StopForm),
});
mirror_enum!(StopForm = StopReason { Stop, Scale, Rollout, Recycle, RolledBack });
mirror_enum!(StandingForm = Standing {
    Open,
    Backoff { until: u64 },
    Failed { retry: Option<u64> },
    Finished,
});
mirror_struct!(WorkerForm = WorkerMemory {
    worker: u64,
    generation: u32,
    epoch: u64,
    stamp: u64,
    role: RoleForm,
    phase: PhaseForm,
    since: u64,
    started: Option<u64>,
    ready: Option<u64>,
    trial: Option<TrialForm>,
    aged: bool,
    lot: u32,
    ending: Option<ReasonForm>,
    #[serde(default)]
    apart: Option<u64>,
});
mirror_enum!(RoleForm = Role { Incumbent, Successor, Leaver });
mirror_enum!(TrialForm = Trial { Rollout, Recycle });
mirror_enum!(PhaseForm = Phase {
    Spawning,
    Booting { ready_by: u64 },
    Ready { heard: u64, beat_by: Option<u64>, settle_by: Option<u64>, recycle_at: Option<u64> },
    Draining(ladder: LadderForm),
    Stopping(ladder: LadderForm),
    Killed,
});
mirror_struct!(LadderForm = Ladder {
    step: Option<u32>,
    told: bool,
    ends: Option<u64>,
    repeats: Option<u64>,
    gap: u64,
});
