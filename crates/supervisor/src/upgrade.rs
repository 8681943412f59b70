//! What an upgrade of the manager has in hand.

use std::os::fd::OwnedFd;

use evercrew_core::handover::Handover;
use evercrew_wire::supervisor::ToManager;

use crate::manager::Manager;
use crate::outgoing::{Beside, MAX_SIGNALS, is_lasting, is_signal, is_stop};

/// A manager that is tried.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) manager: Manager,
    pub(crate) binary: OwnedFd,
    /// What it writes on its standard error.
    pub(crate) words: OwnedFd,
    /// It says nothing more.
    pub(crate) closed: bool,
}

/// What the manager before the present one was started from, and left.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) binary: OwnedFd,
    pub(crate) deposits: (OwnedFd, Option<OwnedFd>),
    /// Where the present one wrote on trial: open as long as it may still write there.
    pub(crate) _words: OwnedFd,
}

/// Everything that is there for the sake of one.
#[derive(Debug, Default)]
pub(crate) struct Upgrade {
    pub(crate) handover: Handover,
    /// The binary that is asked for.
    pub(crate) asked: Option<OwnedFd>,
    pub(crate) successor: Option<Successor>,
    /// How the last one failed, in words, and what it wrote.
    pub(crate) failed: (String, String),
    /// What happened since the manager was told to leave.
    held: Vec<(ToManager, Beside)>,
    /// What it left beside its deposit.
    pub(crate) document: Option<OwnedFd>,
    pub(crate) connections: Vec<Vec<OwnedFd>>,
    /// The one that can be had again.
    pub(crate) before: Option<Before>,
    /// Why it was taken back: the next manager says so.
    pub(crate) returned: Option<String>,
}

impl Upgrade {
    /// Keeps a record for whoever goes on.
    pub(crate) fn hold(&mut self, record: ToManager, beside: Beside) {
        let is_flood = is_signal(&record) && !is_stop(&record) && self.held.len() >= MAX_SIGNALS;
        if !is_flood && record != ToManager::CallerWaits {
            self.held.push((record, beside));
        }
    }

    /// An inventory says everything that is told now but for what lasts.
    pub(crate) fn forget_told(&mut self) {
        self.held.retain(|(record, _)| is_lasting(record));
    }

    pub(crate) fn take_held(&mut self) -> impl Iterator<Item = (ToManager, Beside)> + use<> {
        std::mem::take(&mut self.held).into_iter()
    }

    /// What was handed on is with whom it is for, or with nobody.
    pub(crate) fn let_go(&mut self) {
        self.document = None;
        self.connections.clear();
    }
}
