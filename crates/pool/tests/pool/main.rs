//! Pools with real children, good ones and bad ones.

mod faults;
mod languages;
mod protocol;
mod rig;
mod soak;
mod starts;
mod stops;
