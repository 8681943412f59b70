//! The identity of a request: taken over from the client, or made.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderName, HeaderValue};

/// The header that has it, in requests and answers.
pub(crate) const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// Longest one that is taken over.
const LONGEST: usize = 128;

/// Makes identities that no other worker makes.
#[derive(Debug)]
pub(crate) struct Ids {
    process: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        let mut random = [0; 16];
        // Without the kernel's chance the pid and the time still tell workers apart.
        if rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty()).is_err() {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            random[..8].copy_from_slice(&(since.as_nanos() as u64 ^ u64::from(std::process::id())).to_le_bytes());
        }
        let (process, next) = random.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        Self { process: number(process), next: AtomicU64::new(number(next)) }
    }

    /// The client's identity where it has a good one, or a new one.
    pub(crate) fn of(&self, given: Option<&HeaderValue>) -> HeaderValue {
        if let Some(given) = given.filter(|given| is_good(given.as_bytes())) {
            return given.clone();
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}{next:016x}", self.process);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Short, and of characters that mean nothing to any log or shell.
fn is_good(text: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    (1..=LONGEST).contains(&text.len()) && text.iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_one_is_kept_and_others_are_replaced_by_new_ones() {
        let ids = Ids::new();
        let given = HeaderValue::from_static("a-1:b/c");
        assert_eq!(ids.of(Some(&given)), given);
        let long = HeaderValue::from_str(&"a".repeat(129)).expect("a header");
        let mut made: Vec<_> =
            ["", "a b", "\"", "$(x)"].map(|text| ids.of(Some(&HeaderValue::from_static(text)))).into();
        made.extend([ids.of(Some(&long)), ids.of(None), Ids::new().of(None)]);
        assert!(made.iter().all(|id| id.len() == 32 && is_good(id.as_bytes())), "{made:?}");
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 7);
    }
}
