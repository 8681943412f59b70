//! A file that cannot grow.

use super::rows::{Rows, directory, open};
use crate::error::{Error, ErrorKind};

#[test]
fn a_commit_without_room_leaves_nothing_and_the_next_one_with_room_works() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut database = open(&store).expect("new");
    Rows::some(1..10).write(&mut database).expect("write");
    for cycle in 0..20 {
        let expected = Rows::some(1..10 + cycle);
        database.limit_pages(Some(0));
        let error = Rows::some(100..400).write(&mut database).expect_err("no room");
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.passes() && error.to_string().contains("goes on once there is space"), "{error}");
        assert_eq!(Rows::read(&database).expect("read"), expected, "nothing of it is there");
        assert_eq!(database.records(), expected.records.len() as u64);
        database.limit_pages(None);
        Rows::some([10 + cycle]).write(&mut database).expect("room again");
        assert_eq!(database.highest(), 10 + cycle, "a number that was refused was not given");
        database.tidy().expect("upkeep");
    }
    drop(database);
    assert_eq!(Rows::read(&open(&store).expect("open")).expect("read"), Rows::some(1..30));
}

#[test]
fn half_a_commit_is_taken_back() {
    let directory = directory();
    let store = directory.path().join("jobs.db");
    let mut database = open(&store).expect("new");
    Rows::some(1..10).write(&mut database).expect("write");
    let half = database.transaction(|transaction| {
        transaction.put_record(10, b"half")?;
        transaction.remove_record(3)?;
        Err(Error::new(&store, ErrorKind::Full, "in the middle"))
    });
    assert_eq!(half.expect_err("half").kind(), ErrorKind::Full);
    assert_eq!(Rows::read(&database).expect("read"), Rows::some(1..10));
    Rows::some([10]).write(&mut database).expect("the next one");
    drop(database);
    assert_eq!(Rows::read(&open(&store).expect("open")).expect("read"), Rows::some(1..11));
}
