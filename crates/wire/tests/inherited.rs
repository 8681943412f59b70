//! What a service manager leaves to the engine, in its written form.

mod support;

use evercrew_wire::Text;
use evercrew_wire::supervisor::{
    Above, Address, Bind, Inherited, Inventory, Numbered, Purpose, ToManager, ToSupervisor,
};
use support::golden;

#[test]
fn what_a_service_manager_left_is_written_and_read_as_ever() {
    let address = Address::Unix(Text::from("/run/web.sock"));
    let bind = Bind {
        listener: "unix:/run/web.sock".into(),
        address: address.clone(),
        backlog: 1024,
        mode: None,
        reuse_port: false,
        nonblocking: false,
        inherited: Some(3),
        owner: None,
        store: Some("web".into()),
    };
    let records = [ToSupervisor::Bind(bind), ToSupervisor::Disown { number: 4 }];
    let lines: Vec<Vec<u8>> = records.iter().map(|record| record.encode().expect("encode")).collect();
    let first = golden("inherited-to-supervisor", &lines.join(&b'\n'));
    let read: Vec<ToSupervisor> =
        first.split(|byte| *byte == b'\n').map(|line| ToSupervisor::decode(line).expect("decode")).collect();
    assert_eq!(read, records);
    let inventory = Inventory {
        version: 1,
        supervisor: 2,
        generation: 1,
        last_words: String::new(),
        state: false,
        poisoned: false,
        purpose: Purpose::Work,
        returned: None,
        nofile: (1024, 4096),
        highest_worker: 0,
        cgroups: Vec::new(),
        wishes: None,
        above: Some(Above { watchdog_us: 30_000_000 }),
        inherited: vec![Inherited { number: 3, name: "web".into(), stored: true, address }],
    };
    let records =
        [ToManager::Inventory(inventory), ToManager::Said { level: "warn".into(), text: "manager 7 ended".into() }];
    let numbered: Vec<Numbered> = (1..).zip(records).map(|(n, record)| Numbered { n, record }).collect();
    let lines: Vec<Vec<u8>> = numbered.iter().map(|record| record.encode().expect("encode")).collect();
    let second = golden("inherited-to-manager", &lines.join(&b'\n'));
    let read: Vec<Numbered> =
        second.split(|byte| *byte == b'\n').map(|line| Numbered::decode(line).expect("decode")).collect();
    assert_eq!(read, numbered);
}
