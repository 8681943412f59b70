//! All connections of a worker: who is there, from where, and since when it does nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evercrew_core::patience::{Patience, Terms};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::state::State;

/// Bounds of the pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The connections of a worker. One look at all of them now and then takes the place of a timer for each, which would
/// have to be set anew by each request.
#[derive(Debug)]
pub(crate) struct Crowd {
    terms: Terms,
    pause: Duration,
    per_address: Option<u32>,
    members: Mutex<Members>,
    /// The first connection has come.
    came: Notify,
}

#[derive(Debug, Default)]
struct Members {
    seats: Vec<Option<Member>>,
    free: Vec<usize>,
    addresses: BTreeMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Member {
    state: Arc<State>,
    patience: Patience,
}

impl Crowd {
    pub(crate) fn new(terms: Terms, per_address: Option<u32>) -> Self {
        let Terms { head_time, idle, body_rate: _, body_grace, write_stall } = terms;
        let shortest = head_time.min(idle).min(body_grace).min(write_stall);
        let pause = (shortest / 8).clamp(PAUSES.0, PAUSES.1);
        Self { terms, pause, per_address, members: Mutex::default(), came: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether clients are counted by address.
    pub(crate) fn counts_addresses(&self) -> bool {
        self.per_address.is_some()
    }

    /// Takes in a connection; it leaves with the seat.
    pub(crate) fn join(&self, state: &Arc<State>, address: Option<IpAddr>) -> (Seat, bool) {
        state.host.statistics.connection_began();
        let member = Member { state: Arc::clone(state), patience: Patience::default() };
        let mut members = self.lock();
        let was_empty = members.seats.len() == members.free.len();
        let seat = match members.free.pop() {
            Some(seat) => {
                members.seats[seat] = Some(member);
                seat
            }
            None => {
                members.seats.push(Some(member));
                members.seats.len() - 1
            }
        };
        let mut fits = true;
        if let Some(address) = address {
            let count = members.addresses.entry(address).or_default();
            *count += 1;
            fits = self.per_address.is_none_or(|most| *count <= most);
        }
        drop(members);
        if was_empty {
            self.came.notify_one();
        }
        (Seat { state: Arc::clone(state), seat, address }, fits)
    }

    fn leave(&self, seat: usize, address: Option<IpAddr>) {
        let mut members = self.lock();
        let left = members.seats[seat].take();
        members.free.push(seat);
        if let Some(address) = address
            && let Some(count) = members.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                members.addresses.remove(&address);
            }
        }
        drop(members);
        drop(left);
    }

    /// Wakes every connection, for instance because the drain has come to its next stage.
    pub(crate) fn wake_all(&self) {
        self.lock().seats.iter().flatten().for_each(|member| member.state.wake());
    }

    /// Looks at everybody now and then; at nobody while nobody is there.
    pub(crate) async fn watch(&self) {
        let mut last = Instant::now();
        loop {
            if self.is_empty() {
                self.came.notified().await;
                last = Instant::now();
            }
            sleep(self.pause).await;
            // A runtime that was blocked looked at nobody meanwhile: that time is not the clients'.
            let elapsed = last.elapsed().min(self.pause * 2);
            last = Instant::now();
            for member in self.lock().seats.iter_mut().flatten() {
                if member.state.is_blocked() {
                    // Its task looks how much was taken meanwhile; the next look here sees that.
                    member.state.wake();
                }
                if let Some(verdict) = member.patience.look(&self.terms, elapsed, member.state.look()) {
                    if member.state.verdict().is_none() {
                        member.state.host.statistics.judged(verdict);
                    }
                    member.state.judge(verdict);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let members = self.lock();
        members.seats.len() == members.free.len()
    }
}

/// The place of one connection in the crowd.
#[derive(Debug)]
pub(crate) struct Seat {
    state: Arc<State>,
    seat: usize,
    address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.state.host.statistics.connection_ended();
        self.state.host.crowd.leave(self.seat, self.address);
    }
}
