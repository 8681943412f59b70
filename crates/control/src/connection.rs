//! One connection: whole lines in, whole lines out, and what of them has left.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream as StdStream;

use evercrew_core::session::AskId;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest reply; the engine's own bounds are far below.
const LONGEST: usize = 256 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    /// So much of the input has no newline.
    searched: usize,
    /// So much of the input was taken.
    taken: usize,
    output: VecDeque<(Option<AskId>, Vec<u8>)>,
    /// So much of the first line of the output has left.
    written: usize,
    /// Nothing more can be written; what was said before is still read.
    deaf: bool,
}

impl Connection {
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(stream: StdStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let (input, output) = (Vec::new(), VecDeque::new());
        Ok(Self { stream, input, searched: 0, taken: 0, output, written: 0, deaf: false })
    }

    /// Queues a line and writes what the kernel takes.
    pub(crate) fn send(&mut self, ask: Option<AskId>, line: Vec<u8>) {
        self.output.push_back((ask, line));
        self.flush();
    }

    fn flush(&mut self) {
        while let Some((_, line)) = self.output.front() {
            let left = line.get(self.written..).unwrap_or_default();
            match self.stream.try_write(left) {
                Ok(count) if count == left.len() => {
                    self.output.pop_front();
                    self.written = 0;
                }
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.deaf = true;
                    return;
                }
            }
        }
    }

    /// Waits until there is something to read, or room to write what waits.
    pub(crate) async fn ready(&self, reads: bool) {
        let writes = !self.output.is_empty() && !self.deaf;
        let interest = match (reads, writes) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        // An error shows on the next read.
        let _ = self.stream.ready(interest).await;
    }

    /// Writes and reads what there is; false at the end of the connection.
    pub(crate) fn turn(&mut self, reads: bool) -> bool {
        if !self.deaf {
            self.flush();
        }
        if !reads {
            return true;
        }
        self.input.drain(..std::mem::take(&mut self.taken));
        self.searched = 0;
        loop {
            self.input.reserve(CHUNK);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return false,
                Ok(_) if self.input.len() > LONGEST => return false,
                Ok(count) if count < CHUNK => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The next whole line that was read.
    pub(crate) fn line(&mut self) -> Option<&[u8]> {
        let from = self.taken.max(self.searched);
        let rest = self.input.get(from..).unwrap_or_default();
        let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.input.len();
            return None;
        };
        let line = self.taken..from + at;
        self.taken = from + at + 1;
        self.input.get(line)
    }

    /// The requests that did not leave as a whole: without its last brace a line is no request.
    pub(crate) fn unsent(&self) -> Vec<AskId> {
        let begun = self.output.front().filter(|(_, line)| self.written + 1 >= line.len());
        self.output.iter().skip(usize::from(begun.is_some())).filter_map(|(ask, _)| *ask).collect()
    }
}
