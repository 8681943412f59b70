//! One request, as the access log will have it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use evercrew_core::access::{Field, Format, Part};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue, REFERER, USER_AGENT};
use hyper::{Method, Request, Uri, Version};

use super::super::host::Host;
use super::super::request_id;

/// A line is never longer: what a client sent is cut.
const LONGEST_VALUE: usize = 2048;

/// What is kept of a request until its answer has ended; then it is written.
#[derive(Debug)]
pub(crate) struct Entry {
    host: Arc<Host>,
    client: Option<SocketAddr>,
    method: Method,
    target: Uri,
    version: Version,
    headers: [Option<HeaderValue>; 4],
    begun: Instant,
    status: u16,
    bytes: u64,
}

impl Entry {
    pub(crate) fn new(host: &Arc<Host>, client: Option<SocketAddr>, request: &Request<Incoming>) -> Self {
        let header = |name: HeaderName| request.headers().get(name).cloned();
        Self {
            host: Arc::clone(host),
            client,
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            headers: [header(HOST), header(REFERER), header(USER_AGENT), header(request_id::NAME)],
            begun: Instant::now(),
            status: 0,
            bytes: 0,
        }
    }

    pub(crate) fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn value(&self, field: Field) -> String {
        let header = |index: usize| match &self.headers[index] {
            Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            None => "-".to_owned(),
        };
        match field {
            Field::Time => time(),
            Field::Client => {
                self.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_canonical().to_string())
            }
            Field::Method => self.method.to_string(),
            Field::Target => self.target.to_string(),
            Field::Version => format!("{:?}", self.version),
            Field::Status => self.status.to_string(),
            Field::Bytes => self.bytes.to_string(),
            Field::Millis => format!("{:.3}", self.begun.elapsed().as_secs_f64() * 1000.0),
            Field::Host => header(0),
            Field::Referer => header(1),
            Field::UserAgent => header(2),
            Field::RequestId => header(3),
            Field::Worker => self.host.worker.clone(),
        }
    }

    fn line(&self, format: &Format) -> String {
        let mut line = String::with_capacity(256);
        match format {
            Format::Off => {}
            Format::Json => {
                for (index, field) in Field::ALL.iter().enumerate() {
                    let begin = if index == 0 { '{' } else { ',' };
                    let _ = write!(line, "{begin}\"{}\":", field.name());
                    let value = self.value(*field);
                    if field.is_number() {
                        line.push_str(&value);
                    } else {
                        line.push('"');
                        escape(&value, &mut line, |code| format!("\\u{code:04x}"));
                        line.push('"');
                    }
                }
                line.push('}');
            }
            Format::Template(parts) => {
                for part in parts {
                    match part {
                        Part::Text(text) => line.push_str(text),
                        Part::Field(field) => {
                            escape(&self.value(*field), &mut line, |code| format!("\\x{code:02x}"));
                        }
                    }
                }
            }
        }
        line.push('\n');
        line
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(log) = &self.host.log {
            log.write(&self.line(&self.host.options.access_log));
        }
    }
}

/// Appends a value that a client chose: nothing in it can end the line or a quoted part of it.
fn escape(value: &str, line: &mut String, code: impl Fn(u32) -> String) {
    for character in value.chars().take(LONGEST_VALUE) {
        match character {
            '"' | '\\' => {
                line.push('\\');
                line.push(character);
            }
            control if control.is_control() => line.push_str(&code(control.into())),
            other => line.push(other),
        }
    }
}

/// The present moment, to the millisecond.
fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = httpdate::HttpDate::from(UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())).to_string();
    iso(&date, since.subsec_millis()).unwrap_or(date)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `1994-11-06T08:49:37.000Z`.
fn iso(date: &str, millis: u32) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split(' ').skip(1);
    let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Some(format!("{year}-{month:02}-{day}T{clock}.{millis:03}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_end_a_line_or_a_quotation() {
        let mut line = String::new();
        escape("a\"b\\c\n\u{1}\u{85}é", &mut line, |code| format!("\\x{code:02x}"));
        assert_eq!(line, "a\\\"b\\\\c\\x0a\\x01\\x85é");
    }

    #[test]
    fn the_moment_is_written_in_order_of_size() {
        assert_eq!(iso("Sun, 06 Nov 1994 08:49:37 GMT", 7).as_deref(), Some("1994-11-06T08:49:37.007Z"));
        assert_eq!(time().len(), "1994-11-06T08:49:37.007Z".len());
    }
}
