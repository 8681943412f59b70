//! Which job is ready, who has it, and what becomes of it: the decisions of the queue server.
//!
//! [`Jobs::handle`] takes one [`Event`] and gives a [`Verdict`] for whoever asked and [`Action`]s for the shell. What is
//! to be kept comes as [`Change`]s; the shell seals them into a batch, has it written, and says [`Event::Committed`] or
//! [`Event::Refused`]. Until then a job whose change is on its way is nowhere: it is in no queue and no set, nobody gets
//! it, and no deadline touches it. So a refused batch is undone by putting its jobs back where they were. A job can have
//! several changes on their way, as a push and a cancel after it. While a flush is on its way every job that was there is
//! out of reach, and nothing is handed out.
//!
//! Three changes count at once, because a crash before their commit has the same outcome, later: a lease, a job that
//! comes back from a worker, and one that is tried no more because its time or its workers have run out.

mod batches;
mod change;
mod consumers;
mod event;
mod fault;
mod leasing;
mod machine;
mod number;
mod operating;
mod queues;
mod record;
mod retry;
mod steps;
#[cfg(test)]
mod tests;
mod totals;
mod view;
mod waits;
mod wall;
mod watches;
mod workers;

pub use change::Change;
pub use consumers::{Consumer, SILENCE};
pub use event::{Action, Claim, Event, Fetch, Found, Grant, Greeting, Mutation, NewJob, Stage, Verdict, Watch};
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use machine::{Jobs, MOST_JOBS, Policy};
pub use number::{Asker, BatchNumber, JobNumber, LeaseNumber};
pub use queues::MOST_QUEUES;
pub use record::{Attempt, Failure, MOST_EARLIER, Place, Record};
pub use retry::Backoff;
pub use totals::Totals;
pub use view::{QueueView, Set};
pub use wall::{Now, Wall};
