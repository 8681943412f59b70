//! The protocol of queues meets bytes of every kind: a corpus of hostile input, and what thousands of small changes make
//! of it. Nothing panics, every refusal is one line, and what is taken is within its bounds.

#[path = "support/corpus.rs"]
mod corpus;

use evercrew_wire::faktory::line::{self, Next};
use evercrew_wire::faktory::request::{
    self, Ack, Beat, Fail, FetchBulk, Hello, Leases, Listing, Mutation, Outcome, Steering,
};
use evercrew_wire::faktory::{Command, Job, LARGEST_JOB, Names, Refusal, Reply, jid_of, jobs};
use proptest::prelude::*;

const NOW: u64 = 1_796_083_200_000_000_000;

fn is_one_line(refusal: &Refusal) {
    let line = refusal.line();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.len() < 2000, "{} bytes", line.len());
}

fn read<T>(outcome: Result<T, Refusal>) {
    if let Err(refusal) = outcome {
        is_one_line(&refusal);
    }
}

/// Everything that a server does with a line before it decides.
fn take(line: &[u8]) {
    let command = match Command::read(line) {
        Ok(command) => command,
        Err(refusal) => return is_one_line(&refusal),
    };
    match command {
        Command::Push(text) => match Job::read(text, NOW) {
            Ok(job) => {
                assert!(job.text.len() <= LARGEST_JOB + 1024);
                // What is kept is JSON, and can be read back.
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&job.text).is_ok());
            }
            Err(refusal) => is_one_line(&refusal),
        },
        Command::PushBulk(text) => {
            for job in jobs(text).into_iter().flatten() {
                let _ = jid_of(job);
                read(Job::read(job, NOW));
            }
        }
        Command::Hello(text) => read(request::read::<Hello<'_>>("HELLO", text)),
        Command::Ack(text) => read(request::read::<Ack<'_>>("ACK", text)),
        Command::Fail(text) => read(request::read::<Fail<'_>>("FAIL", text).map(|fail| {
            let (kind, message) = fail.told();
            assert!(kind.len() + message.len() + fail.backtrace(50).concat().len() < 1 << 20);
        })),
        Command::Beat(text) => read(request::read::<Beat<'_>>("BEAT", text)),
        Command::Mutate(text) => read(request::read::<Mutation<'_>>("MUTATE", text)),
        Command::Own(_, text) => {
            read(request::read::<Ack<'_>>("OWN", text));
            read(request::read::<Vec<Ack<'_>>>("OWN", text));
            read(request::read::<FetchBulk>("OWN", text));
            read(request::read::<Leases<'_>>("OWN", text));
            read(request::read::<Outcome<'_>>("OWN", text));
            read(request::read::<Listing>("OWN", text));
            read(request::read::<Steering>("OWN", text));
        }
        Command::Queue(_, Names::These(names)) | Command::Fetch(names) => assert!(names.len() <= 256),
        Command::Queue(_, Names::All) | Command::Info | Command::Flush | Command::End => {}
    }
}

/// Lines out of bytes, whatever they are, in one piece.
fn take_all(bytes: &[u8], logged_in: bool) {
    let mut rest = bytes;
    while let Next::Line(line, length) = line::next(rest, 0, logged_in) {
        assert!(length > line.len() && length <= rest.len());
        take(line);
        rest = &rest[length..];
    }
    let _ = Reply::read(bytes);
}

#[test]
fn the_corpus_is_taken_or_refused_and_so_is_each_beginning_of_it() {
    let corpus = corpus::files();
    assert!(corpus.len() >= 45, "{} files", corpus.len());
    for (name, bytes) in &corpus {
        for length in 0..=bytes.len() {
            take_all(&bytes[..length], length % 2 == 0);
            take(&bytes[..length]);
        }
        println!("{name}: {} bytes", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("EVERCREW_LONG").is_some() { 200_000 } else { 5_000 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Files of the corpus with bytes turned, cut out, doubled, and with the end of another.
    #[test]
    fn what_small_changes_make_of_the_corpus(seed in any::<u64>()) {
        let bytes = corpus::changed(&corpus::files(), seed);
        take_all(&bytes, seed % 2 == 0);
        take(&bytes);
    }

    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        take_all(&bytes, true);
        take(&bytes);
    }
}
