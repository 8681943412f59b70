//! A server of the plain protocol that does as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use evercrew_jobs::Address;

/// Longer than anything takes here, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Jobs that wait, as they are handed out.
    pub(crate) ready: VecDeque<String>,
    /// Every line of every connection, in order.
    pub(crate) lines: Vec<String>,
    /// Connections that are open.
    pub(crate) open: BTreeMap<u64, TcpStream>,
    /// Connections that ever logged in.
    pub(crate) logged_in: u64,
    /// What a beat is answered with.
    pub(crate) hint: Option<&'static str>,
    /// It says nothing.
    pub(crate) stalls: bool,
    /// Answers come byte by byte.
    pub(crate) dribbles: bool,
    /// How many beats and fetches are still answered with `unknown worker`.
    pub(crate) forgets: u32,
    /// How many results are still refused.
    pub(crate) refuses: u32,
    /// Nobody is let in.
    pub(crate) denies: bool,
    next: u64,
}

impl State {
    /// How many lines begin like this.
    pub(crate) fn count(&self, verb: &str) -> usize {
        self.lines.iter().filter(|line| line.starts_with(verb)).count()
    }
}

/// The server.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let script = Self { address, shared: Arc::default() };
        let server = script.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        script
    }

    pub(crate) fn url(&self) -> Address {
        Address::parse(&format!("tcp://{}", self.address)).expect("address")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no panic")
    }

    /// Changes something, and whoever waits looks again.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.shared.1.notify_all();
        changed
    }

    /// Hands this out next.
    pub(crate) fn push(&self, job: &str) {
        self.with(|state| state.ready.push_back(job.to_owned()));
    }

    /// A job of this type without arguments.
    pub(crate) fn job(&self, jid: &str, kind: &str) {
        self.push(&format!(r#"{{"jid":"{jid}","jobtype":"{kind}","args":[],"queue":"default","created_at":"then"}}"#));
    }

    /// Waits until this is so.
    pub(crate) fn until<T>(&self, what: &str, is_so: impl FnMut(&mut State) -> Option<T>) -> T {
        self.within(PATIENCE, what, is_so)
    }

    pub(crate) fn within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut is_so: impl FnMut(&mut State) -> Option<T>,
    ) -> T {
        let end = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(found) = is_so(&mut state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not within {patience:?}; {:#?}", state.lines);
            state = self.shared.1.wait_timeout(state, left.min(Duration::from_millis(50))).expect("no panic").0;
        }
    }

    /// Waits without blocking the runtime.
    pub(crate) async fn until_async<T: Send + 'static>(
        &self,
        what: &'static str,
        is_so: impl FnMut(&mut State) -> Option<T> + Send + 'static,
    ) -> T {
        let script = self.clone();
        let waiting = std::thread::spawn(move || script.until(what, is_so));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || sender.send(waiting.join()));
        match receiver.await.expect("a thread") {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Resets one connection that has sent this last, or any.
    pub(crate) fn cut(&self, place: usize) {
        self.with(|state| {
            let Some((id, stream)) = state.open.iter().nth(place).map(|(id, stream)| (*id, stream.try_clone())) else {
                panic!("no connection {place}: {:?}", state.open)
            };
            state.open.remove(&id);
            let _ = stream.expect("stream").shutdown(Shutdown::Both);
        });
    }

    fn serve(&self, stream: TcpStream) {
        let id = self.with(|state| {
            state.next += 1;
            state.open.insert(state.next, stream.try_clone().expect("stream"));
            state.next
        });
        let _ = self.talk(id, &stream);
        self.with(|state| state.open.remove(&id));
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn talk(&self, id: u64, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        self.say(stream, "+HI {\"v\":2}\r\n")?;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let answer = self.answer(id, line.trim_end());
            line.clear();
            match answer {
                Some(answer) => self.say(stream, &answer)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Says it when it does not stall.
    fn say(&self, mut stream: &TcpStream, text: &str) -> std::io::Result<()> {
        let mut state = self.state();
        while state.stalls {
            state = self.shared.1.wait(state).expect("no panic");
        }
        let dribbles = state.dribbles;
        drop(state);
        if !dribbles {
            return stream.write_all(text.as_bytes());
        }
        text.as_bytes().iter().try_for_each(|byte| stream.write_all(&[*byte]))
    }

    fn answer(&self, id: u64, line: &str) -> Option<String> {
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let ok = || "+OK\r\n".to_owned();
        let mut state = self.state();
        state.lines.push(line.to_owned());
        self.shared.1.notify_all();
        let verb = line.split(' ').next().unwrap_or_default();
        if matches!(verb, "BEAT" | "FETCH") && state.forgets > 0 {
            state.forgets -= 1;
            return Some("-ERR unknown worker w\r\n".to_owned());
        }
        if matches!(verb, "ACK" | "FAIL") && state.refuses > 0 {
            state.refuses -= 1;
            return Some("-ERR nothing can be stored at the moment\r\n".to_owned());
        }
        Some(match verb {
            "HELLO" if state.denies => "-ERR Invalid password\r\n".to_owned(),
            "HELLO" => {
                state.logged_in += 1;
                ok()
            }
            "INFO" => bulk(r#"{"faktory":{"queues":{"default":3}},"server":{"faktory_version":"1.9.3"}}"#),
            "BEAT" => state.hint.map_or_else(ok, |hint| bulk(&format!("{{\"state\":\"{hint}\"}}"))),
            "FETCH" => {
                let end = Instant::now() + Duration::from_secs(2);
                loop {
                    // Whoever left takes no job.
                    if !state.open.contains_key(&id) {
                        return None;
                    }
                    if let Some(job) = state.ready.pop_front() {
                        break bulk(&job);
                    }
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break "$-1\r\n".to_owned();
                    }
                    state = self.shared.1.wait_timeout(state, left).expect("no panic").0;
                }
            }
            "PUSHB" => bulk("{}"),
            "END" => return None,
            _ => ok(),
        })
    }
}
