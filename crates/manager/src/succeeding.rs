//! A manager that is to take the place of one that works: first it shows what it can, then it takes over what that one
//! leaves, and only when the supervisor says so does it read or do anything.

use std::io;
use std::os::fd::OwnedFd;

use evercrew_sys::{clock, exec, failpoint};
use evercrew_wire::handover::Handover;
use evercrew_wire::supervisor::{Purpose, ToManager, ToSupervisor};
use serde_json::json;
use std::time::Duration;

use crate::boot::{self, Fatal, Found, Model};
use crate::clients::ClientId;
use crate::events::Filter;
use crate::handed;
use crate::hub::Hub;
use crate::kinds;
use crate::link::{self, Link, Record};
use crate::manager::Manager;
use crate::metering::Metering;
use crate::notices::Level;
use crate::requests::Heirloom;

/// How long the new manager lives before whoever asked for it is told that it works.
pub(crate) const PROVEN: Duration = Duration::from_secs(1);

/// What was handed on.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) document: Handover,
    pub(crate) connections: Vec<OwnedFd>,
}

/// Shows that it could be the manager, and takes over what the present one leaves; `None` when that one goes on.
///
/// # Errors
/// Why it could not, in words for whoever asked for it.
pub(crate) async fn succeed(
    link: &mut Link,
    mut found: Found,
    stderr: Option<OwnedFd>,
) -> Result<Option<(Found, Model, Inherited)>, Fatal> {
    failpoint::reached("handover.4");
    // All of it is dropped: by the time of the handover things stand otherwise.
    drop(boot::model(&mut found)?);
    failpoint::reached("handover.5");
    say(link, &ToSupervisor::Ready).await?;
    let mut found = match boot::inventory(link).await {
        Ok(found) if found.inventory.purpose == Purpose::Handover => found,
        Ok(_) => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        Err(fatal) if fatal.orphaned => return Ok(None),
        Err(fatal) => return Err(fatal),
    };
    let document = found.document.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let bytes = evercrew_sys::memfd::read(&document, evercrew_wire::deposit::MAX)?;
    let document = Handover::decode(&bytes).map_err(|error| unusable(&error.to_string()))?;
    let connections = std::mem::take(&mut found.connections);
    if connections.len() != document.clients.len() {
        return Err(unusable("the connections are not those that it names"));
    }
    let model = boot::model(&mut found)?;
    failpoint::reached("handover.8");
    say(link, &ToSupervisor::Applied).await?;
    let told = match boot::receive(link).await {
        Ok((numbered, _)) => numbered,
        Err(fatal) if fatal.orphaned => return Ok(None),
        Err(fatal) => return Err(fatal),
    };
    if told.record != ToManager::Commit {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    found.last = told.n;
    // Until here whoever asked reads what is written on it.
    stderr.map(exec::redirect_output).transpose()?;
    failpoint::reached("handover.10");
    Ok(Some((found, model, Inherited { document, connections })))
}

fn unusable(why: &str) -> Fatal {
    Fatal::new(1, format!("evercrew: cannot take over what the manager left: {why}"))
}

async fn say(link: &mut Link, record: &ToSupervisor) -> io::Result<()> {
    link.push(Record { bytes: record.encode().map_err(io::Error::other)?, descriptors: Vec::new() });
    link::flush_all(link).await
}

impl Manager {
    /// Takes up what the manager before had in hand. Its workers are known already.
    pub(crate) fn inherit(&mut self, Inherited { document, connections }: Inherited) {
        let counts = document.counts.iter().filter_map(|(kind, count)| Some((kinds::named(kind)?, *count)));
        self.events.restore(document.events, counts);
        let (memory, askers) = handed::goes_on_asking(document.tasks, document.next_ask);
        self.hub = Hub::restore(self.engine.generation.into(), memory, askers, document.last_task);
        self.metering = Metering::restore(document.figures);
        self.clients.skip_to(document.last_client);
        let proven = clock::mono().after(PROVEN);
        for (client, socket) in document.clients.into_iter().zip(connections) {
            let id = ClientId(client.id);
            let Some(connection) = self.room.admit(socket) else {
                self.write_log(Level::Warn, "a connection of an operator could not be taken over");
                continue;
            };
            let heirloom = Heirloom {
                incoming: client.incoming.0,
                outgoing: client.outgoing.0,
                refused: client.refused,
                ended: client.ended,
                audited: client.audited.into_iter().filter_map(crate::audit::Audited::back).collect(),
            };
            self.clients.admit(id, connection, heirloom, &self.inputs);
            for waiting in client.waiting {
                self.waitings.add(id, handed::goes_on_waiting(waiting, proven));
            }
            for following in client.following {
                let filter = Filter { services: following.services, kinds: following.kinds };
                self.events.subscribe(id, following.request, following.next, filter, following.heartbeats);
            }
        }
        self.upgraded();
    }

    fn upgraded(&mut self) {
        let (generation, version) = (self.engine.generation, env!("CARGO_PKG_VERSION"));
        let fields = json!({"generation": generation, "pid": std::process::id(), "version": version});
        self.tell(Level::Info, "engine.upgraded", fields, &format!("manager {generation} took over, {version}"));
    }
}
