//! Records and descriptors between two ends.

mod support;

use evercrew_sys::channel::{self, Channel, DESCRIPTOR_LIMIT, RECORD_LIMIT, Received};
use evercrew_sys::limits::{Limit, Resource};
use evercrew_sys::process::Status;
use evercrew_sys::{memfd, pipe};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

fn received(channel: &Channel) -> (Received, Vec<u8>, Vec<OwnedFd>) {
    // The end may come late: a child that another test is just starting has a copy of every descriptor until its exec.
    support::wait_readable(channel);
    let (mut record, mut descriptors) = (b"old".to_vec(), Vec::new());
    let received = channel.receive(&mut record, &mut descriptors).expect("receive");
    (received, record, descriptors)
}

fn flags(fd: impl AsFd) -> rustix::io::FdFlags {
    rustix::io::fcntl_getfd(fd).expect("flags")
}

#[test]
fn records_keep_their_bounds_and_the_end_is_told() {
    let (one, other) = channel::pair().expect("pair");
    let largest = vec![7; RECORD_LIMIT];
    one.send(b"first", &[]).expect("send");
    one.send(&largest, &[]).expect("send");
    drop(one);
    assert_eq!(received(&other).1, b"first");
    assert_eq!(received(&other).1, largest);
    assert_eq!(received(&other).0, Received::Closed);
    assert_eq!(other.send(b"x", &[]).expect_err("closed").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn what_is_too_much_is_refused_before_it_is_sent() {
    let (one, other) = channel::pair().expect("pair");
    let fd = memfd::sealed("x", b"x").expect("memfd");
    let many = vec![fd.as_fd(); DESCRIPTOR_LIMIT + 1];
    for (record, descriptors) in
        [(vec![], &many[..0]), (vec![0; RECORD_LIMIT + 1], &many[..0]), (b"x".to_vec(), &many[..])]
    {
        let error = one.send(&record, descriptors).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let error = other.receive(&mut Vec::new(), &mut Vec::new()).expect_err("nothing was sent");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_full_channel_does_not_block() {
    let (one, other) = channel::pair().expect("pair");
    let record = vec![1; RECORD_LIMIT];
    let mut sent = 0;
    let error = loop {
        match one.send(&record, &[]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1000, "it never fills");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    for _ in 0..sent {
        assert_eq!(received(&other).1.len(), RECORD_LIMIT);
    }
    one.send(&record, &[]).expect("there is room again");
}

#[test]
fn two_hundred_descriptors_arrive_in_order() {
    let (one, other) = channel::pair().expect("pair");
    let held: Vec<OwnedFd> =
        (0..DESCRIPTOR_LIMIT).map(|n| memfd::sealed("numbered", n.to_string().as_bytes()).expect("memfd")).collect();
    let borrowed: Vec<BorrowedFd<'_>> = held.iter().map(AsFd::as_fd).collect();
    one.send(b"all", &borrowed).expect("send");
    drop(held);
    let (_, record, descriptors) = received(&other);
    assert_eq!((record.as_slice(), descriptors.len()), (&b"all"[..], DESCRIPTOR_LIMIT));
    for (n, fd) in descriptors.iter().enumerate() {
        assert_eq!(memfd::read(fd, 8).expect("read"), n.to_string().as_bytes());
        assert!(flags(fd).contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn descriptors_of_the_record_before_are_not_kept() {
    let (one, other) = channel::pair().expect("pair");
    let fd = memfd::sealed("x", b"x").expect("memfd");
    one.send(b"a", &[fd.as_fd()]).expect("send");
    one.send(b"b", &[]).expect("send");
    let (mut record, mut descriptors) = (Vec::new(), Vec::new());
    other.receive(&mut record, &mut descriptors).expect("receive");
    assert_eq!(descriptors.len(), 1);
    other.receive(&mut record, &mut descriptors).expect("receive");
    assert_eq!((record.as_slice(), descriptors.len()), (&b"b"[..], 0));
}

#[test]
fn descriptors_that_do_not_fit_are_an_error_and_none_leaks() {
    const NAME: &str = "descriptors_that_do_not_fit_are_an_error_and_none_leaks";
    if support::role().is_none() {
        // Few descriptors for a process of its own.
        let mut plan = support::myself(NAME, "few");
        plan.limits.push(Limit { resource: Resource::OpenFiles, soft: 40, hard: 40 });
        let (status, text) = support::output(plan);
        assert_eq!(status, Status::Code(0), "{text}");
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").expect("fd").count();
    let (one, other) = channel::pair().expect("pair");
    let fd = memfd::sealed("x", b"x").expect("memfd");
    let before = open();
    one.send(b"too many", &vec![fd.as_fd(); 60]).expect("send");
    let (mut record, mut descriptors) = (Vec::new(), Vec::new());
    let error = other.receive(&mut record, &mut descriptors).expect_err("truncated");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(record.is_empty() && descriptors.is_empty());
    assert_eq!(open(), before);
    one.send(b"next", &[fd.as_fd()]).expect("send");
    let (_, record, descriptors) = received(&other);
    assert_eq!((record.as_slice(), descriptors.len()), (&b"next"[..], 1), "the channel goes on");
}

#[test]
fn a_record_longer_than_the_limit_is_an_error() {
    let (one, other) = channel::pair().expect("pair");
    let raw = OwnedFd::from(one);
    rustix::net::send(&raw, &vec![1; RECORD_LIMIT + 1], rustix::net::SendFlags::empty()).expect("send");
    let error = other.receive(&mut Vec::new(), &mut Vec::new()).expect_err("truncated");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn an_end_can_be_sent_over_another_channel() {
    let (one, other) = channel::pair().expect("pair");
    let (far, near) = channel::pair().expect("pair");
    one.send(b"end", &[far.as_fd()]).expect("send");
    drop(far);
    let far = Channel::from(received(&other).2.remove(0));
    far.send(b"hello", &[]).expect("send");
    assert_eq!(received(&near).1, b"hello");
    let copy = near.duplicate().expect("duplicate");
    drop(near);
    far.send(b"still", &[]).expect("send");
    assert_eq!(received(&copy).1, b"still");
}

#[test]
fn an_end_works_in_a_child() {
    let (one, other) = channel::pair().expect("pair");
    let (reader, writer) = pipe::pair().expect("pipe");
    // The shell reads the record as a file: for a socket of records that is one record.
    let mut plan = support::shell("head -c 5 <&5");
    plan.descriptors = vec![(other.into(), 5), (writer, 1)];
    one.send(b"hello", &[]).expect("send");
    let child = support::start(&plan);
    drop(plan);
    assert_eq!(support::read_all(reader), "hello");
    assert_eq!(support::finish(&child), Status::Code(0));
    assert_eq!(received(&one).0, Received::Closed);
}
