//! End-to-end tests: an engine started as a user starts it, with real processes, killed in every way.

mod asking;
mod commands;
mod control;
mod crash;
mod daemon;
mod deploys;
mod ends;
mod faults;
mod hangup;
mod hung;
mod identity;
mod init;
mod json;
mod kill;
mod limits;
mod load;
mod logs;
mod many;
mod matrix;
mod newcomer;
mod operations;
mod operator;
mod output;
mod pid_file;
mod programs;
mod prologue;
mod queues;
mod reload;
mod removed;
mod retold;
mod reuse;
mod rollout;
mod run;
mod services;
mod signals;
mod slots;
mod starved;
mod stop;
mod times;
mod top;
mod tree;
mod ulimit;
mod words;

/// The binary of this tree.
const EVERCREW: &str = env!("CARGO_BIN_EXE_evercrew");
