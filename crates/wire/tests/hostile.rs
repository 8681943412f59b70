//! Decoders meet bytes of every kind and never panic.

use evercrew_wire::command_pipe::Said;
use evercrew_wire::control::Request;
use evercrew_wire::deposit::{Configuration, State};
use evercrew_wire::logger::ToLogger;
use evercrew_wire::supervisor::{Numbered, ToSupervisor};
use proptest::prelude::*;

fn decode_as_everything(bytes: &[u8]) {
    let _ = ToSupervisor::decode(bytes);
    let _ = Numbered::decode(bytes);
    let _ = State::decode(bytes);
    let _ = Configuration::decode(bytes);
    let _ = ToLogger::decode(bytes);
    let _ = serde_json::from_slice::<Request>(bytes);
    let _ = Said::decode(bytes);
    let _ = Said::id_of_beginning(bytes);
}

const GOLDEN: [&[u8]; 4] = [
    include_bytes!("golden/v1-state.json"),
    include_bytes!("golden/v1-configuration.json"),
    include_bytes!("golden/v1-to-supervisor.json"),
    include_bytes!("golden/v1-to-manager.json"),
];

proptest! {
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn real_messages_with_flipped_bytes(which in 0..GOLDEN.len(), flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = GOLDEN[which].to_vec();
        for (index, byte) in flips {
            let place = index.index(bytes.len());
            bytes[place] = byte;
        }
        for line in bytes.split(|byte| *byte == b'\n') {
            decode_as_everything(line);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    decode_as_everything("[".repeat(1_000_000).as_bytes());
    decode_as_everything(format!("{{\"id\":{}", "{\"a\":".repeat(100_000)).as_bytes());
}
