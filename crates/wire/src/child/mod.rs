//! Lines between a pool and its warm children, one JSON object each.
//!
//! A child gets [`Job`]s and writes a line with a `status` for each of them: `ok`, `error`, `throttled`. That is all that the
//! plain protocol has. A child whose first line is `{"ready":true,"protocol":1}` speaks ours: a job comes with its kind, attempt
//! and time, `cancel` and `drain` come too; it may answer in any order, and say `started`, `progress`, `log`, `heartbeat`,
//! `discard`, `unknown` and `cancelled`.
//!
//! Whatever has neither `status` nor `ready` is [`Line::Noise`]: something that the program printed.

mod line;
mod order;
mod said;

pub use line::{Next, next};
pub use order::{Job, cancel, drain};
pub use said::{Answer, Line, Log, Ready, Said, Status};

/// The version that is spoken here.
pub const PROTOCOL: u32 = 1;
/// The longest line of a child that is read where nothing else is configured, without its newline.
pub const LONGEST_LINE: usize = 1 << 20;
