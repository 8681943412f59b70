//! Our own server in a thread.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use evercrew_jobs::{Address, Config, Error, Listen, Stopper, Storage, plain, serve, stop};
use serde_json::Value;

/// Longer than anything takes here, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::start(Storage::Memory)
    }

    pub(crate) fn on_disk(path: &Path) -> Self {
        Self::start(Storage::Sqlite(path.to_owned()))
    }

    fn start(storage: Storage) -> Self {
        let mut config = Config::new(storage);
        config.listen = Listen::Address("127.0.0.1:0".parse().expect("address"));
        let (stopper, stop) = stop().expect("stop");
        let (told, address) = channel();
        let thread = std::thread::spawn(move || serve(config, stop, |address| told.send(address).expect("told")));
        let address = address.recv_timeout(PATIENCE).expect("it serves");
        Self { address, stopper: Some(stopper), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> Address {
        Address::parse(&format!("tcp://{}", self.address)).expect("address")
    }

    /// Somebody who asks beside the client that is tested.
    pub(crate) fn asker(&self) -> plain::Client {
        plain::Client::connect(&self.url(), PATIENCE).expect("connect")
    }

    /// The state of a job.
    pub(crate) fn state(&self, jid: &str) -> String {
        let job = self.job(jid);
        job["state"].as_str().expect("state").to_owned()
    }

    pub(crate) fn job(&self, jid: &str) -> Value {
        self.asker().ask_json(&format!("JOB {{\"jid\":\"{jid}\"}}")).expect("JOB")
    }

    pub(crate) fn total(&self, name: &str) -> u64 {
        let info = self.asker().ask_json("INFO").expect("INFO");
        info["evercrew"]["totals"][name].as_u64().unwrap_or_else(|| panic!("{name}: {info}"))
    }

    pub(crate) fn stop(&mut self) {
        if let (Some(stopper), Some(thread)) = (self.stopper.take(), self.thread.take()) {
            stopper.stop();
            thread.join().expect("no panic").expect("it ends well");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}
