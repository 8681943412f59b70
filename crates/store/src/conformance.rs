//! What every store does, as a suite that each of them passes.
//!
//! A store that lasts is opened again between steps, also without having been closed; one that does not is judged by
//! what it holds while it is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::row::Row;
use crate::store::{Recovered, Recovery, Store};

/// A kind of store, and how it is opened.
pub trait Kind {
    /// Opens the one store that is under test, at its first call an empty one.
    fn open(&mut self) -> Box<dyn Store>;
    /// Whether it outlives its process.
    fn lasts(&self) -> bool;
}

/// Everything a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    records: BTreeMap<u64, Vec<u8>>,
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    is_ascending: bool,
}

impl Recovery for Content {
    fn record(&mut self, number: u64, body: &[u8]) -> Result<(), Error> {
        self.is_ascending &= self.records.last_key_value().is_none_or(|(last, _)| *last < number);
        self.records.insert(number, body.to_vec());
        Ok(())
    }

    fn fact(&mut self, name: &[u8], body: &[u8]) -> Result<(), Error> {
        self.facts.insert(name.to_vec(), body.to_vec());
        Ok(())
    }
}

/// One store under test.
struct Trial<'a> {
    kind: &'a mut dyn Kind,
    store: Option<Box<dyn Store>>,
    /// What should be there: records with payloads, facts.
    records: BTreeMap<u64, (Vec<u8>, Vec<u8>)>,
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    highest: u64,
}

/// Runs the whole suite.
///
/// # Panics
/// Where the store does something else.
pub fn run(kind: &mut dyn Kind) {
    let store = Some(kind.open());
    let mut trial = Trial { kind, store, records: BTreeMap::new(), facts: BTreeMap::new(), highest: 0 };
    trial.judge("a new store is empty");
    trial.keeps_and_drops();
    trial.takes_the_same_again();
    trial.keeps_large_and_strange_bytes();
    trial.keeps_facts();
    trial.answers_readers_beside_commits();
    trial.survives_many_commits_and_upkeep();
    trial.is_cleared();
}

impl Trial<'_> {
    fn store(&mut self) -> &mut dyn Store {
        self.store.as_deref_mut().expect("an open store")
    }

    fn commit(&mut self, batches: &[Vec<Row>]) {
        for row in batches.iter().flatten() {
            match row {
                Row::Insert { number, record, payload } => {
                    self.highest = self.highest.max(*number);
                    self.records.insert(*number, (record.clone(), payload.to_vec()));
                }
                Row::Replace { number, record } => {
                    if let Some((kept, _)) = self.records.get_mut(number) {
                        kept.clone_from(record);
                    }
                }
                Row::Remove { number } => drop(self.records.remove(number)),
                Row::Fact { name, body: Some(body) } => drop(self.facts.insert(name.clone(), body.clone())),
                Row::Fact { name, body: None } => drop(self.facts.remove(name)),
                Row::Clear => self.records.clear(),
            }
        }
        self.store().commit(batches).expect("a commit");
    }

    /// Sees that exactly what should be there is: as it is open, opened again after a crash, and after an orderly end.
    fn judge(&mut self, what: &str) {
        self.look(what);
        if self.kind.lasts() {
            // No orderly end, as after a kill.
            self.store = None;
            self.store = Some(self.kind.open());
            self.look(what);
            self.store.take().expect("an open store").close().expect("close");
            self.store = Some(self.kind.open());
            self.look(what);
        }
    }

    fn look(&mut self, what: &str) {
        let mut content = Content { is_ascending: true, ..Content::default() };
        let found = self.store().recover(&mut content).expect(what);
        let expected: BTreeMap<u64, Vec<u8>> =
            self.records.iter().map(|(number, (record, _))| (*number, record.clone())).collect();
        assert!(content.is_ascending, "{what}: records come by ascending number");
        assert_eq!(content.records, expected, "{what}");
        assert_eq!(content.facts, self.facts, "{what}");
        assert_eq!((found.records, found.highest), (expected.len() as u64, self.highest), "{what}");
        assert_eq!(Recovered { cut: 0, ..found }, found, "{what}: nothing was cut");
        let mut reader = self.store().payloads().expect(what);
        for (number, (_, payload)) in &self.records {
            assert_eq!(reader.load(*number).expect(what).as_deref(), Some(&payload[..]), "{what}: payload {number}");
        }
        assert_eq!(reader.load(self.highest + 1).expect(what), None, "{what}");
    }

    fn keeps_and_drops(&mut self) {
        self.commit(&[(1..=20).map(insert).collect()]);
        self.judge("what was inserted is there");
        self.commit(&[vec![replace(3, "moved"), replace(7, "moved")], vec![replace(3, "moved on"), remove(5)]]);
        self.judge("the last change of a record counts, and batches keep their order");
        self.commit(&[vec![insert(21), replace(21, "at once"), remove(21)], vec![remove(20)]]);
        self.judge("what came and went in one commit is gone, its number with it");
        self.commit(&[]);
        self.commit(&[Vec::new()]);
        self.judge("an empty commit is one");
    }

    fn takes_the_same_again(&mut self) {
        let batch =
            vec![insert(30), insert(31), replace(30, "moved"), remove(31), replace(4711, "nobody"), remove(4712)];
        self.commit(std::slice::from_ref(&batch));
        self.judge("what is not there is neither replaced nor removed");
        self.commit(&[batch]);
        self.judge("a batch that comes again changes nothing");
    }

    fn keeps_large_and_strange_bytes(&mut self) {
        let large: Vec<u8> = (0..1 << 20).map(|byte: u32| (byte % 251) as u8).collect();
        let payloads = [large, Vec::new(), vec![0; 5000], "{\"args\":[\"\u{1F980}\u{0}\"]}".into(), vec![0xFF; 4096]];
        let rows = payloads.iter().zip(40..).map(|(payload, number)| Row::Insert {
            number,
            record: payload.iter().take(3000).rev().copied().collect(),
            payload: payload.as_slice().into(),
        });
        let rows = rows.collect();
        self.commit(&[rows]);
        self.judge("any bytes are kept, up to a mebibyte");
        self.commit(&[vec![Row::Insert {
            number: i64::MAX.cast_unsigned() - 1,
            record: vec![1],
            payload: Arc::from([]),
        }]]);
        self.judge("numbers are of any size");
    }

    fn keeps_facts(&mut self) {
        let fact = |name: &str, body: Option<&str>| Row::Fact { name: name.into(), body: body.map(Into::into) };
        self.commit(&[vec![fact("paused a", Some("yes")), fact("paused b", Some("")), fact("", Some("nameless"))]]);
        self.judge("facts are kept by name");
        self.commit(&[vec![fact("paused a", Some("no")), fact("paused b", None), fact("none", None)]]);
        self.judge("facts are replaced and end");
    }

    fn answers_readers_beside_commits(&mut self) {
        let mut reader = self.store().payloads().expect("a reader");
        for number in 100..120 {
            self.commit(&[vec![insert(number)]]);
            assert!(reader.load(number).expect("load").is_some(), "a reader sees what was committed");
            self.commit(&[vec![remove(number)]]);
            assert!(reader.load(number).expect("load").is_none(), "and not what was removed");
        }
        let other = std::thread::spawn(move || (1..1000).all(|_| reader.load(1).expect("load").is_some()));
        for number in 120..200 {
            self.commit(&[vec![insert(number)]]);
        }
        assert!(other.join().expect("the reader"), "readers are in nobody's way");
        self.judge("commits beside readers are whole");
    }

    fn survives_many_commits_and_upkeep(&mut self) {
        for number in 1000..3000 {
            self.commit(&[vec![insert(number), replace(number, "leased"), remove(number - 50)]]);
            self.store().tidy().expect("upkeep");
            if self.store().owes_sync() {
                self.store().sync().expect("sync");
                assert!(!self.store().owes_sync(), "a sync pays what is owed");
            }
        }
        self.judge("upkeep loses nothing");
    }

    fn is_cleared(&mut self) {
        self.commit(&[vec![insert(5000), Row::Clear, insert(5001)]]);
        self.judge("what comes after the end of everything stays, and facts do");
        self.commit(&[vec![Row::Clear]]);
        self.judge("nothing is left, and no number is given again");
    }
}

fn insert(number: u64) -> Row {
    let record = format!("record {number}").into_bytes();
    let payload = format!("{{\"jid\":\"{number:024}\",\"args\":[{number}]}}");
    Row::Insert { number, record, payload: payload.as_bytes().into() }
}

fn replace(number: u64, record: &str) -> Row {
    Row::Replace { number, record: record.into() }
}

fn remove(number: u64) -> Row {
    Row::Remove { number }
}
