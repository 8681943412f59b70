//! One manager in the place of another, as `core::handover` decides.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use evercrew_core::handover::{Action, Event, Failure};
use evercrew_sys::channel::Received;
use evercrew_sys::epoll::Interest;
use evercrew_sys::process::Status;
use evercrew_sys::{clock, descriptor, failpoint, pipe, record};
use evercrew_wire::supervisor::{self as wire, Purpose, ToManager, ToSupervisor};

use crate::engine::{Engine, MANAGER, SUCCESSOR, SUCCESSOR_EXEC};
use crate::inventory::find;
use crate::manager::Manager;
use crate::outgoing::Beside;
use crate::upgrade::{Before, Successor};

/// The time to hand on is bounded, as nobody decides meanwhile: a worker that dies is still replaced within a second.
const HANDING_ON: Duration = Duration::from_millis(500);
/// What each worker and each connection add to it.
const HANDING_ON_ONE: Duration = Duration::from_millis(1);
/// What is read of the words of a binary: all that a pipe holds.
const MOST_WORDS: usize = 64 * 1024;
/// What is kept of them.
const LAST_LINES: usize = 10;
const LONGEST_LINE: usize = 400;

impl Engine {
    /// Tells the handover what was observed, and does what follows.
    pub(crate) fn hand(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let mut actions = Vec::new();
            self.upgrade.handover.handle(clock::mono(), event, &mut actions);
            for action in actions {
                match action {
                    Action::Start => next = (!self.start_successor()).then_some(Event::NotStarted),
                    Action::Freeze => self.tell_manager(ToManager::Freeze),
                    Action::HandOn => self.hand_on(),
                    Action::Commit => self.commit(),
                    Action::End => self.end_successor(),
                    Action::GoOn(failure) => self.go_on(failure),
                    Action::Return => self.take_back(),
                    Action::Settle => self.upgrade.before = None,
                }
            }
        }
    }

    /// The manager asks for one from another binary.
    pub(crate) fn upgrade_asked(&mut self, binary: Option<OwnedFd>, patience: Duration) {
        if !self.upgrade.handover.is_under_way() {
            self.upgrade.asked = binary;
        }
        self.hand(Event::Asked { patience });
    }

    /// The manager does nothing more.
    pub(crate) fn manager_left(&mut self, document: Option<OwnedFd>) {
        self.upgrade.document = document;
        let connections: usize = self.upgrade.connections.iter().map(Vec::len).sum();
        let things = u32::try_from(connections + self.children.iter().count()).unwrap_or(u32::MAX);
        self.hand(Event::Left { patience: HANDING_ON + HANDING_ON_ONE.saturating_mul(things) });
    }

    pub(crate) fn manager_kept(&mut self, reason: String) {
        self.upgrade.failed = (reason, String::new());
        self.hand(Event::Kept);
    }

    /// Tells the manager in spite of what is held.
    fn tell_manager(&mut self, record: ToManager) {
        if let Some(manager) = &mut self.manager {
            manager.outgoing.push(record, Beside::Nothing);
        }
    }

    fn start_successor(&mut self) -> bool {
        let started = self.try_successor();
        failpoint::reached("handover.1");
        let why = started.as_ref().map_or_else(ToString::to_string, |()| String::new());
        self.upgrade.failed = (why, String::new());
        started.is_ok()
    }

    fn try_successor(&mut self) -> std::io::Result<()> {
        let binary =
            self.upgrade.asked.take().ok_or_else(|| std::io::Error::other("no binary came with the request"))?;
        let (words, theirs) = pipe::pair()?;
        descriptor::set_nonblocking(&words, true)?;
        let title = self.manager_title();
        let mut manager = Manager::start(&binary, &title, self.arguments.as_deref(), Some(theirs))?;
        manager.watch(&self.epoll, SUCCESSOR, SUCCESSOR_EXEC).inspect_err(|_| manager.kill())?;
        let inventory = self.inventory(Purpose::Trial);
        let state = inventory.state;
        self.push_inventory(inventory, Beside::Deposit { state }, &mut manager.outgoing);
        self.upgrade.successor = Some(Successor { manager, binary, words, closed: false });
        Ok(())
    }

    pub(crate) fn successor_executed(&mut self) {
        let Some(successor) = &mut self.upgrade.successor else { return };
        if let Some(error) = successor.manager.executed(&self.epoll) {
            // It ends by itself, which is reaped.
            self.upgrade.failed.0 = format!("it cannot be executed: {error}");
        }
    }

    pub(crate) fn flush_successor(&mut self) {
        let Some(mut successor) = self.upgrade.successor.take_if(|successor| !successor.closed) else { return };
        let Self { custody, children, upgrade, .. } = self;
        // What is late ends it; what cannot be sent for want of something is late.
        successor.manager.flush(&self.epoll, SUCCESSOR, |beside| find(beside, custody, children, upgrade));
        self.upgrade.successor = Some(successor);
    }

    pub(crate) fn read_successor(&mut self) {
        let mut bytes = Vec::new();
        while let Some(successor) = &mut self.upgrade.successor {
            let channel = &successor.manager.channel;
            let said = match record::receive(channel, wire::MAX_LARGE_RECORD, &mut bytes, &mut Vec::new()) {
                Ok(Received::Message) => ToSupervisor::decode(&bytes).ok(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // It has ended, or is of no use and will be late: its own status is what a person wants to know.
                Ok(Received::Closed) | Err(_) => {
                    let _ = self.epoll.remove(channel.as_fd());
                    successor.closed = true;
                    return;
                }
            };
            match said {
                Some(ToSupervisor::Ready) => {
                    failpoint::reached("handover.6");
                    self.hand(Event::Ready);
                }
                Some(ToSupervisor::Applied) => self.hand(Event::Applied),
                // It may not ask for anything yet.
                _ => {
                    successor.manager.kill();
                    let _ = self.epoll.remove(successor.manager.channel.as_fd());
                    return;
                }
            }
        }
    }

    pub(crate) fn successor_ended(&mut self, status: Option<Status>) {
        let how = status.map_or_else(|| "it ended".to_owned(), |status| status.to_string());
        if self.upgrade.failed.0.is_empty() {
            self.upgrade.failed.0 = how;
        }
        self.hand(Event::SuccessorEnded);
    }

    /// Nothing comes of it.
    fn end_successor(&mut self) {
        self.upgrade.let_go();
        let Some(successor) = self.upgrade.successor.take() else { return };
        successor.manager.kill();
        let _ = self.epoll.remove(successor.manager.channel.as_fd());
        if let Some(exec) = &successor.manager.exec {
            let _ = self.epoll.remove(exec.as_fd());
        }
        let mut words = vec![0; MOST_WORDS];
        let length = File::from(successor.words).read(&mut words).unwrap_or(0);
        self.upgrade.failed.1 = last_lines(words.get(..length).unwrap_or_default());
    }

    fn hand_on(&mut self) {
        let Some(mut successor) = self.upgrade.successor.take() else { return };
        let inventory = self.inventory(Purpose::Handover);
        self.push_inventory(inventory, Beside::Handover, &mut successor.manager.outgoing);
        self.upgrade.successor = Some(successor);
        self.upgrade.forget_told();
    }

    /// The manager before is frozen and ends without a word more; all that it has not acknowledged is told anew.
    fn commit(&mut self) {
        failpoint::reached("handover.9");
        let Some(Successor { mut manager, binary, words, .. }) = self.upgrade.successor.take() else { return };
        let now = clock::mono();
        let deposits = self.custody.copy_deposits();
        let before = std::mem::replace(&mut self.binary, binary);
        // Without a descriptor for it there is no way back, and the new one has to do.
        self.upgrade.before = deposits.ok().map(|deposits| Before { binary: before, deposits, _words: words });
        let old = self.manager.take();
        manager.outgoing.push(ToManager::Commit, Beside::Nothing);
        if let Some(old) = old {
            old.kill();
            let _ = self.epoll.remove(old.channel.as_fd());
            for record in old.outgoing.left_over() {
                manager.outgoing.push(record, Beside::Nothing);
            }
        }
        for (record, beside) in self.upgrade.take_held() {
            manager.outgoing.push(record, beside);
        }
        let _ = self.epoll.remove(manager.channel.as_fd());
        let watched = self.epoll.add(manager.channel.as_fd(), MANAGER, Interest::READABLE);
        self.upgrade.let_go();
        self.managers += 1;
        self.manager = Some(manager);
        self.care.manager_started(now);
        if watched.is_err()
            && let Some(manager) = &self.manager
        {
            // One that cannot be heard is replaced like one that has died.
            manager.kill();
        }
    }

    fn go_on(&mut self, failure: Failure) {
        let (reason, words) = std::mem::take(&mut self.upgrade.failed);
        let how = |text: &str| if reason.is_empty() { text.to_owned() } else { format!("{text} ({reason})") };
        let reason = match failure {
            Failure::NotStarted => how("it cannot be started"),
            Failure::EndedUnready => how("it ended before it was ready"),
            Failure::LateUnready => "it did not get ready in time".to_owned(),
            Failure::LateLeaving => "the present manager did not stop deciding in time".to_owned(),
            Failure::Kept => how("the present manager cannot hand on what it has"),
            Failure::EndedTaking => how("it ended while it took over"),
            Failure::LateTaking => "it did not take over in time".to_owned(),
            Failure::Stopped => "the engine is being stopped".to_owned(),
            Failure::Busy => "another upgrade is under way".to_owned(),
        };
        self.tell_manager(ToManager::GoOn { reason, words });
        for (record, beside) in self.upgrade.take_held() {
            self.tell(record, beside);
        }
    }

    /// The next manager is one of those before the upgrade.
    fn take_back(&mut self) {
        let Some(Before { binary, deposits, .. }) = self.upgrade.before.take() else { return };
        self.say("ERROR the manager after the upgrade does not live; the binary before it is used again");
        self.binary = binary;
        self.custody.restore_deposits(deposits);
        self.upgrade.returned = Some(self.last_words.clone());
    }
}

/// The last lines of what a binary wrote, for a person.
fn last_lines(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST_LINES).collect();
    let shown = |line: &&str| -> String {
        line.chars().take(LONGEST_LINE).map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    lines.iter().rev().map(shown).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_binary_are_few_and_harmless() {
        assert_eq!(last_lines(b"a\n\n\x1b[31mb\n"), "a\n [31mb");
        assert_eq!(last_lines(b"y\n".repeat(9000).as_slice()), ["y"; LAST_LINES].join("\n"));
        assert_eq!(last_lines(&vec![0xff; 9000]).chars().count(), LONGEST_LINE);
        assert_eq!(last_lines(b""), "");
    }
}
