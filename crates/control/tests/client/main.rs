//! The client against an engine that answers, breaks and stays silent as each test says.

mod asking;
mod engine;
mod following;
