//! The server on a real socket.

mod bounds;
mod ends;
mod faults;
mod hostile;
mod lifecycle;
mod order;
mod own;
mod rig;
