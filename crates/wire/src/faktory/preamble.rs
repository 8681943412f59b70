//! Other protocols that come to the port of a queue server by mistake.

/// What somebody speaks whose first bytes are these, in the words of an answer to it; `None` while it may be this
/// protocol.
pub fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"PRI * HTTP"];
    if bytes.starts_with(b"\x16\x03") {
        Some("this is TLS: the queue server takes the Faktory protocol without it, as tcp:// and not tcp+tls://")
    } else if METHODS.iter().any(|method| bytes.starts_with(method)) {
        Some("this is HTTP: the queue server takes the Faktory protocol, from a client that begins with HELLO")
    } else if bytes.starts_with(b"*") {
        Some("this is the protocol of Redis: the queue server takes that of Faktory, which begins with HELLO")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_by_their_first_bytes() {
        let told = |bytes: &[u8]| foreign(bytes).map(|text| text.split_whitespace().nth(2).expect("a word"));
        assert_eq!(told(b"\x16\x03\x01\x02\x00\x01"), Some("TLS:"));
        assert_eq!(told(b"GET / HTTP/1.1"), Some("HTTP:"));
        assert_eq!(told(b"PRI * HTTP/2.0"), Some("HTTP:"));
        assert_eq!(told(b"*1\r\n"), Some("the"));
        for ours in [&b""[..], b"\x16", b"HELLO {}", b"GE", b"END", b"PUSH {}"] {
            assert_eq!(foreign(ours), None);
        }
    }
}
