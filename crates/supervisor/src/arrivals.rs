//! Reading signals. Real-time ones are in no table: somebody meant something by them, and should hear that nothing comes of
//! it.

use evercrew_core::Signal;
use evercrew_sys::signal::Received;

use crate::engine::Engine;

/// Real-time signals of one round of reading: a flood is one line.
#[derive(Debug, Default)]
struct Nameless {
    first: Option<Received>,
    more: u32,
}

impl Nameless {
    fn add(&mut self, received: Received) {
        if self.first.is_some() {
            self.more = self.more.saturating_add(1);
        }
        self.first.get_or_insert(received);
    }
}

impl Engine {
    pub(crate) fn read_signals(&mut self) {
        let mut nameless = Nameless::default();
        while let Ok(Some(received)) = self.signals.read() {
            match received.signal {
                Some(Signal::Chld) => {}
                Some(signal) => self.signal_received(signal, &received),
                None => nameless.add(received),
            }
        }
        self.tell_nameless(&nameless);
        self.reap_all();
        self.cgroups.remove_empty();
    }

    fn tell_nameless(&self, nameless: &Nameless) {
        let Some(Received { number, sender_pid, sender_uid, .. }) = nameless.first else { return };
        let more = if nameless.more > 0 { format!(", and {} more", nameless.more) } else { String::new() };
        self.say(&format!(
            "WARN  real-time signal {number} from pid {sender_pid} (uid {sender_uid}){more}: it has no meaning"
        ));
    }
}
