//! Listeners as the supervisor holds them: by their address, so that one which moves is another one, and one that is
//! only renamed is the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use evercrew_config::{Address, Listener, Settings};
use evercrew_core::fleet::Fleet;
use evercrew_sys::listener;
use evercrew_wire::Text;
use evercrew_wire::supervisor::{self as wire, Bind};

use crate::crew::Crew;

/// What the supervisor calls it. No `@` can stand in front, so it is never taken for the command socket.
pub(crate) fn key(listener: &Listener) -> String {
    match &listener.address {
        // Each gets a port of its own.
        Address::Tcp(address) if address.port() == 0 => format!("{address} {}", listener.name),
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// What the supervisor calls each of its sockets.
pub(crate) fn keys(listener: &Listener) -> impl Iterator<Item = String> {
    let key = key(listener);
    let several = listener.queues() > 1;
    (1..=listener.queues()).map(move |queue| if several { format!("{key} queue {queue}") } else { key.clone() })
}

/// The address, where it is another than was asked for: its port was the kernel's choice, or the socket was left to us.
pub(crate) fn chosen_port(asked: &wire::Address, socket: &OwnedFd) -> Option<SocketAddr> {
    match listener::local_address(socket) {
        Ok(listener::Address::Tcp(address)) if *asked != wire::Address::Tcp(address) => Some(address),
        Ok(listener::Address::Tcp(_) | listener::Address::Unix(_)) | Err(_) => None,
    }
}

/// The listeners of these settings that a service uses.
pub(crate) fn used(settings: &Settings) -> impl Iterator<Item = &Listener> {
    let used = |name: &String| settings.services.iter().any(|service| service.listen.contains(name));
    settings.listeners.iter().filter(move |listener| used(&listener.name))
}

/// The records that open it, one for each socket.
pub(crate) fn binds(listener: &Listener) -> impl Iterator<Item = Bind> {
    let address = match &listener.address {
        Address::Tcp(address) => wire::Address::Tcp(*address),
        Address::Unix(path) => wire::Address::Unix(Text::from(path)),
    };
    let (backlog, reuse_port) = (listener.backlog, listener.queues() > 1);
    let (name, nonblocking) = (listener.name.clone(), listener.nonblocking);
    keys(listener).map(move |key| Bind {
        listener: key,
        address: address.clone(),
        backlog,
        mode: None,
        reuse_port,
        nonblocking,
        inherited: None,
        owner: None,
        store: Some(name.clone()),
    })
}

/// All that some service uses, by their keys: those of the configuration in force, and those that workers were started
/// with, or may be again, which nobody has asked to leave.
pub(crate) fn needed(crew: &Crew, fleet: &Fleet) -> BTreeMap<String, Bind> {
    let keyed = |listener| binds(listener).map(|bind| (bind.listener.clone(), bind));
    let mut needed: BTreeMap<String, Bind> = used(crew.settings()).flat_map(keyed).collect();
    for (id, name) in crew.names() {
        for epoch in fleet.served_versions(id) {
            let settings = &crew.edition(epoch).settings;
            let names = settings.service(name).map(|service| &service.listen[..]).unwrap_or_default();
            let listeners = names.iter().filter_map(|name| settings.listener(name));
            // Those in force say how long a queue is.
            for (key, bind) in listeners.flat_map(keyed) {
                needed.entry(key).or_insert(bind);
            }
        }
    }
    needed
}
