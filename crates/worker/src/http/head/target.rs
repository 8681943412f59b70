//! The request line.

use super::super::refusal::Refusal;
use super::fields::is_token;

/// Checks a request line; tells whether it says HTTP/1.0.
///
/// # Errors
/// What its sender is told.
pub(super) fn check(line: &[u8]) -> Result<bool, Refusal> {
    let malformed = Refusal::Malformed("the request line is not METHOD TARGET VERSION");
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    if !is_token(method) {
        return Err(malformed);
    }
    let is_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(Refusal::Version);
        }
        _ => return Err(malformed),
    };
    let is_known_form = match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ if method == b"CONNECT" => true,
        _ => is_absolute(target),
    };
    if !is_known_form || !target.iter().fold(true, |good, byte| good & matches!(byte, 0x21..=0x7e)) {
        return Err(Refusal::Malformed("the target is neither a path nor an address"));
    }
    Ok(is_1_0)
}

/// `http://host/path`, as it is sent to proxies, which a server has to understand too.
fn is_absolute(target: &[u8]) -> bool {
    let rest = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let host = rest(b"http://").or_else(|| rest(b"https://"));
    host.is_some_and(|host| host.first().is_some_and(|byte| !b"/?#".contains(byte)))
}
