//! Requests that no service sees, and what their senders are told.

/// Why a request is refused before any service sees it, or is given up in the middle of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// 400: what came is no HTTP/1.1 that two readers are sure to read alike.
    Malformed(&'static str),
    /// 408: the head did not arrive in time.
    HeadTime,
    /// 408: the body came too slowly.
    BodyRate,
    /// 413: the body is longer than allowed.
    BodySize,
    /// 414: the request line is longer than allowed.
    TargetSize,
    /// 417: an expectation that is not `100-continue`.
    Expectation,
    /// 431: the head is longer than allowed.
    HeadSize,
    /// 431: more header fields than allowed.
    HeaderCount,
    /// 501: a transfer coding other than `chunked`.
    Coding,
    /// 503: the client's address has as many connections as it may have.
    Address,
    /// 503: the process has no descriptor left for another connection.
    Shortage,
    /// 505: a version of HTTP that is not spoken here.
    Version,
}

impl Refusal {
    /// Every kind; `Malformed` stands for all its reasons.
    pub const ALL: [Self; 12] = [
        Self::Malformed(""),
        Self::HeadTime,
        Self::BodyRate,
        Self::BodySize,
        Self::TargetSize,
        Self::Expectation,
        Self::HeadSize,
        Self::HeaderCount,
        Self::Coding,
        Self::Address,
        Self::Shortage,
        Self::Version,
    ];

    /// Its place in [`Refusal::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Malformed(_) => 0,
            Self::HeadTime => 1,
            Self::BodyRate => 2,
            Self::BodySize => 3,
            Self::TargetSize => 4,
            Self::Expectation => 5,
            Self::HeadSize => 6,
            Self::HeaderCount => 7,
            Self::Coding => 8,
            Self::Address => 9,
            Self::Shortage => 10,
            Self::Version => 11,
        }
    }

    /// As it stands in statistics: `head_time`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::HeadTime => "head_time",
            Self::BodyRate => "body_rate",
            Self::BodySize => "body_size",
            Self::TargetSize => "target_size",
            Self::Expectation => "expectation",
            Self::HeadSize => "head_size",
            Self::HeaderCount => "header_count",
            Self::Coding => "coding",
            Self::Address => "address",
            Self::Shortage => "shortage",
            Self::Version => "version",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::HeadTime | Self::BodyRate => 408,
            Self::BodySize => 413,
            Self::TargetSize => 414,
            Self::Expectation => 417,
            Self::HeadSize | Self::HeaderCount => 431,
            Self::Coding => 501,
            Self::Address | Self::Shortage => 503,
            Self::Version => 505,
        }
    }

    const fn reason(self) -> &'static str {
        match self.status() {
            400 => "Bad Request",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            _ => "HTTP Version Not Supported",
        }
    }

    /// What the client is told, in a line.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::HeadTime => "the request did not arrive in time",
            Self::BodyRate => "the body came too slowly",
            Self::BodySize => "the body is too large",
            Self::TargetSize => "the request line is too long",
            Self::Expectation => "only 100-continue can be expected",
            Self::HeadSize => "the headers are too large",
            Self::HeaderCount => "there are too many headers",
            Self::Coding => "no transfer coding but chunked is known here",
            Self::Address => "too many connections from this address",
            Self::Shortage => "too many connections",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }

    /// The whole answer as bytes; `date` is the present moment as headers have it.
    pub(crate) fn answer(self, date: &str) -> Vec<u8> {
        let (status, reason, sentence) = (self.status(), self.reason(), self.sentence());
        let length = sentence.len() + 1;
        format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
             connection: close\r\ndate: {date}\r\n\r\n{sentence}\n"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_place_a_name_and_a_sentence_of_its_own() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal.index(), place);
            let same = Refusal::ALL.iter().filter(|other| other.name() == refusal.name()).count();
            assert_eq!(same, 1, "{refusal:?}");
            let answer = String::from_utf8(refusal.answer("now")).expect("text");
            assert!(answer.starts_with(&format!("HTTP/1.1 {} ", refusal.status())), "{answer}");
            assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
        }
    }
}
