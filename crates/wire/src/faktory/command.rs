//! One line of a client: its verb and what it says.

use super::job::check_queue;
use super::refusal::{Refusal, shown};

/// Most queues that one command may name.
pub const MOST_QUEUES: usize = 256;

/// What a client asks for. Texts are JSON that nobody has read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Who it is.
    Hello(&'a str),
    /// One job.
    Push(&'a str),
    /// An array of jobs.
    PushBulk(&'a str),
    /// A job from these queues, the first ones first.
    Fetch(Vec<&'a str>),
    /// A job is done.
    Ack(&'a str),
    /// A job has failed.
    Fail(&'a str),
    /// A worker lives.
    Beat(&'a str),
    /// How the server stands.
    Info,
    /// Empties everything.
    Flush,
    /// Good-bye.
    End,
    /// A change of what is scheduled, tried again or dead.
    Mutate(&'a str),
    /// A change or a question about queues.
    Queue(QueueVerb, Names<'a>),
    /// One of our own additions.
    Own(Own, &'a str),
}

/// What `QUEUE` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueVerb {
    /// Nothing is fetched from them.
    Pause,
    /// As before the pause.
    Resume,
    /// With all jobs in them.
    Remove,
    /// How long their oldest job waits.
    Latency,
}

/// Which queues are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names<'a> {
    /// `*`.
    All,
    /// These.
    These(Vec<&'a str>),
}

/// Verbs that no other server has; INFO announces them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Several jobs at once, each with the number of its lease.
    FetchBulk,
    /// Several jobs are done.
    AckBulk,
    /// A job is given back as if it had never been fetched.
    Refund,
    /// What a job that is done came to.
    Result,
    /// A job shall not run, or not to its end.
    Cancel,
    /// Which of a worker's jobs are its own no more.
    Leases,
    /// One job, wherever it is.
    Show,
    /// Jobs of one place.
    List,
    /// Asks workers to stop fetching, or to end.
    Workers,
    /// Figures for a collector.
    Metrics,
}

impl Own {
    /// Every one with its verb, in the order of the reference.
    pub const ALL: [(&'static str, Self); 10] = [
        ("FETCHB", Self::FetchBulk),
        ("ACKB", Self::AckBulk),
        ("REFUND", Self::Refund),
        ("RESULT", Self::Result),
        ("CANCEL", Self::Cancel),
        ("LEASES", Self::Leases),
        ("JOB", Self::Show),
        ("JOBS", Self::List),
        ("WORKERS", Self::Workers),
        ("METRICS", Self::Metrics),
    ];
}

impl<'a> Command<'a> {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// When it is no text, its verb is not known, or it names queues that cannot be.
    pub fn read(line: &'a [u8]) -> Result<Self, Refusal> {
        let line = std::str::from_utf8(line).map_err(|_| Refusal::error("a command is UTF-8 text"))?;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Ok(match verb {
            "PUSH" => Self::Push(rest),
            "FETCH" => Self::Fetch(queues(rest)?),
            "ACK" => Self::Ack(rest),
            "FAIL" => Self::Fail(rest),
            "BEAT" => Self::Beat(rest),
            "PUSHB" => Self::PushBulk(rest),
            "INFO" => Self::Info,
            "MUTATE" => Self::Mutate(rest),
            "QUEUE" => queue(rest)?,
            "HELLO" => Self::Hello(rest),
            "FLUSH" => Self::Flush,
            "END" => Self::End,
            _ => match Own::ALL.iter().find(|(known, _)| *known == verb) {
                Some((_, own)) => Self::Own(*own, rest),
                None => return Err(Refusal::error(format!("Unknown command {}", shown(verb)))),
            },
        })
    }
}

fn queues(rest: &str) -> Result<Vec<&str>, Refusal> {
    let names: Vec<&str> = rest.split_ascii_whitespace().take(MOST_QUEUES + 1).collect();
    if names.len() > MOST_QUEUES {
        return Err(Refusal::error(format!("at most {MOST_QUEUES} queues can be named")));
    }
    names.iter().try_for_each(|name| check_queue(name))?;
    Ok(names)
}

fn queue(rest: &str) -> Result<Command<'_>, Refusal> {
    let (word, names) = rest.split_once(' ').unwrap_or((rest, ""));
    let verbs = [
        ("PAUSE", QueueVerb::Pause),
        ("RESUME", QueueVerb::Resume),
        ("REMOVE", QueueVerb::Remove),
        ("LATENCY", QueueVerb::Latency),
    ];
    let Some((_, verb)) = verbs.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) else {
        return Err(Refusal::error(format!("QUEUE takes PAUSE, RESUME, REMOVE and LATENCY, not {}", shown(word))));
    };
    let names =
        if names.split_ascii_whitespace().any(|name| name == "*") { Names::All } else { Names::These(queues(names)?) };
    if names == Names::These(Vec::new()) && *verb != QueueVerb::Latency {
        return Err(Refusal::error(format!("QUEUE {word} needs names of queues, or *")));
    }
    Ok(Command::Queue(*verb, names))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn verbs_and_what_follows_them() {
        assert_eq!(Command::read(b"PUSH {\"a\": 1}"), Ok(Command::Push("{\"a\": 1}")));
        assert_eq!(Command::read(b"FETCH a  b "), Ok(Command::Fetch(vec!["a", "b"])));
        assert_eq!(Command::read(b"FETCH"), Ok(Command::Fetch(Vec::new())));
        assert_eq!(Command::read(b"QUEUE pause *"), Ok(Command::Queue(QueueVerb::Pause, Names::All)));
        let latency = Command::Queue(QueueVerb::Latency, Names::These(vec!["a", "b"]));
        assert_eq!(Command::read(b"QUEUE LATENCY a b"), Ok(latency));
        assert_eq!(Command::read(b"REFUND {}"), Ok(Command::Own(Own::Refund, "{}")));
    }

    #[test]
    fn what_is_no_command() {
        for (line, words) in [
            (&b"GET / HTTP/1.1"[..], "Unknown command `GET`"),
            (b"info", "Unknown command `info`"),
            (b"", "Unknown command ``"),
            (b"\x16\x03\x01\x02", "Unknown command `   \u{2}`"),
            (b"PUSH \xff", "a command is UTF-8 text"),
            (b"QUEUE", "QUEUE takes PAUSE"),
            (b"QUEUE STOP a", "QUEUE takes PAUSE"),
            (b"QUEUE PAUSE", "QUEUE PAUSE needs names"),
            (b"FETCH a/b", "queue names have"),
        ] {
            let refused = Command::read(line).expect_err("refused");
            let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            assert!(refused.text.starts_with(&words), "{}", refused.text);
        }
        let many = format!("FETCH {}", "q ".repeat(MOST_QUEUES + 1));
        assert!(Command::read(many.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused_in_one_line(line in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Err(refused) = Command::read(&line) {
                prop_assert!(!refused.line().chars().any(char::is_control));
            }
        }
    }
}
