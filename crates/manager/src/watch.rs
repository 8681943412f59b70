//! What a worker says of itself: its notify socket, its readiness pipe, its own port.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use evercrew_core::fleet::WorkerId;
use evercrew_sys::descriptor;
use evercrew_sys::notify::NotifySocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::crew::Parts;
use crate::input::Input;
use crate::probe::{self, Target};
use crate::readiness;

/// Tasks that read for one worker; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads what is there and asks `target` until it answers; `None` if there is nothing of both.
pub(crate) fn watch(
    worker: WorkerId,
    parts: &mut Parts,
    target: Option<Target>,
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
    (!tasks.is_empty()).then_some(Watch { tasks })
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

async fn read_notifications(worker: WorkerId, socket: OwnedFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    let readiness = readiness::watch(&socket)?;
    let socket = NotifySocket::from(socket);
    loop {
        let mut ready = readiness.readable().await?;
        loop {
            match socket.receive() {
                Ok(Some(message)) => {
                    if inputs.send(Input::Notified(worker, Box::new(message))).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(error),
            }
        }
        ready.clear_ready();
    }
}

async fn read_newline(worker: WorkerId, pipe: OwnedFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    descriptor::set_nonblocking(&pipe, true)?;
    let readiness = readiness::watch(&pipe)?;
    let mut pipe = std::fs::File::from(pipe);
    let mut bytes = [0; 256];
    loop {
        let mut ready = readiness.readable().await?;
        match pipe.read(&mut bytes) {
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
