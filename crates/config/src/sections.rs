//! All tables of keys.

use crate::key::Section;
use crate::keys::{
    BACKOFF, BYTE_LIMIT, CONTROL, ENGINE, FILE, HEARTBEAT, HTTP, LIMITS, LISTEN, LOG, METRICS, NUMBER_LIMIT, QUEUE,
    READY, RECYCLE, ROLLOUT, RUNG, SERVICE, SERVICE_LOG, START_LIMIT, STOP,
};

/// Every section in the order of the reference.
pub(crate) static SECTIONS: [&Section; 21] = [
    &FILE,
    &ENGINE,
    &LOG,
    &CONTROL,
    &METRICS,
    &LISTEN,
    &SERVICE,
    &READY,
    &HEARTBEAT,
    &BACKOFF,
    &START_LIMIT,
    &STOP,
    &RUNG,
    &LIMITS,
    &NUMBER_LIMIT,
    &BYTE_LIMIT,
    &HTTP,
    &RECYCLE,
    &ROLLOUT,
    &SERVICE_LOG,
    &QUEUE,
];
