//! One connection of a client: opened when somebody asks, opened again when it was lost.

use std::collections::VecDeque;
use std::time::Duration;

use evercrew_wire::faktory::Reply;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::Address;
use crate::dial::{Identity, Incoming, Lost, dial};

/// Questions that wait for a line.
pub(crate) const MOST_WAITING: usize = 1024;
/// Questions that were sent and have no answer.
const MOST_ASKED: usize = 1024;
/// Bytes that are gathered before they are sent.
const MOST_UNSENT: usize = 256 << 10;
/// How long a connection may take to open.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It was not sent.
    NotSent(Lost),
    /// It was sent, and nothing came.
    Unknown(String),
    /// Nothing that can be read came.
    Foreign(String),
}

/// One question.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) line: Vec<u8>,
    pub(crate) answer: oneshot::Sender<Result<Reply, Fate>>,
}

/// Serves what is asked until nobody can ask any more.
pub(crate) async fn run(address: Address, patience: Duration, mut asked: mpsc::Receiver<Asked>) {
    let who = Identity { hostname: crate::dial::hostname(), ..Identity::default() };
    while let Some(first) = asked.recv().await {
        // Whoever does not wait any more is not to be served late.
        if first.answer.is_closed() {
            continue;
        }
        match timeout(OPEN_PATIENCE, dial(&address, &who)).await {
            Ok(Ok((incoming, out))) => {
                let mut open =
                    Open { incoming, out, unsent: Vec::new(), waiting: VecDeque::new(), heard: Instant::now() };
                open.take(first);
                let lost = open.serve(patience, &mut asked).await;
                open.end(lost).await;
            }
            Ok(Err(lost)) => drop(first.answer.send(Err(Fate::NotSent(lost)))),
            Err(_) => {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "it says nothing");
                drop(first.answer.send(Err(Fate::NotSent(Lost::Io(late)))));
            }
        }
    }
}

/// An open connection.
struct Open {
    incoming: Incoming,
    out: OwnedWriteHalf,
    unsent: Vec<u8>,
    waiting: VecDeque<oneshot::Sender<Result<Reply, Fate>>>,
    heard: Instant,
}

impl Open {
    fn take(&mut self, asked: Asked) {
        if self.waiting.is_empty() {
            self.heard = Instant::now();
        }
        self.unsent.extend_from_slice(&asked.line);
        self.waiting.push_back(asked.answer);
    }

    /// Goes on until the connection is lost, or nobody asks any more.
    async fn serve(&mut self, patience: Duration, asked: &mut mpsc::Receiver<Asked>) -> Option<Lost> {
        loop {
            let has_room = self.waiting.len() < MOST_ASKED && self.unsent.len() < MOST_UNSENT;
            let late = self.heard + patience;
            tokio::select! {
                biased;
                reply = self.incoming.reply() => {
                    self.heard = Instant::now();
                    match (reply, self.waiting.pop_front()) {
                        (Ok(reply), Some(answer)) => drop(answer.send(Ok(reply))),
                        (Ok(_), None) => return Some(Lost::Foreign("it answers what nobody asked".to_owned())),
                        (Err(lost), answer) => {
                            self.waiting.extend(answer);
                            return Some(lost);
                        }
                    }
                }
                more = asked.recv(), if has_room => match more {
                    None => return None,
                    Some(more) => {
                        self.take(more);
                        while self.waiting.len() < MOST_ASKED && self.unsent.len() < MOST_UNSENT {
                            let Ok(more) = asked.try_recv() else { break };
                            self.take(more);
                        }
                    }
                },
                written = self.out.write(&self.unsent), if !self.unsent.is_empty() => match written {
                    Ok(length) => drop(self.unsent.drain(..length)),
                    Err(error) => return Some(Lost::Io(error)),
                },
                () = sleep_until(late), if !self.waiting.is_empty() => {
                    let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "it says nothing");
                    return Some(Lost::Io(late));
                }
            }
        }
    }

    async fn end(mut self, lost: Option<Lost>) {
        if lost.is_none() {
            // Nobody waits for anything: whoever asked has left.
            self.unsent.extend_from_slice(b"END\r\n");
            let _ = timeout(Duration::from_secs(1), self.out.write_all(&self.unsent)).await;
        }
        for answer in self.waiting {
            let fate = match &lost {
                Some(Lost::Foreign(why)) => Fate::Foreign(why.clone()),
                Some(lost) => Fate::Unknown(lost.to_string()),
                None => Fate::Unknown("the client is no more".to_owned()),
            };
            let _ = answer.send(Err(fate));
        }
    }
}
