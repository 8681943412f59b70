//! What a connection may take, and for how long.

use std::time::Duration;

use evercrew_wire::Http;

use super::access::{Format, FormatError};

/// Limits and deadlines of HTTP, and what is told about requests. The defaults are safe for a server that faces the
/// internet; over a limit the client is told by the status that is meant for it, and its connection is closed.
///
/// ```
/// use std::time::Duration;
/// use evercrew_worker::HttpOptions;
///
/// let options = HttpOptions { idle: Duration::from_secs(20), body_size: Some(1024 * 1024), ..HttpOptions::default() };
/// assert_eq!(options.head_size, 32 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Bytes of request line and headers together; over it 431. 32 KiB.
    pub head_size: usize,
    /// Bytes of the request line; over it 414. 8 KiB.
    pub target_size: usize,
    /// Header fields of one request; over it 431. 100.
    pub header_count: usize,
    /// Bytes of a request's body; over it 413, at once where the length is told beforehand. `None`: no limit. 64 MiB.
    pub body_size: Option<u64>,
    /// From the first byte of a head to its end; over it 408. 15 s.
    pub head_time: Duration,
    /// How long a connection may be silent between two requests, and before the first one. 75 s: longer than the 60 s
    /// after which common load balancers close theirs, so that it is never us who closes under a request.
    pub idle: Duration,
    /// Bytes a second that the body of a request must reach on average while it is waited for; under it 408.
    /// 0: no such limit. 240.
    pub body_rate: u64,
    /// How long a body is waited for before `body_rate` is asked of it. 5 s.
    pub body_grace: Duration,
    /// How long a client may take nothing of what is sent to it before its connection is reset. 30 s.
    pub write_stall: Duration,
    /// Requests on one connection; the answer to the last one says `Connection: close`. `None`: no limit. 1000.
    pub requests: Option<u64>,
    /// Connections of this worker at once. At the limit it takes none: they wait in the kernel's queue, where a
    /// sibling finds them. 10,000.
    pub connections: u32,
    /// Connections of one client address at once; over it 503. `None`, the default: no limit, since behind a proxy
    /// every client has the proxy's address.
    pub per_address: Option<u32>,
    /// Paths that say how the server is. They are in no access log, and recycling does not count them. `/healthz`.
    pub health_paths: Vec<String>,
    /// How requests are written to standard output. Off.
    pub access_log: Format,
    /// Whether each request has an identity in `x-request-id`: the client's where it has a good one, a new one
    /// otherwise. The service sees it in the request, the client in the answer. Off.
    pub request_id: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            head_size: 32 * 1024,
            target_size: 8 * 1024,
            header_count: 100,
            body_size: Some(64 * 1024 * 1024),
            head_time: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            body_rate: 240,
            body_grace: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            requests: Some(1000),
            connections: 10_000,
            per_address: None,
            health_paths: vec!["/healthz".to_owned()],
            access_log: Format::Off,
            request_id: false,
        }
    }
}

impl HttpOptions {
    /// These, with what the engine says in place of its own.
    ///
    /// # Errors
    /// When the format of the access log is none.
    pub(crate) fn with(mut self, told: Http) -> Result<Self, FormatError> {
        fn set<T, U>(option: &mut T, told: Option<U>, convert: impl Fn(U) -> T) {
            if let Some(told) = told {
                *option = convert(told);
            }
        }
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let above_zero = |bound| (bound > 0).then_some(bound);
        set(&mut self.head_size, told.head_size, size);
        set(&mut self.target_size, told.target_size, size);
        set(&mut self.header_count, told.header_count, |count| count as usize);
        set(&mut self.body_size, told.body_size, above_zero);
        set(&mut self.head_time, told.head_time, Duration::from_millis);
        set(&mut self.idle, told.idle, Duration::from_millis);
        set(&mut self.body_rate, told.body_rate, |rate| rate);
        set(&mut self.body_grace, told.body_grace, Duration::from_millis);
        set(&mut self.write_stall, told.write_stall, Duration::from_millis);
        set(&mut self.requests, told.requests, above_zero);
        set(&mut self.connections, told.connections, |count| count);
        set(&mut self.per_address, told.per_address, |count| (count > 0).then_some(count));
        set(&mut self.health_paths, told.health_paths, |paths| paths);
        set(&mut self.request_id, told.request_id, |is_on| is_on);
        if let Some(format) = told.access_log {
            self.access_log = format.parse()?;
        }
        Ok(self)
    }

    /// Whether a path says how the server is.
    pub(crate) fn is_health(&self, path: &str) -> bool {
        self.health_paths.iter().any(|health| health == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_takes_the_place_of_a_default() {
        let told = Http::decode(r#"{"idle":1000,"body_size":0,"per_address":0,"requests":7,"access_log":"{ms}"}"#);
        let options = HttpOptions::default().with(told.expect("an object")).expect("a format");
        assert_eq!((options.idle, options.body_size, options.requests), (Duration::from_secs(1), None, Some(7)));
        assert_eq!((options.per_address, options.head_size), (None, HttpOptions::default().head_size));
        assert_ne!(options.access_log, Format::Off);
        assert!(HttpOptions::default().with(Http { access_log: Some("{x}".to_owned()), ..Http::default() }).is_err());
    }
}
