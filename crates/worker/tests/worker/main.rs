//! The built-in worker as a child process on real sockets.

mod accepting;
mod answers;
mod child;
mod client;
mod draining;
mod hostile;
mod limits;
mod notices;
mod sharing;
mod whole;
