//! Who tells a server to stop, and hears of it.

use std::os::fd::AsFd;

use evercrew_core::Mono;

use crate::server::Server;

/// What surrounds a server: a descriptor that becomes readable when something is to be looked at, and what is told.
pub(crate) trait Guide: AsFd {
    /// It serves.
    fn ready(&mut self);

    /// Whether what made the descriptor readable asks to stop.
    fn is_to_stop(&mut self) -> bool;

    /// When [`Self::tick`] is due at the latest.
    fn deadline(&self) -> Option<Mono>;

    /// The loop goes round.
    fn tick(&mut self, now: Mono);

    /// Everything that followed from one round was done.
    fn look(&mut self, _: &mut Server) {}
}
