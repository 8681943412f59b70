//! What happens in the engine, for the program.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use evercrew_worker::{BoxError, Context};
use serde_json::{Value, json};

use crate::service::{Service, custom};

/// The service that observes.
const NAME: &str = "observer";
/// How long a look at the socket may take: a stop is noticed that late, and progress is told that often.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attempts to reach an engine that changes its manager.
const AGAIN: Duration = Duration::from_millis(100);

/// Something that happened, as the reference of events describes it.
#[derive(Clone, PartialEq)]
pub struct Event {
    fields: Value,
}

impl Event {
    /// Its number; each event has the next one.
    pub fn number(&self) -> u64 {
        self.fields["seq"].as_u64().unwrap_or(0)
    }

    /// What it is: `worker.ready`, `worker.exit`, `rollout.finished`, …; `gap` where some were missed.
    pub fn kind(&self) -> &str {
        self.fields["kind"].as_str().unwrap_or_default()
    }

    /// About which service.
    pub fn service(&self) -> Option<&str> {
        self.fields["service"].as_str()
    }

    /// About which worker: `web.1`.
    pub fn worker(&self) -> Option<&str> {
        self.fields["worker"].as_str()
    }

    /// Everything that is told of it.
    pub fn fields(&self) -> &Value {
        &self.fields
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

pub(crate) fn service(observe: impl Fn(&Event) + Send + Sync + 'static) -> Service {
    let observe = Arc::new(observe);
    custom(NAME, move |context| follow(&context, &*observe))
}

/// Reads events until a stop, across managers.
fn follow(context: &Context, observe: &dyn Fn(&Event)) -> Result<(), BoxError> {
    let Some(directory) = context.directory() else { return Err("there is no engine to observe".into()) };
    let (socket, mut next) = (directory.join("control.sock"), None);
    while !context.wait_for_set(Duration::ZERO) {
        // A manager that changes closes its connections, and refuses new ones for a moment at most.
        if read(context, &socket, &mut next, observe).is_err() {
            context.wait_for_set(AGAIN);
        }
    }
    Ok(())
}

fn read(context: &Context, socket: &Path, next: &mut Option<u64>, observe: &dyn Fn(&Event)) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut args = json!({"follow": true});
    if let Some(next) = next {
        args["since"] = json!(next);
    }
    stream.write_all(format!("{}\n", json!({"id": "1", "verb": "events", "args": args})).as_bytes())?;
    let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let reply: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
                line.clear();
                let event = Event { fields: reply["content"].clone() };
                if let Some(number) = event.fields["seq"].as_u64() {
                    *next = Some(number + 1);
                }
                if !event.kind().is_empty() {
                    observe(&event);
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if context.wait_for_set(Duration::ZERO) {
            return Ok(());
        }
    }
}
