//! The head of an answer, read strictly: what a lenient client would forgive is a finding here.

/// Longest head that is read.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body, whatever the headers say.
    Nothing,
    Length(usize),
    Chunked,
    /// Up to the end of the connection.
    UntilEnd,
}

/// A whole head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// The server says that it closes afterwards.
    pub(crate) close: bool,
    /// Bytes of the head, its empty line included.
    pub(crate) length: usize,
}

/// Reads the head at the start of `bytes`; `None` when it has not come entirely.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse(bytes: &[u8], to_head_request: bool) -> Result<Option<Head>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        check_begin(bytes)?;
        return if bytes.len() > HEAD_LIMIT { Err("a head of more than 64 KiB".to_owned()) } else { Ok(None) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no UTF-8".to_owned())?;
    let mut lines = text.split("\r\n");
    let (version, status) = status_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    let close = match tokens(&fields, "connection") {
        tokens if tokens.iter().any(|token| token == "close") => true,
        tokens if tokens.iter().any(|token| token == "keep-alive") => false,
        _ => version == 0,
    };
    let framing = if to_head_request || (100..200).contains(&status) || status == 204 || status == 304 {
        Framing::Nothing
    } else {
        framing(&fields)?
    };
    Ok(Some(Head { status, framing, close: close || framing == Framing::UntilEnd, length: end + 4 }))
}

/// Finds out early that a server speaks something else, instead of waiting for the end of a head.
fn check_begin(bytes: &[u8]) -> Result<(), String> {
    let begin = b"HTTP/1.";
    let common = bytes.len().min(begin.len());
    if bytes[..common] == begin[..common] { Ok(()) } else { Err("an answer that is no HTTP/1".to_owned()) }
}

/// The minor version and the status.
fn status_line(line: &str) -> Result<(u8, u16), String> {
    let malformed = || format!("the status line {line:?}");
    let rest = line.strip_prefix("HTTP/1.").ok_or_else(malformed)?;
    let (version, rest) = rest.split_at_checked(1).ok_or_else(malformed)?;
    let version = match version {
        "0" => 0,
        "1" => 1,
        _ => return Err(malformed()),
    };
    let (status, reason) = rest.strip_prefix(' ').and_then(|rest| rest.split_at_checked(3)).ok_or_else(malformed)?;
    let digits = status.bytes().all(|byte| byte.is_ascii_digit()) && !status.starts_with('0');
    if !digits || !(reason.is_empty() || reason.starts_with(' ')) || reason.contains(['\r', '\n']) {
        return Err(malformed());
    }
    Ok((version, status.parse().map_err(|_| malformed())?))
}

/// A header's name in lower case and its value.
fn field(line: &str) -> Result<(String, &str), String> {
    let malformed = || format!("the header line {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(malformed)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
        return Err(malformed());
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

/// The elements of a header that is a list, in lower case.
fn tokens(fields: &[(String, &str)], name: &str) -> Vec<String> {
    let values = fields.iter().filter(|(field, _)| field == name);
    values.flat_map(|(_, value)| value.split(',')).map(|token| token.trim().to_ascii_lowercase()).collect()
}

fn framing(fields: &[(String, &str)]) -> Result<Framing, String> {
    let codings = tokens(fields, "transfer-encoding");
    let mut lengths = tokens(fields, "content-length");
    lengths.dedup();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Framing::UntilEnd),
        ([coding], []) if coding == "chunked" => Ok(Framing::Chunked),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| format!("the content-length {length}"))
        }
        _ => Err(format!("the framing transfer-encoding {codings:?} with content-length {lengths:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        parse(text.as_bytes(), false).expect(text).expect("a whole head")
    }

    #[test]
    fn framing_and_close_are_read() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let length = text.len() - 5;
        assert_eq!(head(text), Head { status: 200, framing: Framing::Length(5), close: false, length });
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n").close);
        assert!(head("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").close);
        assert!(!head("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n").close);
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").framing, Framing::Chunked);
        assert_eq!(head("HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n").framing, Framing::Nothing);
        let open = head("HTTP/1.1 200\r\n\r\n");
        assert_eq!((open.framing, open.close), (Framing::UntilEnd, true));
        assert_eq!(parse(text.as_bytes(), true).expect(text).expect("whole").framing, Framing::Nothing);
    }

    #[test]
    fn a_part_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..length], false), Ok(None), "{length}");
        }
    }

    #[test]
    fn what_a_lenient_client_forgives_is_an_error() {
        for text in [
            "SSH-2.0",
            "HTTP/2",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes(), false).is_err(), "{text:?}");
        }
        assert!(parse(&[b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'a'; HEAD_LIMIT]].concat(), false).is_err());
    }
}
