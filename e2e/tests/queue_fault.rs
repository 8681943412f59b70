//! The checkers of queue servers are checked: each mistake that is planted into a whole server is found, and a server
//! without one passes.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs;
use evercrew_jobs::plain::Client;
use evercrew_jobs::{Address, Config, Fault, Listen, Storage, serve, stop};
use tempfile::TempDir;

use crate::history::{PATIENCE, Traffic, Wrong};
use crate::queue_stale::answers_of_the_wrong_worker;

/// What the process below is to be; without it that test does nothing.
const VARIABLE: &str = "EVERCREW_TEST_FAULTY_QUEUE";

const FAULTS: [(&str, Fault); 3] = [
    ("answered-before-sync", Fault::AnsweredBeforeSync),
    ("no-fence", Fault::NoFence),
    ("dropped-on-return", Fault::DroppedOnReturn),
];

/// A queue server as a process of its own: this test program, executed again. The product cannot be told to have a fault.
#[test]
fn serves_with_a_fault() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let [fault, address, store] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("what is {told}?") };
    let mut config = Config::new(Storage::Sqlite(store.into()));
    config.listen = Listen::Address(address.parse().expect("an address"));
    if let Some((_, fault)) = FAULTS.iter().find(|(name, _)| *name == fault) {
        config.plant(*fault);
    }
    let (_stopper, stop) = stop().expect("two ends");
    serve(config, stop, |_| ()).expect("serve");
}

/// Such a server, with what it stored.
struct Faulty {
    fault: &'static str,
    address: Address,
    home: TempDir,
    process: Option<Child>,
}

impl Faulty {
    fn up(fault: &'static str) -> Self {
        let address = Address::parse(&format!("tcp://127.0.0.1:{}", programs::free_port())).expect("address");
        let mut server = Self { fault, address, home: tempfile::tempdir().expect("a directory"), process: None };
        server.start();
        server
    }

    fn start(&mut self) {
        let Address { host, port, .. } = &self.address;
        let told = format!("{} {host}:{port} {}", self.fault, self.home.path().join("jobs.db").display());
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["queue_fault::serves_with_a_fault", "--exact", "--nocapture"]).env(VARIABLE, told);
        self.process = Some(command.stdout(Stdio::null()).spawn().expect("start a server"));
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(&self.address, PATIENCE).is_err() {
            assert!(Instant::now() < deadline, "it does not serve");
        }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            Process::open(process.id()).signal(Signal::Kill);
            process.wait().expect("reap");
        }
    }

    /// What the history of some kills looks like to its checker.
    fn history_of_kills(&mut self, times: usize) -> Wrong {
        let traffic = Traffic::begin(&self.address, 4, 3);
        for _ in 0..times {
            traffic.until_pushed(100);
            self.kill();
            self.start();
        }
        traffic.until_pushed(100);
        traffic.end().judge()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_server_without_a_fault_passes_every_checker() {
    let mut server = Faulty::up("none");
    let wrong = server.history_of_kills(5);
    assert!(wrong.lost.is_empty() && wrong.again.is_empty(), "{wrong:?}");
    answers_of_the_wrong_worker(&server.address).expect("no effect");
}

#[test]
fn a_server_that_answers_before_the_sync_is_found_out_by_kills() {
    let wrong = Faulty::up("answered-before-sync").history_of_kills(20);
    assert!(!wrong.lost.is_empty() || !wrong.again.is_empty(), "nothing is found");
    println!("{} answered pushes lost, {} acknowledged jobs back", wrong.lost.len(), wrong.again.len());
}

#[test]
fn a_server_that_drops_what_comes_back_is_found_out_by_its_history() {
    let wrong = Faulty::up("dropped-on-return").history_of_kills(1);
    assert!(!wrong.lost.is_empty(), "nothing is found");
    println!("{} answered pushes lost", wrong.lost.len());
}

#[test]
fn a_server_without_a_fence_is_found_out_by_stale_answers() {
    let server = Faulty::up("no-fence");
    let changed = answers_of_the_wrong_worker(&server.address).expect_err("nothing is found");
    println!("{changed}");
}
