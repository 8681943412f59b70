//! A proxy between a worker and a server: it cuts, stalls, and leads to another server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use evercrew_jobs::Address;

#[derive(Debug, Default)]
struct State {
    target: Option<SocketAddr>,
    stalls: bool,
    open: Vec<TcpStream>,
    accepted: usize,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Proxy {
    pub(crate) fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let proxy = Self { address, shared: Arc::default() };
        proxy.change(|state| state.target = Some(target));
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let proxy = accepting.clone();
                std::thread::spawn(move || proxy.join(&stream));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> Address {
        Address::parse(&format!("tcp://{}", self.address)).expect("address")
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.shared.0.lock().expect("no panic"));
        self.shared.1.notify_all();
        changed
    }

    /// Leads there from now on; to nowhere, nobody is let in.
    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.change(|state| state.target = target);
    }

    /// Carries nothing, and closes nothing.
    pub(crate) fn stall(&self, stalls: bool) {
        self.change(|state| state.stalls = stalls);
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        self.change(|state| state.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both))));
    }

    /// Connections that were let in so far.
    pub(crate) fn accepted(&self) -> usize {
        self.change(|state| state.accepted)
    }

    fn join(&self, client: &TcpStream) {
        let target = self.change(|state| state.target);
        let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        self.change(|state| {
            state.accepted += 1;
            state.open.extend([client, &server].map(|stream| stream.try_clone().expect("stream")));
        });
        let (up, from) = (server.try_clone().expect("stream"), client.try_clone().expect("stream"));
        let proxy = self.clone();
        let carrying = std::thread::spawn(move || proxy.carry(from, up));
        self.carry(server, client.try_clone().expect("stream"));
        let _ = carrying.join();
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 << 10];
        while let Ok(length) = from.read(&mut bytes) {
            let mut state = self.shared.0.lock().expect("no panic");
            while state.stalls {
                state = self.shared.1.wait(state).expect("no panic");
            }
            drop(state);
            if length == 0 || to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
