//! The gate itself: pure, fed with bytes.

use super::super::head::{Framing, Limits, Reader};
use super::super::refusal::Refusal;
use super::chunks::Chunks;

/// Follows the requests of a connection and tells how much of what came may be passed on.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    body_size: Option<u64>,
    position: Position,
    heads: u32,
    last: bool,
    reader: Reader,
}

#[derive(Debug)]
enum Position {
    Head,
    Body(u64),
    Chunks(Chunks),
    /// Behind the request that the client said to be its last, or one that was refused.
    Over,
}

/// How much may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// So many bytes. What is behind them is unfinished: show it again with what follows.
    pub(crate) admitted: usize,
    /// Why nothing more will be.
    pub(crate) refused: Option<Refused>,
}

/// A request that is not passed on, or no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// Its head has passed; a service has it.
    pub(crate) in_body: bool,
}

impl Gate {
    pub(crate) fn new(limits: Limits, body_size: Option<u64>) -> Self {
        Self { limits, body_size, position: Position::Head, heads: 0, last: false, reader: Reader::default() }
    }

    /// Whether it is within a body.
    pub(crate) fn in_body(&self) -> bool {
        matches!(self.position, Position::Body(_) | Position::Chunks(_))
    }

    /// Whether nothing passes any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.position, Position::Over)
    }

    /// How many heads have passed.
    pub(crate) fn heads(&self) -> u32 {
        self.heads
    }

    /// Whether the client said that its latest request is its last, and all of it has passed.
    pub(crate) fn is_finished(&self) -> bool {
        self.last && self.is_over()
    }

    /// Looks at what came.
    pub(crate) fn admit(&mut self, bytes: &[u8]) -> Step {
        let mut admitted = 0;
        loop {
            let in_body = self.in_body();
            match self.advance(&bytes[admitted..]) {
                Ok(0) => return Step { admitted, refused: None },
                Ok(taken) => admitted += taken,
                Err(refusal) => {
                    self.position = Position::Over;
                    return Step { admitted, refused: Some(Refused { refusal, in_body }) };
                }
            }
        }
    }

    /// Takes the next part; 0 when it is not whole yet.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.position {
            Position::Over => Ok(0),
            Position::Head => self.head(bytes),
            Position::Body(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.message_ended();
                }
                Ok(taken)
            }
            Position::Chunks(chunks) => {
                let taken = chunks.take(bytes, self.body_size, self.limits)?;
                if chunks.is_done() {
                    self.message_ended();
                }
                Ok(taken)
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let Some(head) = self.reader.read(bytes, self.limits)? else { return Ok(0) };
        if let (Framing::Length(length), Some(most)) = (head.framing, self.body_size)
            && length > most
        {
            return Err(Refusal::BodySize);
        }
        self.reader = Reader::default();
        self.heads = self.heads.wrapping_add(1);
        self.last = head.last;
        match head.framing {
            Framing::Length(0) => self.message_ended(),
            Framing::Length(length) => self.position = Position::Body(length),
            Framing::Chunked => self.position = Position::Chunks(Chunks::default()),
        }
        Ok(head.length)
    }

    fn message_ended(&mut self) {
        self.position = if self.last { Position::Over } else { Position::Head };
    }
}
