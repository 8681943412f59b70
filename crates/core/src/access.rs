//! How a request is written down.

use std::fmt;
use std::str::FromStr;

/// How requests are written to the access log.
///
/// ```
/// use evercrew_core::access::Format;
///
/// assert_eq!("off".parse(), Ok(Format::Off));
/// assert!("{client} {method} {target} {status} {ms}".parse::<Format>().is_ok());
/// assert!("{nothing}".parse::<Format>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    #[default]
    Off,
    /// A JSON object a line, with every field.
    Json,
    /// Text and fields in turn.
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What the request has for it.
    Field(Field),
}

macro_rules! fields {
    ($($(#[doc = $text:literal])+ $variant:ident $name:literal,)+) => {
        /// What can be told of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[doc = $text])+ $variant,)+ }

        impl Field {
            /// Every field, in the order of a JSON line.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it stands between braces, and in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

fields! {
    /// The moment of the answer's end, in UTC.
    Time "time",
    /// The client's address; `-` on a unix socket.
    Client "client",
    /// `GET`.
    Method "method",
    /// The target as it was sent.
    Target "target",
    /// `HTTP/1.1`.
    Version "version",
    /// The status of the answer.
    Status "status",
    /// Bytes of the answer's body.
    Bytes "bytes",
    /// From the head of the request to the end of the answer, in milliseconds.
    Millis "ms",
    /// The header Host.
    Host "host",
    /// The header Referer.
    Referer "referer",
    /// The header User-Agent.
    UserAgent "user_agent",
    /// The identity of the request.
    RequestId "request_id",
    /// The worker's name.
    Worker "worker",
}

impl Field {
    /// Whether its JSON is a number.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Status | Self::Bytes | Self::Millis)
    }
}

/// The format that most programs that read access logs know.
const COMBINED: &str =
    "{client} - - [{time}] \"{method} {target} {version}\" {status} {bytes} \"{referer}\" \"{user_agent}\"";

impl FromStr for Format {
    type Err = FormatError;

    /// `off`, `json`, `combined`, or text with fields in braces.
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "off" | "" => return Ok(Self::Off),
            "json" => return Ok(Self::Json),
            "combined" => return COMBINED.parse(),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some((name, behind)) = after.split_once('}') else { return Err(FormatError::Open(after.to_owned())) };
            let field = Field::ALL.iter().find(|field| field.name() == name);
            parts.push(Part::Field(*field.ok_or_else(|| FormatError::Unknown(name.to_owned()))?));
            rest = behind;
        }
        if parts.is_empty() {
            return Err(FormatError::Constant(text.to_owned()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self::Template(parts))
    }
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// A brace is not closed.
    Open(String),
    /// No field has this name.
    Unknown(String),
    /// It would write the same line for every request.
    Constant(String),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(text) => write!(f, "the brace before \"{text}\" is not closed"),
            Self::Unknown(name) => {
                let known: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
                write!(f, "there is no field {{{name}}}; there are {}", known.join(", "))
            }
            Self::Constant(text) => {
                write!(f, "\"{text}\" has no field: use off, json, combined, or a text with fields such as {{status}}")
            }
        }
    }
}

impl std::error::Error for FormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_and_what_is_none_is_told() {
        assert_eq!("json".parse(), Ok(Format::Json));
        let parts = vec![Part::Text("a ".to_owned()), Part::Field(Field::Status), Part::Text(" b".to_owned())];
        assert_eq!("a {status} b".parse(), Ok(Format::Template(parts)));
        assert!(matches!("combined".parse(), Ok(Format::Template(_))));
        assert_eq!("{status".parse::<Format>(), Err(FormatError::Open("status".to_owned())));
        assert_eq!("{stat}".parse::<Format>(), Err(FormatError::Unknown("stat".to_owned())));
        assert_eq!("on".parse::<Format>(), Err(FormatError::Constant("on".to_owned())));
        assert!(FormatError::Unknown("x".to_owned()).to_string().contains("user_agent"));
    }
}
