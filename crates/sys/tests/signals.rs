//! Signals read from a descriptor, in a process with one thread: masks and dispositions belong to a whole process.

mod support;

use evercrew_sys::process::Status;
use evercrew_sys::spawn::{Group, Plan};
use evercrew_sys::{clock, terminal};
use std::fs::File;
use std::io::{Read, Write};
use support::{finish, start};

fn probe(part: &str) -> Plan {
    support::program(&[env!("CARGO_BIN_EXE_evercrew-sys-probe"), part])
}

#[test]
fn a_signal_is_read_with_its_sender() {
    assert_eq!(finish(&start(&probe("senders"))), Status::Code(0));
}

#[test]
fn a_broken_pipe_is_an_error_and_no_signal() {
    assert_eq!(finish(&start(&probe("broken-pipe"))), Status::Code(0));
}

#[test]
fn exit_statuses_are_kept_even_when_the_parent_ignored_them() {
    assert_eq!(finish(&start(&probe("ignored-children"))), Status::Code(0));
}

#[test]
fn defaults_are_restored() {
    assert_eq!(finish(&start(&probe("defaults"))), Status::Signal { number: 15, core_dumped: false });
}

#[test]
fn a_signal_of_the_terminal_is_known_as_such() {
    let Ok((master, slave)) = terminal::pseudo() else {
        println!("SKIP no pseudo terminals");
        return;
    };
    let mut master = File::from(master);
    let mut plan = probe("terminal");
    plan.group = Group::Session;
    plan.descriptors = vec![(slave.try_clone().expect("clone"), 0), (slave, 1)];
    let child = start(&plan);
    drop(plan);
    let mut said = [0; 7];
    master.read_exact(&mut said).expect("read");
    assert_eq!(&said, b"ready\r\n");
    master.write_all(b"\x03").expect("ctrl-c");
    assert_eq!(finish(&child), Status::Code(0));
}

#[test]
fn the_monotonic_clock_goes_forward() {
    let first = clock::mono();
    assert!(clock::mono() >= first);
    assert!(clock::wall() > std::time::UNIX_EPOCH);
}
