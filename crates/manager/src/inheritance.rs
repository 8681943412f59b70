//! Sockets that the service manager above left us: which listener is which.

use evercrew_config::Settings;
use evercrew_wire::supervisor::{Address, Bind, Inherited, ToSupervisor};

use crate::listeners;
use crate::manager::Manager;
use crate::notices::Level;

/// Those that no listener is yet.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    left: Vec<Inherited>,
}

impl Inheritance {
    pub(crate) fn new(left: Vec<Inherited>) -> Self {
        Self { left }
    }

    /// Gives `bind` the socket that was left for it: first one that somebody named like the listener, whatever its address,
    /// then one at its address. What a person should know of it.
    pub(crate) fn claim(&mut self, bind: &mut Bind) -> Option<String> {
        let name = bind.store.as_ref()?;
        let named = |inherited: &Inherited| !inherited.stored && inherited.name == *name;
        let fits = |inherited: &Inherited| match (&bind.address, &inherited.address) {
            // Its port was the kernel's choice, for this very listener.
            (Address::Tcp(asked), Address::Tcp(found)) if asked.port() == 0 => {
                inherited.stored && inherited.name == *name && asked.ip() == found.ip()
            }
            (asked, found) => asked == found,
        };
        let found = self.left.iter().position(named).or_else(|| self.left.iter().position(fits))?;
        let inherited = self.left.remove(found);
        bind.inherited = Some(inherited.number);
        let moved = !fits(&inherited) && !is_any_port(&bind.address);
        moved.then(|| {
            format!(
                "the listener `{name}` is the inherited socket of that name, which is at {}, not at {}",
                display(&inherited.address),
                display(&bind.address)
            )
        })
    }

    /// Those that an engine before this one opened and nobody asks for any more: their numbers.
    pub(crate) fn take_outdated(&mut self) -> Vec<u32> {
        let (stored, left) = std::mem::take(&mut self.left).into_iter().partition(|inherited| inherited.stored);
        self.left = left;
        let stored: Vec<Inherited> = stored;
        stored.into_iter().map(|inherited| inherited.number).collect()
    }

    /// What is there and serves nobody.
    pub(crate) fn remarks(&self, settings: &Settings) -> Vec<String> {
        let unused = |name: &str| {
            let known = settings.listener(name).is_some();
            let used = listeners::used(settings).any(|listener| listener.name == name);
            known && !used
        };
        let one = |inherited: &Inherited| {
            let at = display(&inherited.address);
            match inherited.name.as_str() {
                name if unused(name) => {
                    format!("the inherited socket `{name}` at {at} waits: no service uses [listen.{name}]")
                }
                name => format!(
                    "the inherited socket `{name}` at {at} is no listener of this configuration: name a [listen] so, or give it \
                     that address"
                ),
            }
        };
        self.left.iter().map(one).collect()
    }
}

impl Manager {
    /// Asks for a listener: the one that was left for it, or a new one.
    pub(crate) fn ask_for_listener(&mut self, mut bind: Bind) {
        if let Some(remark) = self.inheritance.claim(&mut bind) {
            self.write_log(Level::Warn, &remark);
        }
        bind.owner = self.launcher.owner();
        self.send(&ToSupervisor::Bind(bind), Vec::new());
    }

    /// The listeners of the first configuration are open: what was kept and is not among them is of no use any more.
    pub(crate) fn settle_inheritance(&mut self) {
        for number in self.inheritance.take_outdated() {
            self.send(&ToSupervisor::Disown { number }, Vec::new());
        }
        if self.engine.generation == 1 {
            for remark in self.inheritance.remarks(self.crew.settings()) {
                self.write_log(Level::Warn, &remark);
            }
        }
    }
}

fn is_any_port(address: &Address) -> bool {
    matches!(address, Address::Tcp(address) if address.port() == 0)
}

fn display(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.to_path().display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().expect("an address"))
    }

    fn left(number: u32, name: &str, stored: bool, address: &str) -> Inherited {
        Inherited { number, name: name.into(), stored, address: tcp(address) }
    }

    fn bind(name: &str, address: &str) -> Bind {
        Bind {
            listener: address.into(),
            address: tcp(address),
            backlog: 1,
            mode: None,
            reuse_port: false,
            nonblocking: false,
            inherited: None,
            owner: None,
            store: Some(name.into()),
        }
    }

    fn claimed(inheritance: &mut Inheritance, name: &str, address: &str) -> (Option<u32>, bool) {
        let mut bind = bind(name, address);
        let remark = inheritance.claim(&mut bind);
        (bind.inherited, remark.is_some())
    }

    #[test]
    fn a_name_goes_before_an_address_and_each_is_given_once() {
        let mut inheritance = Inheritance::new(vec![
            left(3, "other", false, "127.0.0.1:80"),
            left(4, "web", false, "0.0.0.0:8080"),
            left(5, "web", false, "127.0.0.1:443"),
        ]);
        assert_eq!(claimed(&mut inheritance, "web", "127.0.0.1:80"), (Some(4), true));
        assert_eq!(claimed(&mut inheritance, "x", "127.0.0.1:80"), (Some(3), false));
        assert_eq!(claimed(&mut inheritance, "x", "127.0.0.1:80"), (None, false));
        assert_eq!(claimed(&mut inheritance, "web", "127.0.0.1:0"), (Some(5), false), "any port is what it asks for");
        assert_eq!(inheritance.take_outdated(), Vec::<u32>::new());
    }

    #[test]
    fn what_an_engine_kept_serves_its_address_alone_and_is_given_up_when_nobody_asks_for_it() {
        let mut inheritance = Inheritance::new(vec![
            left(3, "web", true, "127.0.0.1:8080"),
            left(4, "any", true, "127.0.0.1:41234"),
            left(5, "old", true, "127.0.0.1:9"),
            left(6, "kept", false, "127.0.0.1:10"),
        ]);
        assert_eq!(claimed(&mut inheritance, "web", "127.0.0.1:9090"), (None, false), "it moved");
        assert_eq!(claimed(&mut inheritance, "renamed", "127.0.0.1:8080"), (Some(3), false));
        assert_eq!(claimed(&mut inheritance, "else", "127.0.0.1:0"), (None, false));
        assert_eq!(claimed(&mut inheritance, "any", "127.0.0.1:0"), (Some(4), false));
        assert_eq!(inheritance.take_outdated(), [5]);
        assert_eq!(inheritance.left.len(), 1, "one that somebody else opened stays");
    }
}
