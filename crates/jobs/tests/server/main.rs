//! The server on a real socket.

mod bounds;
#[path = "../../../wire/tests/support/corpus.rs"]
mod corpus;
mod disk;
mod ends;
mod faults;
mod hostile;
mod lifecycle;
mod order;
mod own;
mod rig;
