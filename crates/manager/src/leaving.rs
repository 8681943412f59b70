//! A manager leaves for the next one: it stops deciding, leaves everything, and does nothing more unless it is told that
//! nothing came of the next one.
//!
//! All that is under way lives on one thread, so that a wait that blocks it freezes everything: no task reads another
//! byte from an operator or a worker. What tasks had read by then is where it can be handed on.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::{clock, descriptor, failpoint, memfd};
use evercrew_wire::handover::{self as wire_handover, Handover};
use evercrew_wire::supervisor::{self as wire, MAX_DESCRIPTORS, Numbered, ToManager, ToSupervisor};
use tokio::sync::mpsc;

use crate::handed;
use crate::input::Input;
use crate::link::{Record, Shared, is_end};
use crate::manager::Manager;
use crate::notices::Level;
use crate::skew;

/// How long short things may take to end before it leaves: less than the supervisor gives it.
const PATIENCE: Duration = Duration::from_secs(4);
/// Inputs that are handled at the last moment.
const LAST_INPUTS: usize = 4096;
/// Between two looks at the supervisor's channel, where the kernel says nothing.
const LOOK: Duration = Duration::from_secs(1);

impl Manager {
    /// The next manager is ready.
    pub(crate) fn told_to_leave(&mut self) {
        self.leaving = Some(clock::mono());
    }

    /// Until when short things may take.
    pub(crate) fn leaving_deadline(&self) -> Option<Mono> {
        self.leaving.map(|since| since.after(PATIENCE))
    }

    /// Leaves, if it was told to and nothing short is under way. Comes back when nothing came of it.
    pub(crate) fn leave(&mut self, receiver: &mut mpsc::Receiver<Input>) -> io::Result<()> {
        if self.leaving.is_none() {
            return Ok(());
        }
        // What tasks have read is done first: nothing of it is with anybody else.
        for _ in 0..LAST_INPUTS {
            let Ok(input) = receiver.try_recv() else { break };
            self.input(input);
        }
        self.hear_workers();
        self.finish_batch();
        if let Some(why) = self.cannot_leave_yet(receiver) {
            if self.leaving_deadline().is_some_and(|until| clock::mono() >= until) {
                self.leaving = None;
                self.send(&ToSupervisor::Kept { reason: why.to_owned() }, Vec::new());
            }
            return Ok(());
        }
        self.leaving = None;
        failpoint::reached("handover.7");
        match self.hand_on() {
            Ok(records) => {
                for record in records {
                    self.link.push(record);
                }
                self.freeze()
            }
            Err(error) => {
                self.send(&ToSupervisor::Kept { reason: error.to_string() }, Vec::new());
                Ok(())
            }
        }
    }

    /// What has to end first.
    fn cannot_leave_yet(&self, receiver: &mpsc::Receiver<Input>) -> Option<&'static str> {
        let logger_is_behind = self.logger.as_ref().is_some_and(|(_, link)| link.wants_to_write());
        [
            (!receiver.is_empty() || !self.later.is_empty(), "inputs wait"),
            (self.dirty || self.link.wants_to_write(), "its deposit has not left"),
            (self.reloads.is_busy(), "a reload is under way"),
            (self.rollouts.deadline().is_some(), "the last words of a worker are waited for"),
            (!self.hub.leaving.is_empty(), "what a worker wrote before its end is read"),
            (self.metering.is_busy(), "metrics are being written"),
            (logger_is_behind || !self.unread.is_empty(), "the logger is behind"),
        ]
        .into_iter()
        .find_map(|(is_so, why)| is_so.then_some(why))
    }

    /// Lines of workers that were read and wait for their second.
    fn hear_workers(&mut self) {
        let processes: Vec<_> =
            self.crew.processes.iter().map(|(id, process)| (*id, process.unheard.clone())).collect();
        for (worker, unheard) in processes {
            while let Some(heard) = unheard.hear() {
                self.worker_spoke(worker, heard);
            }
        }
    }

    /// Everything beside the deposit, which has left.
    fn hand_on(&self) -> io::Result<Vec<Record>> {
        let (mut clients, mut sockets) = (Vec::new(), Vec::new());
        for (mut client, socket) in self.clients.hand_on() {
            let id = crate::clients::ClientId(client.id);
            client.waiting = self.waitings.of(id).iter().filter_map(handed::waiting).collect();
            client.following = self.events.following(id);
            clients.push(client);
            sockets.push(Arc::new(descriptor::duplicate(&*socket)?));
        }
        let memory = self.hub.gather.memory();
        let document = Handover {
            version: wire_handover::VERSION,
            clients,
            last_client: self.clients.last(),
            events: self.events.ring(),
            counts: self.events.counts().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
            workers: self.crew.processes.iter().map(|(id, process)| handed::worker(*id, process)).collect(),
            figures: self.metering.hand_on(),
            next_ask: memory.next,
            tasks: handed::tasks(memory, &self.hub.askers),
            last_task: self.hub.last_task(),
        };
        let bytes = document.encode().map_err(io::Error::other)?;
        let sealed = memfd::sealed("evercrew-handover", &skew::written(bytes))?;
        let record = |record: &ToSupervisor, descriptors: Vec<Shared>| {
            Ok(Record { bytes: record.encode().map_err(io::Error::other)?, descriptors })
        };
        let connections = sockets.chunks(MAX_DESCRIPTORS);
        let mut records: Vec<Record> =
            connections.map(|some| record(&ToSupervisor::Connections, some.to_vec())).collect::<io::Result<_>>()?;
        records.push(record(&ToSupervisor::Left, vec![Arc::new(sealed)])?);
        Ok(records)
    }

    /// Does nothing until the supervisor says that this manager goes on. One that is not needed any more is ended here:
    /// no destructor of its connections runs.
    fn freeze(&mut self) -> io::Result<()> {
        let mut told: Vec<(Numbered, Vec<OwnedFd>)> = Vec::new();
        loop {
            match self.link.flush() {
                Ok(()) => {}
                // The next read tells.
                Err(error) if is_end(&error) => break,
                Err(error) => return Err(error),
            }
            let Some(record) = self.link.try_receive(wire::MAX_LARGE_RECORD)? else {
                self.link.wait(LOOK)?;
                continue;
            };
            let (bytes, descriptors) = record.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let numbered = Numbered::decode(&bytes).map_err(io::Error::other)?;
            let goes_on = matches!(numbered.record, ToManager::GoOn { .. });
            told.push((numbered, descriptors));
            if goes_on {
                break;
            }
        }
        for (numbered, descriptors) in told {
            self.record(numbered, descriptors);
        }
        self.write_log(Level::Debug, "nothing came of the next manager; this one goes on");
        Ok(())
    }
}
