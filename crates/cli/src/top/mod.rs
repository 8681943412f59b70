//! The live view of `top`: what is known and what a key does (`model`, `order`), how that looks (`draw`, `columns`), where
//! it comes from (`sources`), and the terminal (`screen`, `live`).
//!
//! `model` and `draw` are pure: no clock, no terminal, no engine.

mod columns;
mod draw;
mod live;
mod model;
mod order;
mod rates;
mod screen;
mod sources;

pub(crate) use live::run;
pub(crate) use rates::{MINUTE, Rates};
