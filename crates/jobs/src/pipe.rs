//! The command pipe of the queue server's process: the engine's words and questions, and what it is told.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use evercrew_sys::{exec, stream};
use evercrew_wire::command_pipe::{Answer, LOG_LEVEL, MAX_LINE, Metrics, Question, json_line};
use serde_json::{Value, json};

use crate::notices;

/// Says which descriptor the pipe is.
const VARIABLE: &str = "EVERCREW_COMMAND_FD";
/// Words that ask the process to leave. Others mean nothing here: what a reload changes is in its environment.
const STOPS: [&[u8]; 3] = [b"GRACEFUL_STOP", b"IMMEDIATE_STOP", b"DETACH"];

/// This process's end.
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: OwnedFd,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing that changes anything.
    Nothing,
    /// It is to leave.
    Stop,
    /// Nobody is there any more.
    End,
}

impl Pipe {
    /// The one that the engine gave this process, if it gave one.
    pub(crate) fn inherited() -> Option<Self> {
        let number = std::env::var(VARIABLE).ok()?.parse().ok()?;
        exec::take_descriptor(number).map(Self::new)
    }

    fn new(stream: OwnedFd) -> Self {
        Self { stream, begun: Vec::new() }
    }

    /// Reads what is there, and answers questions.
    pub(crate) fn hear(&mut self) -> Heard {
        let mut heard = Heard::Nothing;
        let mut bytes = [0; 4096];
        loop {
            match stream::receive(&self.stream, &mut bytes) {
                Ok(0) => return Heard::End,
                Ok(count) => {
                    for byte in &bytes[..count] {
                        if *byte == b'\n' {
                            let line = std::mem::take(&mut self.begun);
                            if self.is_stop(&line) {
                                heard = Heard::Stop;
                            }
                        } else if self.begun.len() <= MAX_LINE {
                            self.begun.push(*byte);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return heard,
                Err(_) => return Heard::End,
            }
        }
    }

    fn is_stop(&self, line: &[u8]) -> bool {
        if let Ok(question) = serde_json::from_slice::<Question>(line) {
            let outcome = match question.verb.as_str() {
                LOG_LEVEL => notices::level(&question.args),
                other => Err(format!("unknown verb `{other}`: the queue server is asked over its own protocol")),
            };
            let (status, message, content) = match outcome {
                Ok(content) => ("ok", String::new(), content),
                Err(message) => ("failure", message, Value::Null),
            };
            let answer = Answer { id: Some(json!(question.id)), status: status.to_owned(), message, content };
            // Whoever does not read its answers gets none.
            let _ = stream::send_line(&self.stream, &json_line(&answer));
        }
        STOPS.contains(&line)
    }

    /// Tells figures; whole or not at all, and at once.
    ///
    /// # Errors
    /// When the engine does not read, or is gone.
    pub(crate) fn tell(&self, metrics: Metrics) -> io::Result<()> {
        stream::send_line(&self.stream, &json_line(&metrics))
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn words_stop_it_questions_are_refused_and_the_end_is_seen() {
        let (mut engine, ours) = UnixStream::pair().expect("a pair");
        let mut pipe = Pipe::new(ours.into());
        assert_eq!(pipe.hear(), Heard::Nothing);
        engine.write_all(b"RELOAD\n{\"id\":\"7\",\"verb\":\"x\"}\n{\nGRACEFUL").expect("said");
        assert_eq!(pipe.hear(), Heard::Nothing);
        let mut line = String::new();
        BufReader::new(&engine).read_line(&mut line).expect("an answer");
        assert!(line.contains("\"7\"") && line.contains("failure"), "{line}");
        engine.write_all(b"_STOP\n").expect("said");
        assert_eq!(pipe.hear(), Heard::Stop);
        engine.write_all(&vec![b'x'; 3 * MAX_LINE]).expect("said");
        engine.write_all(b"\nDETACH\n").expect("said");
        assert_eq!(pipe.hear(), Heard::Stop);
        drop(engine);
        assert_eq!(pipe.hear(), Heard::End);
    }
}
