//! The password challenge of one connection, and what a HELLO must be like.

use std::io;

use evercrew_wire::faktory::{Refusal, password, request::Hello};

use crate::config::Password;

/// Rounds are drawn from as many as this above the fewest.
const SPREAD: u32 = 4096;

/// A salt and a number of rounds that no other connection gets; empty and 0 without a password.
///
/// # Errors
/// When the kernel has no random bytes.
pub(crate) fn draw(password: Option<&Password>) -> io::Result<(String, u32)> {
    if password.is_none() {
        return Ok((String::new(), 0));
    }
    let mut bytes = [0; 10];
    fill(&mut bytes)?;
    let salt = bytes[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((salt, password::FEWEST_ROUNDS + u32::from(u16::from_ne_bytes([bytes[8], bytes[9]])) % SPREAD))
}

/// A random number.
///
/// # Errors
/// When the kernel has no random bytes.
pub(crate) fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

/// Whether a HELLO is that of somebody who may come in.
///
/// # Errors
/// Why not, in the words of the protocol.
pub(crate) fn check(password: Option<&Password>, salt: &str, rounds: u32, hello: &Hello<'_>) -> Result<(), Refusal> {
    let version = hello.v.unwrap_or(if password.is_some() { 0 } else { 2 });
    if version > 2 {
        return Err(Refusal::error(format!("protocol version {version} is not known here, 2 is")));
    }
    let Some(password) = password else { return Ok(()) };
    // Earlier versions prove themselves with a single round, which can be guessed quickly by whoever listens in.
    if version < 2 {
        return Err(Refusal::error("this server has a password and takes protocol version 2 only"));
    }
    let expected = password::answer(password.bytes(), salt, rounds);
    if password::same(&expected, hello.pwdhash.as_deref().unwrap_or_default()) {
        Ok(())
    } else {
        Err(Refusal::error("Invalid password"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_password_comes_in() {
        let secret = Password::new("foobar");
        let hello =
            |v: i64, pwdhash: &str| Hello { v: Some(v), pwdhash: Some(pwdhash.to_owned().into()), ..Hello::default() };
        let (salt, rounds) = draw(Some(&secret)).expect("random bytes");
        assert!((4000..8096).contains(&rounds) && salt.len() == 16);
        let right = password::answer(b"foobar", &salt, rounds);
        let check = |hello: &Hello<'_>| check(Some(&secret), &salt, rounds, hello).map_err(|refused| refused.line());
        assert_eq!(check(&hello(2, &right)), Ok(()));
        let wrong = Err("Invalid password".to_owned());
        assert_eq!(check(&hello(2, "")), wrong);
        assert_eq!(check(&Hello { v: Some(2), ..Hello::default() }), wrong);
        assert_eq!(check(&hello(2, &password::answer(b"foobaz", &salt, rounds))), wrong);
        assert_ne!(draw(Some(&secret)).expect("random bytes").0, salt);
    }

    /// Fault 20: a HELLO of a version before 2 needs one round of hashing only.
    #[test]
    fn versions_that_need_one_round_are_refused_when_there_is_a_password() {
        let secret = Password::new("foobar");
        for version in [None, Some(1), Some(0), Some(-1)] {
            let pwdhash = Some(password::answer(b"foobar", "ab", 1).into());
            let refused = check(Some(&secret), "ab", 1, &Hello { v: version, pwdhash, ..Hello::default() });
            assert!(refused.expect_err("refused").text.contains("version 2 only"));
        }
        assert_eq!(super::check(None, "", 0, &Hello { v: Some(1), ..Hello::default() }), Ok(()));
        assert!(super::check(None, "", 0, &Hello { v: Some(3), ..Hello::default() }).is_err());
    }
}
