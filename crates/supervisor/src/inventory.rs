//! What a manager is told: the engine as it is, and what happens.

use std::os::fd::{AsFd, BorrowedFd};

use evercrew_wire::supervisor::{self as wire, Inventory, Purpose, ToManager};

use crate::children::Children;
use crate::custody::Custody;
use crate::engine::Engine;
use crate::outgoing::{Beside, MAX_SIGNALS, Outgoing, is_lasting, is_signal, is_stop};
use crate::upgrade::Upgrade;

/// The descriptors that go beside a record.
pub(crate) fn find<'a>(
    beside: &Beside,
    custody: &'a Custody,
    children: &'a Children,
    upgrade: &'a Upgrade,
) -> Vec<BorrowedFd<'a>> {
    match beside {
        Beside::Nothing => Vec::new(),
        Beside::Deposit { state } => custody.deposits(*state),
        Beside::Handover => {
            custody.deposits(true).into_iter().chain(upgrade.document.as_ref().map(AsFd::as_fd)).collect()
        }
        Beside::Connections(index) => upgrade.connections.get(*index).into_iter().flatten().map(AsFd::as_fd).collect(),
        Beside::Listener(name) => custody.listener(name).into_iter().collect(),
        Beside::Worker(worker) => children.of(*worker).map(|child| child.descriptors()).unwrap_or_default(),
    }
}

impl Engine {
    pub(crate) fn tell_inventory(&mut self, poisoned: bool) {
        if poisoned {
            self.say("ERROR managers keep dying on the same state; the next one starts from the inventory alone");
        }
        let state = self.custody.has_state() && !poisoned;
        let inventory = Inventory { state, poisoned, ..self.inventory(Purpose::Work) };
        let Some(mut manager) = self.manager.take() else { return };
        let out = &mut manager.outgoing;
        self.push_inventory(inventory, Beside::Deposit { state }, out);
        let forgotten = self.stop.clone().filter(|_| poisoned);
        for record in forgotten.into_iter().chain(self.left_over.drain(..)) {
            out.push(record, Beside::Nothing);
        }
        self.manager = Some(manager);
    }

    /// The engine as it is, for a manager after the present one where that has another purpose than to work.
    pub(crate) fn inventory(&mut self, purpose: Purpose) -> Inventory {
        Inventory {
            version: wire::VERSION,
            supervisor: std::process::id(),
            generation: self.managers + u32::from(purpose != Purpose::Work),
            last_words: std::mem::take(&mut self.last_words),
            state: self.custody.has_state(),
            poisoned: false,
            purpose,
            returned: self.upgrade.returned.take(),
            nofile: self.nofile,
            highest_worker: self.highest_worker,
            cgroups: self.cgroups.describe(),
            wishes: self.custody.wishes(),
            above: self.above.describe(),
            inherited: self.above.inherited(),
        }
    }

    pub(crate) fn push_inventory(&self, inventory: Inventory, beside: Beside, out: &mut Outgoing) {
        out.push(ToManager::Inventory(inventory), beside);
        for (name, record) in self.custody.describe() {
            out.push(record, Beside::Listener(name));
        }
        for (worker, child) in self.children.iter() {
            out.push(ToManager::Worker(child.describe(worker)), Beside::Worker(worker));
        }
        for index in 0..self.upgrade.connections.len() {
            out.push(ToManager::Connections, Beside::Connections(index));
        }
        out.push(ToManager::InventoryEnd, Beside::Nothing);
    }

    pub(crate) fn tell(&mut self, record: ToManager, beside: Beside) {
        match &mut self.manager {
            Some(_) if self.upgrade.handover.is_held() => self.upgrade.hold(record, beside),
            Some(manager) => manager.outgoing.push(record, beside),
            // As many as wait for a manager that lives.
            None if self.left_over.len() >= MAX_SIGNALS && is_signal(&record) && !is_stop(&record) => {}
            None if is_lasting(&record) => self.left_over.push(record),
            None => {}
        }
    }
}
