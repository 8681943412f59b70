//! One connection of a worker.

use std::sync::Arc;
use std::time::Duration;

use evercrew_core::work::{Abilities, Broke, LinkId};
use evercrew_wire::faktory::Reply;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

use super::driver::Message;
use super::talk;
use crate::address::Address;
use crate::dial::{Identity, Incoming, Lost, dial};

/// How long what was asked last may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where a link leads, and who says so.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) address: Address,
    pub(crate) who: Identity,
}

/// Opens a connection and carries bytes until it is lost or nobody sends any more. Its questions are bounded by those
/// who decide what is asked.
pub(crate) async fn run(
    route: Arc<Route>,
    id: LinkId,
    is_first: bool,
    mut out: UnboundedReceiver<Vec<u8>>,
    tell: UnboundedSender<Message>,
) {
    let opened = tokio::select! {
        opened = open(&route, is_first) => opened,
        // Nothing is sent before it is open: whoever could has given it up.
        _ = out.recv() => return,
    };
    let lost = match opened {
        Ok((incoming, stream, abilities)) => {
            let _ = tell.send(Message::Opened(id, abilities));
            match carry(id, incoming, stream, &mut out, &tell).await {
                Ok(()) => return,
                Err(lost) => lost,
            }
        }
        Err(lost) => lost,
    };
    let broke = if matches!(lost, Lost::Denied(_)) { Broke::Denied } else { Broke::Lost };
    let _ = tell.send(Message::Broken(id, broke, lost.to_string()));
}

async fn open(route: &Route, is_first: bool) -> Result<(Incoming, OwnedWriteHalf, Abilities), Lost> {
    let (mut incoming, mut stream) = dial(&route.address, &route.who).await?;
    let mut abilities = Abilities::default();
    if is_first {
        stream.write_all(b"INFO\r\n").await.map_err(Lost::Io)?;
        abilities = talk::abilities(&incoming.reply().await?);
    }
    Ok((incoming, stream, abilities))
}

async fn carry(
    id: LinkId,
    mut incoming: Incoming,
    mut stream: OwnedWriteHalf,
    out: &mut UnboundedReceiver<Vec<u8>>,
    tell: &UnboundedSender<Message>,
) -> Result<(), Lost> {
    let mut unsent: Vec<u8> = Vec::new();
    loop {
        tokio::select! {
            biased;
            reply = incoming.reply() => {
                let mut replies: Vec<Reply> = vec![reply?];
                while let Some(reply) = incoming.ready()? {
                    replies.push(reply);
                }
                let _ = tell.send(Message::Said(id, replies));
            }
            more = out.recv() => match more {
                Some(more) if unsent.is_empty() => unsent = more,
                Some(more) => unsent.extend_from_slice(&more),
                None => {
                    let _ = timeout(LAST_WORDS, async {
                        stream.write_all(&unsent).await?;
                        stream.shutdown().await
                    }).await;
                    // A server that is still at it is let finish: closing at once would destroy what was sent.
                    let _ = timeout(LAST_WORDS, async { while incoming.reply().await.is_ok() {} }).await;
                    return Ok(());
                }
            },
            written = stream.write(&unsent), if !unsent.is_empty() => {
                match written.map_err(Lost::Io)? {
                    0 => return Err(Lost::Io(std::io::ErrorKind::WriteZero.into())),
                    length => drop(unsent.drain(..length)),
                }
            }
        }
    }
}
