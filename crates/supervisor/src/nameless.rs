//! Signals that no table has: real-time ones. Somebody meant something by them, and should hear that nothing comes of it.

use evercrew_sys::signal::Received;

use crate::engine::Engine;

/// Those of one round of reading: a flood is one line.
#[derive(Debug, Default)]
pub(crate) struct Nameless {
    first: Option<Received>,
    more: u32,
}

impl Nameless {
    pub(crate) fn add(&mut self, received: Received) {
        if self.first.is_some() {
            self.more = self.more.saturating_add(1);
        }
        self.first.get_or_insert(received);
    }
}

impl Engine {
    pub(crate) fn tell_nameless(&self, nameless: &Nameless) {
        let Some(Received { number, sender_pid, sender_uid, .. }) = nameless.first else { return };
        let more = if nameless.more > 0 { format!(", and {} more", nameless.more) } else { String::new() };
        self.say(&format!(
            "WARN  real-time signal {number} from pid {sender_pid} (uid {sender_uid}){more}: it has no meaning"
        ));
    }
}
