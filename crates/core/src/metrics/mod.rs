//! What workers count, and what all of theirs together is.
//!
//! Every worker tells how far each of its series is since it began. [`Book`] keeps the last of each and what those that
//! ended had: counters and histograms of a service are summed and never go backwards when a worker is replaced, gauges are
//! merged by their own rule among those that live.

mod book;
mod measure;
mod memory;
#[cfg(test)]
mod tests;

pub use book::{Book, Limits, Merged, Refused, Series, Told};
pub use measure::{Histogram, Measure, Rule};
pub use memory::SeriesMemory;
