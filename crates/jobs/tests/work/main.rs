//! Workers and clients against a scripted server, through a proxy that cuts and stalls, and against our own server.

mod drops;
mod faults;
mod handling;
mod live;
mod pace;
mod process;
mod proxy;
mod pushing;
mod rig;
mod script;
mod stopping;
