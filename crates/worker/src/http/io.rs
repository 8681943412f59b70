//! The protocol's view of a connection: input through the gate, output counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evercrew_core::patience::Verdict;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::gate::{Gate, Refused};
use super::refusal::Refusal;
use super::state::{Input, State};
use super::stream::{Stream, Unread};

/// A connection whose input passes the gate.
#[derive(Debug)]
pub(crate) struct Io {
    pub(crate) stream: Stream,
    pub(crate) state: Arc<State>,
    gate: Gate,
    /// An unfinished part, to be shown to the gate again with what follows it.
    pending: Vec<u8>,
    /// What has passed and found no room.
    passed: Vec<u8>,
    /// Input was dropped behind the last request.
    is_unread: bool,
    sent: u64,
    /// Whom to tell of the first input.
    word: Option<Arc<Notify>>,
    is_undelayed: bool,
}

impl Io {
    pub(crate) fn new(stream: Stream, state: Arc<State>, gate: Gate) -> Self {
        let (pending, passed) = (Vec::new(), Vec::new());
        Self { stream, state, gate, pending, passed, is_unread: false, sent: 0, word: None, is_undelayed: false }
    }

    /// Tells `word` once something has come.
    pub(crate) fn telling(mut self, word: Arc<Notify>) -> Self {
        self.word = Some(word);
        self
    }

    /// Closes the connection in the way that leaves what was sent intact.
    pub(crate) async fn close(mut self) {
        if self.state.verdict() == Some(Verdict::Reset) {
            self.stream.set_reset();
            return;
        }
        if self.state.has_ended() {
            return;
        }
        // A client that announced its last request sends nothing more, so there is nothing to read out.
        let is_settled = self.gate.is_finished() && !self.is_unread && self.pending.is_empty();
        if is_settled && self.stream.input() != Unread::Bytes {
            return;
        }
        self.stream.close_gently().await;
    }

    fn refuse(&self, refused: Refused) {
        if self.state.refused.set((refused, self.gate.heads())).is_ok() {
            self.state.host.statistics.refused(refused.refusal);
        }
    }

    /// What the protocol reads when nothing more passes: a clean end between two requests, an error within one, nothing
    /// while an earlier one is being answered.
    fn closed(&mut self) -> Option<Poll<io::Result<()>>> {
        match self.state.refused.get() {
            Some((Refused { in_body: true, refusal }, _)) => {
                Some(Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal.sentence()))))
            }
            Some(_) => Some(self.end()),
            // A client that closed its sending side waits for its answers all the same.
            None if self.state.has_ended() && !self.gate.in_body() => Some(self.end()),
            None if self.state.has_ended() => Some(Poll::Ready(Ok(()))),
            None => None,
        }
    }

    /// The end of the input, once every answer is on its way: the protocol drops what it owes when it reads an end.
    fn end(&self) -> Poll<io::Result<()>> {
        if self.state.owes() {
            self.state.hold();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Carries out a verdict about the input.
    fn obey(&mut self) {
        match self.state.verdict() {
            Some(Verdict::HeadTime) if !self.gate.in_body() => {
                self.refuse(Refused { refusal: Refusal::HeadTime, in_body: false });
            }
            Some(Verdict::BodyRate) if self.gate.in_body() => {
                self.refuse(Refused { refusal: Refusal::BodyRate, in_body: true });
            }
            Some(Verdict::HeadTime | Verdict::BodyRate | Verdict::Close | Verdict::Reset) | None => {}
        }
    }

    /// Notes how the input stands after `admitted` bytes have passed.
    fn note(&self, admitted: usize, is_unfinished: bool) {
        let input = if self.gate.in_body() {
            Input::Body
        } else if is_unfinished {
            Input::Head
        } else {
            Input::Between
        };
        self.state.set_input(input, self.gate.heads());
        self.state.add_received(admitted);
    }

    /// Shows the gate what has come into `buf` behind `before`; what does not pass is taken out of it.
    fn show(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        if self.pending.is_empty() {
            let came = &buf.filled()[before..];
            let step = self.gate.admit(came);
            if step.admitted < came.len() && step.refused.is_none() && !self.gate.is_over() {
                self.pending.extend_from_slice(&came[step.admitted..]);
            }
            self.is_unread |= self.gate.is_over() && step.admitted < came.len();
            buf.set_filled(before + step.admitted);
            self.note(step.admitted, !self.pending.is_empty());
            step.refused.inspect(|refused| self.refuse(*refused));
            return;
        }
        self.pending.extend_from_slice(&buf.filled()[before..]);
        buf.set_filled(before);
        let step = self.gate.admit(&self.pending);
        self.passed.extend_from_slice(&self.pending[..step.admitted]);
        self.pending.drain(..step.admitted);
        if self.gate.is_over() {
            self.is_unread |= !self.pending.is_empty();
            self.pending = Vec::new();
        } else if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        self.note(step.admitted, !self.pending.is_empty());
        step.refused.inspect(|refused| self.refuse(*refused));
        self.deliver(buf);
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let part = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed[..part]);
        self.passed.drain(..part);
        if self.passed.is_empty() {
            self.passed = Vec::new();
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let io = &mut *self;
        if !io.passed.is_empty() {
            io.deliver(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            io.obey();
            if let Some(result) = io.closed() {
                return result;
            }
            if io.is_unread {
                // Nothing that comes has a meaning any more. The last answer ends the connection.
                return Poll::Pending;
            }
            let read = io.stream.poll_read(cx, buf);
            if read.is_pending() {
                io.state.set_waiting();
            }
            ready!(read)?;
            if let Some(word) = io.word.take() {
                word.notify_one();
            }
            if buf.filled().len() == before {
                io.state.end();
                continue;
            }
            io.show(buf, before);
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Io {
    fn sent(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => self.sent += *bytes as u64,
            Poll::Ready(Err(_)) => {}
            // The kernel takes more only once a good part of its buffer is free. What the client has taken of it shows
            // that it goes on.
            Poll::Pending => self.state.set_taken(self.sent.saturating_sub(self.stream.untaken())),
        }
        self.state.set_blocked(result.is_pending());
        result
    }

    /// One write on a connection is sent at once in any case; before the second one the kernel is told not to wait.
    fn before_write(&mut self) {
        if self.sent > 0 && !self.is_undelayed {
            self.is_undelayed = true;
            self.stream.set_nodelay();
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.before_write();
        let result = self.stream.poll_write(cx, bytes);
        self.sent(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        let result = self.stream.poll_write_vectored(cx, parts);
        self.sent(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Left to [`Io::close`], which has to be done after errors of the protocol too.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
