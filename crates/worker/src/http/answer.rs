//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};

use super::access::Entry;
use super::state::Owed;

pin_project_lite::pin_project! {
    /// A body that keeps its request owed until it was handed out, and is then written to the access log.
    pub(super) struct Answer<B> {
        // None is the empty body of an answer that took the place of the service's.
        #[pin]
        body: Option<B>,
        entry: Option<Box<Entry>>,
        owed: Owed,
    }
}

impl<B> Answer<B> {
    pub(super) fn new(body: Option<B>, entry: Option<Box<Entry>>, owed: Owed) -> Self {
        Self { body, entry, owed }
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let answer = self.project();
        let Some(body) = answer.body.as_pin_mut() else { return Poll::Ready(None) };
        let frame = body.poll_frame(cx);
        if let (Some(entry), Poll::Ready(Some(Ok(frame)))) = (answer.entry, &frame)
            && let Some(data) = frame.data_ref()
        {
            entry.add_bytes(data.remaining() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
