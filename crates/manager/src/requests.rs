//! What a connection asks: lines that become requests, one at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evercrew_wire::control::{MAX_LINE, Reply, Request};
use tokio::sync::{Semaphore, mpsc};

use crate::ahead::{ReadHalf, Reading};
use crate::audit::Audited;
use crate::clients::{ClientId, failure};
use crate::input::Input;
use crate::intake::{Intake, Line, Read};
use crate::outbox::Load;

/// What another manager had in hand of a connection.
#[derive(Debug, Default)]
pub(crate) struct Heirloom {
    pub(crate) incoming: Vec<u8>,
    pub(crate) outgoing: Vec<u8>,
    pub(crate) refused: Option<Reply>,
    pub(crate) ended: bool,
    pub(crate) audited: Vec<Audited>,
}

/// Where a client's requests come from. Whatever it has read is with the intake, so that it can be stopped for good at
/// any time and another manager goes on.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: ClientId,
    pub(crate) turn: Arc<Semaphore>,
    pub(crate) load: Arc<Load>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) refused: Arc<Mutex<Option<Reply>>>,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Source {
    /// Reads until it sends no more.
    pub(crate) async fn read_requests(&self, read: &mut Reading<ReadHalf>) {
        while self.refused().is_none() {
            let mut line = Line::new(&self.intake, self.id);
            match line.read(read).await {
                Read::Whole => {
                    if !self.send(|| Ok(line)).await {
                        return;
                    }
                }
                Read::End => return,
                Read::TooLong => {
                    let text = format!("a request line is longer than {MAX_LINE} bytes");
                    self.refuse(failure("", 2, text, "send less in one request"));
                }
                Read::GivenUp => {
                    let text =
                        "all clients together have sent too much of unfinished requests, and this is the longest";
                    self.refuse(failure("", 75, text, "send short requests, each whole with its newline"));
                }
            }
        }
        self.send(|| Err(self.refused().take().unwrap_or_else(|| failure("", 2, "not a request", "")))).await;
    }

    fn refused(&self) -> MutexGuard<'_, Option<Reply>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its next reply is the last.
    pub(crate) fn refuse(&self, refusal: Reply) {
        *self.refused() = Some(refusal);
    }

    /// Hands a request, or what is wrong with it, to the loop when it is this client's turn; false when the loop is gone.
    async fn send(&self, request: impl FnOnce() -> Result<Line, Reply>) -> bool {
        // Taken and given back: the request before is answered, and what it was answered has to be read first.
        drop(self.turn.acquire().await);
        self.load.drained().await;
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return false };
        let Ok(permit) = self.inputs.reserve().await else { return false };
        permit.send(Input::Asked(self.id, request(), turn));
        true
    }
}

/// What a line asks.
///
/// # Errors
/// What to answer to one that asks nothing.
pub(crate) fn parse(line: &Line) -> Result<Request, Reply> {
    let bytes = line.take();
    serde_json::from_slice::<Request>(&bytes).map_err(|error| {
        let hint = r#"send one JSON object a line: {"id":"1","verb":"status","args":{}}"#;
        failure(&id_of(&bytes), 2, format!("not a request: {error}"), hint)
    })
}

/// The id of a request that is wrong otherwise, so that its failure reaches it.
fn id_of(line: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    value.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()
}
