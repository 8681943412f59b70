//! The client's methods: a verb each.

use serde_json::{Value, json};

use crate::ask::Ask;
use crate::client::{Client, Workers};
use crate::request::{Request, Upon};
use crate::verb::{
    Call, Dump, LogLevel, Metrics, Past, Raw, Reload, Restart, Rollouts, Scale, Shutdown, Signal, Start, Status, Steer,
    Stop, Surroundings, Undo, Verb, Versions, Wait,
};

impl Client {
    fn put<V: Verb>(&self, request: Request) -> Ask<V> {
        Ask::new(self, request)
    }

    /// How things stand.
    ///
    /// ```no_run
    /// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
    /// let status = client.status().of(["web"]).await?;
    /// let busy = status.services[0].workers.iter().filter(|worker| worker.cpu_percent > Some(90.0)).count();
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Ask<Status> {
        self.put(Request::look("status"))
    }

    /// Waits until all services are ready, stopped or finished. It changes nothing, and goes on waiting across a change of
    /// managers.
    pub fn wait(&self) -> Ask<Wait> {
        self.put(Request::new("wait").upon(Upon::Repeat))
    }

    /// Changes how many workers services have; answered when that many are ready and none drains.
    pub fn scale<S: AsRef<str>>(&self, workers: impl IntoIterator<Item = (S, Workers)>) -> Ask<Scale> {
        let names = workers.into_iter().map(|(name, workers)| format!("{}={workers}", name.as_ref()));
        self.put(Request::new("scale").named(names))
    }

    /// Replaces every worker of services, or single workers (`web.2`), one by one; answered when each was replaced by a
    /// ready one. A timeout that passes leaves the rollout paused.
    pub fn restart<S: Into<String>>(&self, names: impl IntoIterator<Item = S>) -> Ask<Restart> {
        self.put(Request::new("restart").named(names))
    }

    /// Starts stopped services; answered when they are ready.
    pub fn start<S: Into<String>>(&self, names: impl IntoIterator<Item = S>) -> Ask<Start> {
        self.put(Request::new("start").named(names))
    }

    /// Stops services; answered when no process of them is left.
    pub fn stop<S: Into<String>>(&self, names: impl IntoIterator<Item = S>) -> Ask<Stop> {
        self.put(Request::new("stop").named(names))
    }

    /// Reads the configuration anew; answered when all that follows from it is done.
    pub fn reload(&self) -> Ask<Reload> {
        self.put(Request::new("reload"))
    }

    /// Stops the engine; answered at once.
    pub fn shutdown(&self) -> Ask<Shutdown> {
        self.put(Request::look("shutdown"))
    }

    /// Sends a signal (`USR1`, `10`) or a word for a command pipe (`RELOAD`) to workers; says to which.
    pub fn signal<S: Into<String>>(
        &self,
        names: impl IntoIterator<Item = S>,
        signal: impl Into<String>,
    ) -> Ask<Signal> {
        self.put(Request::new("signal").named(names).with("signal", json!(signal.into())).at_once())
    }

    /// Asks a service's ready workers, or one of them (`web.2`), something of their own, and gathers what each one said.
    ///
    /// It fails unless all of them did it; then [`Error::called`](crate::Error::called) has each one's outcome.
    ///
    /// ```no_run
    /// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
    /// use std::time::Duration;
    ///
    /// use serde_json::json;
    ///
    /// let asked = client.call("web", "flush-cache").args(json!({"all": true})).timeout(Duration::from_secs(1)).await;
    /// match asked {
    ///     Ok(called) => println!("{} did it", called.workers.len()),
    ///     Err(error) => {
    ///         for worker in error.called().into_iter().flat_map(|called| &called.workers) {
    ///             println!("{}: {:?} {}", worker.name, worker.outcome, worker.message);
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn call(&self, name: impl Into<String>, verb: impl Into<String>) -> Ask<Call> {
        let request = Request::new("call").named([name.into()]).with("call", json!(verb.into()));
        self.put(request.exact())
    }

    /// The rollouts that run or are paused.
    pub fn rollouts(&self) -> Ask<Rollouts> {
        self.put(Request::look("rollout-status"))
    }

    /// The last rollouts, newest first.
    pub fn rollout_history(&self) -> Ask<Rollouts> {
        self.put(Request::look("rollout-history"))
    }

    /// Replaces nothing more until [`Client::resume_rollouts`].
    pub fn pause_rollouts(&self) -> Ask<Steer> {
        self.put(Request::new("rollout-pause").at_once())
    }

    /// Goes on with paused rollouts.
    pub fn resume_rollouts(&self) -> Ask<Steer> {
        self.put(Request::new("rollout-resume").at_once())
    }

    /// Goes back to the command and settings that served before.
    pub fn undo_rollouts<S: Into<String>>(&self, names: impl IntoIterator<Item = S>) -> Ask<Undo> {
        self.put(Request::new("rollout-undo").named(names))
    }

    /// Which lines of its log each process writes.
    pub fn log_levels(&self) -> Ask<LogLevel> {
        self.put(Request::look("log-level"))
    }

    /// Has every process write lines of this level (`debug`) and above, until it is set anew; with [`of`](Ask::of) only
    /// some: the engine's own (`supervisor`, `manager`, `logger`), services, and workers.
    pub fn set_log_level(&self, level: impl Into<String>) -> Ask<LogLevel> {
        self.put(Request::look("log-level").with("filter", json!(level.into())))
    }

    /// Everything that the engine and its workers count.
    pub fn metrics(&self) -> Ask<Metrics> {
        self.put(Request::look("metrics"))
    }

    /// What the engine thinks, with its last decisions: for a person who looks for a fault.
    pub fn dump(&self, last: u32) -> Ask<Dump> {
        self.put(Request::look("dump").with("last", json!(last)))
    }

    /// What the workers of a service run in.
    pub fn surroundings(&self, name: impl Into<String>) -> Ask<Surroundings> {
        self.put(Request::look("surroundings").named([name.into()]))
    }

    /// The engine's version, and its verbs.
    pub fn version(&self) -> Ask<Versions> {
        self.put(Request::look("version"))
    }

    /// The events that are kept from this number on; [`Client::events`] follows them.
    pub fn events_since(&self, since: u64) -> Ask<Past> {
        self.put(Request::look("events").with("since", json!(since)))
    }

    /// A request by its verb's name: for what has no method here, and for replies as they come.
    ///
    /// ```no_run
    /// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
    /// use evercrew_control::{Request, ReplyStatus};
    /// use serde_json::json;
    ///
    /// let reply = client.request(Request::new("start").with("names", json!(["web"]))).await?;
    /// assert_eq!(reply.status, ReplyStatus::Ok, "{}", reply.message);
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self, request: Request) -> Ask<Raw> {
        self.put(request)
    }
}

macro_rules! only {
    ($($verb:ident),+) => {
        $(impl Ask<$verb> {
            /// Only of these services.
            pub fn of<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
                self.request = self.request.named(names);
                self
            }
        })+
    };
}

only!(Status, Wait, Rollouts, Steer, LogLevel);

impl Ask<Restart> {
    /// All at once, without grace; nothing is tried first.
    pub fn now(self) -> Self {
        self.with("now", Value::Bool(true))
    }

    /// The whole new set beside the old one, which drains without being counted.
    pub fn detach(self) -> Self {
        self.with("detach", Value::Bool(true))
    }
}

impl Ask<Stop> {
    /// Without grace.
    pub fn now(self) -> Self {
        self.with("now", Value::Bool(true))
    }
}

impl Ask<Shutdown> {
    /// Without grace.
    pub fn now(self) -> Self {
        self.with("now", Value::Bool(true))
    }
}

impl Ask<Reload> {
    /// Only says what would change.
    pub fn dry_run(self) -> Self {
        self.with("dry_run", Value::Bool(true))
    }

    /// Does not wait for what follows the commit.
    pub fn no_wait(self) -> Self {
        self.with("no_wait", Value::Bool(true))
    }
}

impl Ask<Signal> {
    /// The whole process group of each worker.
    pub fn group(self) -> Self {
        self.with("group", Value::Bool(true))
    }
}

impl Ask<Call> {
    /// With these arguments, at most 31 KiB.
    pub fn args(self, args: Value) -> Self {
        self.with("with", args)
    }

    /// One of them, the one that has least to do.
    pub fn one(self) -> Self {
        self.with("one", Value::Bool(true))
    }

    /// The first success is enough.
    pub fn first(self) -> Self {
        self.with("first", Value::Bool(true))
    }

    /// So many successes are enough.
    pub fn quorum(self, workers: u32) -> Self {
        self.with("quorum", json!(workers))
    }

    /// Those who do not answer are named, and the rest is a success.
    pub fn map(self) -> Self {
        self.with("map", Value::Bool(true))
    }
}
