//! The load client against a server that misbehaves on purpose.

mod faults;
mod running;
mod server;
