//! One request and its answer on an open connection.

use std::io;

use crate::chunked::Chunked;
use crate::fault::{Fault, Trouble};
use crate::response::{Framing, Head, parse};
use crate::stream::Stream;

/// Largest body that is kept to be checked.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

/// A request as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// HEAD: the answer has no body, whatever its headers say.
    pub(crate) is_head: bool,
}

/// An answer; its body is in the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server said that it closes.
    pub(crate) close: bool,
    /// Another request may follow.
    pub(crate) reusable: bool,
}

/// Memory that is used again by each exchange of a connection.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    input: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Sends a request and reads its answer to the end. Both at once, since a server may answer before it has read.
///
/// # Errors
/// The one class of what went wrong.
pub(crate) async fn exchange(stream: &Stream, request: &Request, buffers: &mut Buffers) -> Result<Answer, Trouble> {
    let write = stream.write_all(&request.bytes);
    let read = read_answer(stream, request.is_head, buffers);
    tokio::pin!(write, read);
    let mut written = None;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut write, if written.is_none() => written = Some(result),
            result = &mut read => break result,
        }
    };
    match (result, written) {
        // An answer that overtook its request is an answer, but what is left of the request would be the next one.
        (Ok(answer), Some(Ok(()))) => Ok(answer),
        (Ok(answer), Some(Err(_)) | None) => Ok(Answer { reusable: false, ..answer }),
        // The kernel tells of a reset once: when the write got it, the read sees nothing but an end.
        (Err(trouble), Some(Err(error))) => Err(match trouble.fault {
            Fault::Closed => Trouble::new(Fault::Reset, format!("write: {error}")),
            Fault::Short => Trouble::new(Fault::ResetMidway, format!("write: {error}")),
            _ => trouble,
        }),
        (Err(trouble), Some(Ok(())) | None) => Err(trouble),
    }
}

async fn read_answer(stream: &Stream, to_head_request: bool, buffers: &mut Buffers) -> Result<Answer, Trouble> {
    let Buffers { input, body } = buffers;
    input.clear();
    body.clear();
    let mut seen = false;
    let head = loop {
        match parse(input, to_head_request).map_err(|text| Trouble::new(Fault::Wrong, text))? {
            // Interim answers announce the real one. 101 ends HTTP, and nobody asked for that.
            Some(Head { status: 100 | 102..=199, length, .. }) => drop(input.drain(..length)),
            Some(head) => break head,
            None => {
                if more(stream, input, seen).await? == 0 {
                    return Err(ended(seen));
                }
                seen = true;
            }
        }
    };
    input.drain(..head.length);
    read_body(stream, head.framing, input, body).await?;
    if !input.is_empty() {
        return Err(Trouble::new(Fault::Wrong, format!("{} bytes behind the answer", input.len())));
    }
    Ok(Answer { status: head.status, close: head.close, reusable: !head.close })
}

/// Moves the body from `input`, and from what comes, to `body`; what is behind it stays in `input`.
async fn read_body(stream: &Stream, framing: Framing, input: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), Trouble> {
    let mut chunked = Chunked::default();
    loop {
        let missing = match framing {
            Framing::Nothing => 0,
            Framing::Length(length) => length - body.len(),
            Framing::Chunked | Framing::UntilEnd => usize::MAX,
        };
        let taken = match framing {
            Framing::Chunked => chunked.feed(input, body).map_err(|text| Trouble::new(Fault::Wrong, text))?,
            Framing::Nothing | Framing::Length(_) | Framing::UntilEnd => {
                let taken = missing.min(input.len());
                body.extend_from_slice(&input[..taken]);
                taken
            }
        };
        input.drain(..taken);
        let whole = match framing {
            Framing::Nothing => true,
            Framing::Length(length) => body.len() == length,
            Framing::Chunked => chunked.is_done(),
            Framing::UntilEnd => false,
        };
        if whole {
            return Ok(());
        }
        if body.len() > BODY_LIMIT {
            return Err(Trouble::new(Fault::Wrong, "a body of more than 256 MiB"));
        }
        if more(stream, input, true).await? == 0 {
            return if framing == Framing::UntilEnd { Ok(()) } else { Err(ended(true)) };
        }
    }
}

/// Reads more; `seen` tells whether anything of the answer came before.
async fn more(stream: &Stream, input: &mut Vec<u8>, seen: bool) -> Result<usize, Trouble> {
    stream.read(input).await.map_err(|error| {
        let fault =
            match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                    if seen { Fault::ResetMidway } else { Fault::Reset }
                }
                io::ErrorKind::TimedOut => Fault::Timeout,
                _ => Fault::Local,
            };
        Trouble::new(fault, format!("read: {error}"))
    })
}

fn ended(seen: bool) -> Trouble {
    if seen {
        Trouble::new(Fault::Short, "closed within the answer")
    } else {
        Trouble::new(Fault::Closed, "closed before an answer")
    }
}
