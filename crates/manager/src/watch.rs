//! What a worker says of itself: its notify socket, its readiness pipe, its own port.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_core::fleet::{Event, WorkerId};
use evercrew_sys::notify::{Message, NotifySocket};
use evercrew_sys::{clock, descriptor, pipe};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clients::Turn;
use crate::crew::Parts;
use crate::hearing;
use crate::input::Input;
use crate::manager::Manager;
use crate::probe::{self, Target};
use crate::readiness;
use crate::reserve;

/// Tasks that read for one worker; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    tasks: Vec<JoinHandle<()>>,
    /// Tells the one who reads its command pipe that it is gone.
    _words: Option<oneshot::Sender<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads what is there and asks `target` until it answers; `None` if there is nothing of both and no `words` are
/// read.
pub(crate) fn watch(
    worker: WorkerId,
    parts: &mut Parts,
    target: Option<Target>,
    words: Option<oneshot::Sender<()>>,
    inputs: &mpsc::Sender<Input>,
) -> Option<Watch> {
    let mut tasks = Vec::new();
    if let Some(target) = target {
        tasks.push(tokio::spawn(ask(worker, target, inputs.clone())));
    }
    if let Some(socket) = parts.notify.take() {
        tasks.push(tokio::spawn(end_quietly(read_notifications(worker, socket, inputs.clone()))));
    }
    if let Some(pipe) = parts.ready.take() {
        tasks.push(tokio::spawn(end_quietly(read_newline(worker, pipe, inputs.clone()))));
    }
    (!tasks.is_empty() || words.is_some()).then_some(Watch { tasks, _words: words })
}

/// A channel that cannot be read says nothing: the ready timeout or the heartbeat deals with that.
async fn end_quietly(task: impl Future<Output = io::Result<()>>) {
    let _ = task.await;
}

async fn ask(worker: WorkerId, target: Target, inputs: mpsc::Sender<Input>) {
    probe::until_answered(&target).await;
    // The loop is gone when this fails.
    let _ = inputs.send(Input::SaidReady(worker)).await;
}

/// Each message is read away when the loop has given its turn back: what it led to is deposited then. A manager that is
/// killed before leaves it for the next one.
async fn read_notifications(worker: WorkerId, socket: OwnedFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    let readiness = readiness::watch(&socket)?;
    let socket = NotifySocket::from(socket);
    let turns = Arc::new(Semaphore::new(1));
    loop {
        let mut ready = readiness.readable().await?;
        while let Some(message) = socket.peek()? {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return Ok(()) };
            if inputs.send(Input::Notified(worker, Box::new(message), turn)).await.is_err() {
                return Ok(());
            }
            drop(turns.acquire().await);
            socket.receive()?;
        }
        ready.clear_ready();
    }
}

/// A newline is never read away: the next manager finds it too, whenever this one is killed.
async fn read_newline(worker: WorkerId, pipe: OwnedFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    descriptor::set_nonblocking(&pipe, true)?;
    let readiness = readiness::watch(&pipe)?;
    let mut file = std::fs::File::from(pipe);
    let mut bytes = [0; 256];
    loop {
        let mut ready = readiness.readable().await?;
        let looked = match pipe::peek(&file, &mut bytes) {
            // Without a descriptor for a copy, the newline itself has to do.
            Err(error) if reserve::is_short(&error) => file.read(&mut bytes),
            Ok(length) if !bytes[..length].contains(&b'\n') => file.read(&mut bytes[..length]),
            looked => looked,
        };
        match looked {
            Ok(0) => return Ok(()),
            Ok(n) if bytes[..n].contains(&b'\n') => {
                let _ = inputs.send(Input::SaidReady(worker)).await;
                return Ok(());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
}

impl Manager {
    /// Tells a heartbeat to who follows them.
    fn tell_beat(&mut self, worker: WorkerId) {
        if self.events.wants_beats()
            && let Some(process) = self.crew.processes.get(&worker)
            && let Value::Object(fields) = hearing::fields(&process.label, process.pid)
        {
            self.events.beat(&fields);
        }
    }

    /// A worker said something of itself.
    pub(crate) fn notified(&mut self, worker: WorkerId, message: &Message, turn: Turn) {
        if message.ready || message.stopping || message.recycle || message.extend.is_some() {
            self.told.push(turn);
        }
        if let (Some(status), Some(process)) = (&message.status, self.crew.processes.get_mut(&worker)) {
            process.status = Some(status.clone());
        }
        if let Some(by) = message.extend {
            self.decide(Event::Extend { worker, by });
        }
        if message.ready {
            self.decide(Event::Ready { worker });
        }
        if message.watchdog {
            self.beats(worker, clock::mono());
            self.tell_beat(worker);
            self.decide(Event::Beat { worker });
        }
        if message.recycle {
            self.decide(Event::Outgrown { worker });
        }
        if message.stopping {
            self.decide(Event::Stopping { worker });
        }
    }
}
