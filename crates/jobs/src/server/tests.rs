//! A server whose store does what no store should.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use evercrew_core::jobs::Found;
use evercrew_store::{Error as StoreError, Memory, Payload, Payloads, Recovered, Recovery, Row, Store};

use super::*;
use crate::book::Reader;
use crate::serve::{Simple, Stopper, stop};

const PATIENCE: Duration = Duration::from_secs(20);

/// A store in memory that asks before each commit, and panics when nobody answers.
struct Brittle {
    inner: Memory,
    asks: Sender<()>,
    may: Receiver<()>,
}

impl Store for Brittle {
    fn recover(&mut self, reader: &mut dyn Recovery) -> Result<Recovered, StoreError> {
        self.inner.recover(reader)
    }

    fn commit(&mut self, batches: &[Vec<Row>]) -> Result<(), StoreError> {
        let _ = self.asks.send(());
        self.may.recv().expect("a store that works");
        self.inner.commit(batches)
    }

    fn syncs(&self) -> u64 {
        0
    }

    fn payloads(&self) -> Result<Box<dyn Payloads>, StoreError> {
        self.inner.payloads()
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Payloads that are not there.
struct Lost;

impl Payloads for Lost {
    fn load(&mut self, _: u64) -> Result<Option<Payload>, StoreError> {
        Ok(None)
    }

    fn backup(&mut self, _: &Path) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A server over such a store, and a client of it.
struct Trial {
    client: TcpStream,
    asks: Receiver<()>,
    may: Sender<()>,
    stopper: Stopper,
    server: JoinHandle<Result<(), Error>>,
}

fn trial(change: impl FnOnce(&mut Config)) -> Trial {
    let mut config = Config::new(Storage::Memory);
    config.listen = Listen::Address("127.0.0.1:0".parse().expect("address"));
    change(&mut config);
    let ((asking, asks), (may, allowed)) = (channel(), channel());
    let store = Box::new(Brittle { inner: Memory::new(), asks: asking, may: allowed });
    let book = Book { store, reader: Reader(Box::new(Lost)), found: Found::default(), cut: 0 };
    let (stopper, stop) = stop().expect("stop");
    let server = Server::over(config, book).expect("a server");
    let address = server.address();
    let server = std::thread::spawn(move || server.run(&mut Simple::new(stop, |_| {}, address)));
    let client = TcpStream::connect(address).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    Trial { client, asks, may, stopper, server }
}

impl Trial {
    fn ask(&mut self, text: &str, answer: &str) {
        self.client.write_all(text.as_bytes()).expect("send");
        let mut bytes = vec![0; answer.len()];
        self.client.read_exact(&mut bytes).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&bytes), answer, "{text}");
    }

    fn hello(&mut self) {
        self.ask("HELLO {\"v\":2,\"wid\":\"worker-1\"}\n", "+HI {\"v\":2}\r\n+OK\r\n");
    }
}

/// Nobody is answered for what was handed to it, and the process ends, to be started again.
#[test]
fn a_writer_that_panics_ends_the_server_with_its_reason() {
    let mut trial = trial(|_| {});
    trial.hello();
    trial.client.write_all(b"PUSH {\"jid\":\"job-00001\",\"jobtype\":\"T\",\"args\":[]}\n").expect("send");
    trial.asks.recv_timeout(PATIENCE).expect("it commits");
    drop(trial.may);
    let error = trial.server.join().expect("no panic").expect_err("it ends");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("has panicked: a store that works"), "{error}");
    let mut rest = Vec::new();
    trial.client.read_to_end(&mut rest).expect("closed");
    assert_eq!(rest, b"", "nothing was answered");
}

/// However slow a store is, what waits for it is bounded; it goes on from there when the store does.
#[test]
fn a_slow_store_slows_its_producers_down_and_nothing_grows() {
    // A few producers with one megabyte and one job each; many, who fill the batch that is open.
    slowed_down(4, 50, 8 << 20);
    slowed_down(60, 3, 40 << 20);
}

fn slowed_down(producers: usize, jobs: usize, most: usize) {
    let mut trial = trial(|_| {});
    trial.hello();
    let address = trial.client.peer_addr().expect("address");
    let producers: Vec<_> = (0..producers)
        .map(|name| {
            let mut client = TcpStream::connect(address).expect("connect");
            std::thread::spawn(move || {
                client.write_all(b"HELLO {\"v\":2}\n").expect("send");
                let filler = "x".repeat(500 << 10);
                for number in 0..jobs {
                    let jid = format!("job-{name}-{number:05}");
                    let push =
                        format!("PUSH {{\"jid\":\"{jid}\",\"jobtype\":\"T\",\"args\":[],\"filler\":\"{filler}\"}}\n");
                    client.write_all(push.as_bytes()).expect("send");
                }
                client.shutdown(std::net::Shutdown::Write).expect("shutdown");
                let mut answers = String::new();
                client.read_to_string(&mut answers).expect("answers");
                answers.matches("+OK").count()
            })
        })
        .collect();
    // The first commit waits; who pushes fills what may wait for it, and is then held up.
    trial.asks.recv_timeout(PATIENCE).expect("it commits");
    let mut last = (0, 0);
    let text_bytes = loop {
        trial.client.write_all(b"INFO\n").expect("send");
        let mut bytes = vec![0; 64 << 10];
        let length = trial.client.read(&mut bytes).expect("an answer");
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let told = text.split("\"text_bytes\":").nth(1).expect("text_bytes");
        let told: usize = told.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("number");
        last = if told == last.0 { (told, last.1 + 1) } else { (told, 0) };
        if last.1 == 500 {
            break told;
        }
    };
    assert!(text_bytes > 0 && text_bytes < most, "{text_bytes} bytes of jobs wait for the store");
    (0..10_000).for_each(|_| trial.may.send(()).expect("it runs"));
    let count = producers.len();
    let answered: usize = producers.into_iter().map(|thread| thread.join().expect("pushed")).sum();
    assert_eq!(answered, count * (jobs + 1));
    trial.stopper.stop();
    trial.server.join().expect("no panic").expect("it ends well");
}

/// A job without a text is no reason to wait, nor to give it to the next one.
#[test]
fn a_job_whose_text_is_lost_is_parked_and_its_fetch_ends() {
    let mut trial = trial(|config| config.memory = 0);
    (0..100).for_each(|_| trial.may.send(()).expect("it runs"));
    trial.hello();
    trial.ask("PUSH {\"jid\":\"job-00001\",\"jobtype\":\"T\",\"args\":[]}\n", "+OK\r\n");
    trial.ask("FETCH\n", "$-1\r\n");
    trial.client.write_all(b"JOB {\"jid\":\"job-00001\"}\n").expect("send");
    let mut bytes = vec![0; 4096];
    let length = trial.client.read(&mut bytes).expect("an answer");
    let text = String::from_utf8_lossy(&bytes[..length]);
    assert!(text.contains("\"state\":\"dead\"") && text.contains("\"errtype\":\"Damaged\""), "{text}");
    trial.stopper.stop();
    trial.server.join().expect("no panic").expect("it ends well");
}
