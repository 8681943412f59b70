//! How a job worker goes on: what it fetches, runs and tells, whatever its server and its connections do.
//!
//! [`Worker`] decides for all connections of one worker. Line 0 reports: it beats and tells what became of jobs. The
//! others fetch, so that a fetch that waits holds up no report. `line` is one connection, `book` what is owed to the
//! server, `ending` how a worker stops, `queues` in which order queues are asked.
//!
//! A result is kept until the server has answered it. After a lost connection nothing is fetched before what was
//! owed then is answered: so a job that was finished meanwhile is settled, and not run again.

mod book;
mod doing;
mod ending;
mod event;
mod fault;
mod line;
mod machine;
mod queues;
mod settings;

pub use event::{
    Abilities, Action, Answer, Arrival, Blame, Broke, Claim, End, Event, Hint, LinkId, Order, Outcome, Question, RunId,
    Stage, Why,
};
pub use fault::Fault;
pub use line::MOST_LINES;
pub use machine::{BEAT, FETCH_WAIT, Worker};
pub use settings::Settings;
