//! Header fields that say where a request ends.

use super::super::refusal::Refusal;
use super::read::Framing;

/// Which bytes a name may have.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
            || matches!(byte as u8, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte as u8, b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Whether this is a name: of a method or a header.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |good, byte| good & TOKEN[usize::from(*byte)])
}

/// What has been seen of a head's fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    hosts: u32,
    length: Option<u64>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Fields {
    /// Takes in one line.
    ///
    /// # Errors
    /// What its sender is told.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = split(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if value.eq_ignore_ascii_case(b"100-continue") {
                    Ok(())
                } else {
                    Err(Refusal::Expectation)
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hosts += 1;
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(byte);
        if self.hosts > 1 || !value.iter().all(good) {
            return Err(Refusal::Malformed("more than one host, or none that could be one"));
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            self.says_close |= token.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Two of them are refused although they agree: a reader that takes the first and one that takes the last agree
    /// only as long as nobody changes one.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::Malformed("content-length stands twice"));
        }
        let is_number = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
        self.length = Some(length.ok_or(Refusal::Malformed("content-length is no number"))?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_chunked {
            return Err(Refusal::Malformed("transfer-encoding stands twice"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
            let is_framed = value.contains(&b',') && last.eq_ignore_ascii_case(b"chunked");
            let malformed = Refusal::Malformed("transfer-encoding does not end in chunked");
            return Err(if is_framed { Refusal::Coding } else { malformed });
        }
        self.is_chunked = true;
        Ok(())
    }

    /// At the end of the head: the framing, and whether the client sends nothing after this request.
    ///
    /// # Errors
    /// What its sender is told.
    pub(super) fn end(&self, is_1_0: bool) -> Result<(Framing, bool), Refusal> {
        if self.hosts == 0 && !is_1_0 {
            return Err(Refusal::Malformed("there is no host"));
        }
        let framing = match (self.is_chunked, self.length) {
            (true, Some(_)) => return Err(Refusal::Malformed("content-length and transfer-encoding together")),
            (true, None) if is_1_0 => return Err(Refusal::Malformed("HTTP/1.0 has no transfer-encoding")),
            (true, None) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        };
        Ok((framing, self.says_close || (is_1_0 && !self.says_keep_alive)))
    }
}

/// A line as name and value.
///
/// # Errors
/// What its sender is told.
pub(crate) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::Malformed("a header goes on in a second line"));
    }
    let colon = line.iter().position(|byte| !TOKEN[usize::from(*byte)]).unwrap_or(line.len());
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(Refusal::Malformed("a header has no name, or a name that is none"));
    }
    let value = &line[colon + 1..];
    let is_control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    if value.iter().fold(false, |bad, byte| bad | is_control(*byte)) {
        return Err(Refusal::Malformed("a header has a control character"));
    }
    Ok((&line[..colon], trim(value)))
}

/// Without the spaces and tabs around it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
