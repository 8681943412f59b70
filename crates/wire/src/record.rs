//! What a store keeps of a job, as bytes.
//!
//! A form number, and then the fields in their order: numbers as LEB128, texts with their length before them. A later
//! form may add fields at the end; one that is not known is refused. The second form has earlier failures there, and is
//! written for a job that has some.

use std::sync::Arc;

use evercrew_core::jobs::{Attempt, Failure, JobNumber, LeaseNumber, Place, Record, Wall};

/// The form of a job that has failed once at most.
const FORM: u8 = 1;
/// The form of one that has failed before.
const WITH_EARLIER: u8 = 2;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRecord;

/// The bytes of a record. Its number is not among them: it is the key.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + record.jid.len() + record.kind.len() + record.queue.len());
    let earlier = record.failure.as_ref().map_or(&[][..], |failure| &failure.earlier);
    out.push(if earlier.is_empty() { FORM } else { WITH_EARLIER });
    text(&mut out, &record.jid);
    text(&mut out, &record.queue);
    text(&mut out, &record.kind);
    number(&mut out, record.reserve_for.into());
    number(&mut out, zigzag(record.retry));
    number(&mut out, record.backtrace.into());
    number(&mut out, record.deaths.into());
    number(&mut out, record.enqueued_at.0);
    match &record.place {
        Place::Enqueued => out.push(0),
        Place::Scheduled(at) => placed(&mut out, 1, *at),
        Place::Retry(at) => placed(&mut out, 2, *at),
        Place::Dead(since) => placed(&mut out, 3, *since),
        Place::Reserved { lease, wid, since } => {
            placed(&mut out, 4, *since);
            number(&mut out, lease.0);
            text(&mut out, wid);
        }
    }
    match &record.failure {
        None => out.push(0),
        Some(failure) => {
            out.push(1);
            number(&mut out, failure.count.into());
            number(&mut out, failure.at.0);
            number(&mut out, failure.next.map_or(0, |next| next.0.saturating_add(1)));
            text(&mut out, &failure.kind);
            text(&mut out, &failure.message);
            number(&mut out, failure.backtrace.len() as u64);
            failure.backtrace.iter().for_each(|line| text(&mut out, line));
        }
    }
    if !earlier.is_empty() {
        number(&mut out, earlier.len() as u64);
        for attempt in earlier {
            number(&mut out, attempt.at.0);
            text(&mut out, &attempt.kind);
            text(&mut out, &attempt.message);
        }
    }
    out
}

/// The record with this number.
///
/// # Errors
/// When the bytes are those of no form that is known.
pub fn decode(number: u64, bytes: &[u8]) -> Result<Record, NoRecord> {
    let mut rest = Rest(bytes);
    let has_earlier = match rest.byte()? {
        FORM => false,
        WITH_EARLIER => true,
        _ => return Err(NoRecord),
    };
    let (jid, queue, kind) = (rest.shared()?, rest.shared()?, rest.shared()?);
    let reserve_for = rest.small()?;
    let retry = unzigzag(rest.number()?)?;
    let (backtrace, deaths) = (rest.small()?, rest.small()?);
    let enqueued_at = Wall(rest.number()?);
    let place = match rest.byte()? {
        0 => Place::Enqueued,
        1 => Place::Scheduled(Wall(rest.number()?)),
        2 => Place::Retry(Wall(rest.number()?)),
        3 => Place::Dead(Wall(rest.number()?)),
        4 => {
            let since = Wall(rest.number()?);
            Place::Reserved { lease: LeaseNumber(rest.number()?), wid: rest.shared()?, since }
        }
        _ => return Err(NoRecord),
    };
    let failure = match rest.byte()? {
        0 => None,
        1 => Some(Box::new(rest.failure(has_earlier)?)),
        _ => return Err(NoRecord),
    };
    let number = JobNumber(number);
    Ok(Record { number, jid, queue, kind, place, reserve_for, retry, backtrace, deaths, enqueued_at, failure })
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn placed(out: &mut Vec<u8>, place: u8, at: Wall) {
    out.push(place);
    number(out, at.0);
}

fn zigzag(number: i32) -> u64 {
    let number = i64::from(number);
    ((number << 1) ^ (number >> 63)).unsigned_abs()
}

fn unzigzag(number: u64) -> Result<i32, NoRecord> {
    let half = i64::try_from(number >> 1).map_err(|_| NoRecord)?;
    i32::try_from(if number & 1 == 1 { -half - 1 } else { half }).map_err(|_| NoRecord)
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Result<u8, NoRecord> {
        let (byte, rest) = self.0.split_first().ok_or(NoRecord)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, NoRecord> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(NoRecord);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(NoRecord)
    }

    fn small(&mut self) -> Result<u32, NoRecord> {
        u32::try_from(self.number()?).map_err(|_| NoRecord)
    }

    fn text(&mut self) -> Result<&'a str, NoRecord> {
        let length = usize::try_from(self.number()?).map_err(|_| NoRecord)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(NoRecord)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| NoRecord)
    }

    fn shared(&mut self) -> Result<Arc<str>, NoRecord> {
        self.text().map(Arc::from)
    }

    fn failure(&mut self, has_earlier: bool) -> Result<Failure, NoRecord> {
        let count = self.small()?;
        let at = Wall(self.number()?);
        let next = self.number()?.checked_sub(1).map(Wall);
        let (kind, message) = (self.text()?.to_owned(), self.text()?.to_owned());
        let lines = self.number()?;
        let mut backtrace = Vec::new();
        for _ in 0..lines {
            backtrace.push(self.text()?.to_owned());
        }
        let mut earlier = Vec::new();
        for _ in 0..if has_earlier { self.number()? } else { 0 } {
            let at = Wall(self.number()?);
            earlier.push(Attempt { at, kind: self.text()?.to_owned(), message: self.text()?.to_owned() });
        }
        Ok(Failure { count, at, next, kind, message, backtrace, earlier })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(place: Place, retry: i32, failure: Option<Failure>) -> Record {
        Record {
            number: JobNumber(9),
            jid: "0123456789".into(),
            queue: "default".into(),
            kind: "Mäil".into(),
            place,
            reserve_for: 1800,
            retry,
            backtrace: 3,
            deaths: 1,
            enqueued_at: Wall(u64::MAX),
            failure: failure.map(Box::new),
        }
    }

    fn places() -> impl Strategy<Value = Place> {
        prop_oneof![
            Just(Place::Enqueued),
            any::<u64>().prop_map(|at| Place::Scheduled(Wall(at))),
            any::<u64>().prop_map(|at| Place::Retry(Wall(at))),
            any::<u64>().prop_map(|at| Place::Dead(Wall(at))),
            (any::<u64>(), any::<u64>(), "\\PC{0,9}").prop_map(|(lease, since, wid)| Place::Reserved {
                lease: LeaseNumber(lease),
                wid: wid.into(),
                since: Wall(since)
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(place in places(), retry in any::<i32>(), next in any::<Option<u32>>(), message in "\\PC{0,20}", lines in 0_usize..4, tries in 0_usize..3) {
            let attempt = |at| Attempt { at: Wall(at), kind: "E".to_owned(), message: message.clone() };
            let earlier = (0..tries as u64).map(attempt).collect();
            let next = next.map(|next| Wall(next.into()));
            let backtrace = vec![message.clone(); lines];
            let failure = Failure { count: 7, at: Wall(5), next, kind: "E".to_owned(), message, backtrace, earlier };
            for failure in [None, Some(failure)] {
                let record = record(place.clone(), retry, failure);
                let bytes = encode(&record);
                prop_assert_eq!(decode(9, &bytes), Ok(record));
                // No beginning of it is a record.
                prop_assert!((0..bytes.len()).all(|end| decode(9, &bytes[..end]).is_err()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(1, &bytes);
        }
    }

    /// A record of the first version, byte for byte.
    #[test]
    fn the_first_form_is_still_read() {
        let golden = b"\x01\x0a0123456789\x07default\x05M\xc3\xa4il\x88\x0e\x01\x03\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00";
        assert_eq!(encode(&record(Place::Enqueued, -1, None)), golden);
        assert_eq!(decode(9, golden), Ok(record(Place::Enqueued, -1, None)));
    }

    /// A record of the second form, byte for byte.
    #[test]
    fn the_second_form_is_still_read() {
        let golden = b"\x02\x0a0123456789\x07default\x05M\xc3\xa4il\x88\x0e\x32\x03\x01\x07\x03\x09\x01\x02\x08\x00\x01E\x01m\x00\x01\x05\x01F\x01n";
        let earlier = vec![Attempt { at: Wall(5), kind: "F".to_owned(), message: "n".to_owned() }];
        let (kind, message) = ("E".to_owned(), "m".to_owned());
        let failure = Failure { count: 2, at: Wall(8), kind, message, earlier, ..Failure::default() };
        let record = Record { enqueued_at: Wall(7), ..record(Place::Dead(Wall(9)), 25, Some(failure)) };
        assert_eq!(encode(&record), golden);
        assert_eq!(decode(9, golden), Ok(record));
    }
}
