//! What the records are together.

use super::sum;

/// How many records there are, and which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    /// How many.
    pub(super) records: u64,
    /// The sum of their numbers, each scattered: a record more or less shows in it.
    presence: u64,
    /// The highest number that was ever given.
    pub(super) highest: u64,
}

/// Bytes of it in the file.
const LENGTH: usize = 24;

impl Total {
    /// Counts a record in.
    pub(super) fn add(&mut self, number: u64) {
        self.records = self.records.wrapping_add(1);
        self.presence = self.presence.wrapping_add(scattered(number));
        self.highest = self.highest.max(number);
    }

    /// Counts a record out.
    pub(super) fn remove(&mut self, number: u64) {
        self.records = self.records.wrapping_sub(1);
        self.presence = self.presence.wrapping_sub(scattered(number));
    }

    /// No records, and the highest number still given.
    pub(super) fn clear(&mut self) {
        *self = Self { highest: self.highest, ..Self::default() };
    }

    /// Whether both mean the same records.
    pub(super) fn agrees(&self, found: &Self) -> bool {
        (self.records, self.presence) == (found.records, found.presence) && self.highest >= found.highest
    }

    /// Its bytes, and their checksum.
    pub(super) fn encode(&self) -> ([u8; LENGTH], u32) {
        let mut body = [0; LENGTH];
        for (place, value) in body.chunks_exact_mut(8).zip([self.records, self.presence, self.highest]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        (body, sum::of(b"total", &body))
    }

    /// `None` when the bytes are not what was written.
    pub(super) fn decode(body: &[u8], sum: u32) -> Option<Self> {
        if body.len() != LENGTH || sum::of(b"total", body) != sum {
            return None;
        }
        let mut values = body.chunks_exact(8).map(|eight| eight.try_into().map_or(0, u64::from_le_bytes));
        Some(Self { records: values.next()?, presence: values.next()?, highest: values.next()? })
    }
}

/// The finalizer of SplitMix64: neighbours have nothing in common.
fn scattered(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_a_further_and_another_record_are_noticed() {
        let of = |numbers: &[u64]| {
            let mut total = Total::default();
            numbers.iter().for_each(|number| total.add(*number));
            total
        };
        let mut kept = of(&[1, 2, 3, 4, 9]);
        kept.remove(9);
        assert!(kept.agrees(&of(&[4, 3, 2, 1])));
        assert_eq!(kept.highest, 9);
        for wrong in [&[1, 2, 3][..], &[1, 2, 3, 4, 5], &[1, 2, 3, 5], &[2, 2, 2, 4]] {
            assert!(!kept.agrees(&of(wrong)), "{wrong:?}");
        }
        assert!(!of(&[1]).agrees(&Total { records: 1, presence: scattered(1), highest: 2 }));
    }

    #[test]
    fn it_is_read_as_it_was_written_and_not_with_a_bit_turned() {
        let mut total = Total::default();
        total.add(7);
        let (body, sum) = total.encode();
        assert_eq!(Total::decode(&body, sum), Some(total));
        for bit in 0..LENGTH * 8 {
            let mut turned = body;
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Total::decode(&turned, sum), None);
        }
        assert_eq!(Total::decode(&body[1..], sum), None);
    }
}
