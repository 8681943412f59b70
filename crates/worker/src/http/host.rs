//! What all connections of a worker share.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use evercrew_core::patience::Terms;
use hyper::server::conn::http1;

use super::access::Log;
use super::crowd::Crowd;
use super::gate::Gate;
use super::head::Limits;
use super::options::HttpOptions;
use super::portion::Portion;
use super::request_id::Ids;
use super::statistics::Statistics;
use crate::drain::Drain;

/// The least buffer that the protocol takes.
const LEAST_BUFFER: usize = 64 * 1024;

/// What all connections of a worker share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) options: HttpOptions,
    pub(crate) worker: String,
    pub(crate) drain: Drain,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) crowd: Crowd,
    pub(crate) log: Option<Log>,
    pub(crate) ids: Option<Ids>,
    pub(crate) portion: Option<Portion>,
    pub(crate) protocol: http1::Builder,
}

impl Host {
    /// Sets up what `options` ask for; `most_requests` is the portion after which the worker asks to be replaced.
    ///
    /// # Errors
    /// When the access log's thread cannot be started, or standard output is closed.
    pub(crate) fn new(
        options: HttpOptions,
        worker: &str,
        drain: Drain,
        most_requests: Option<u64>,
    ) -> io::Result<Arc<Self>> {
        let statistics = Arc::new(Statistics::default());
        let log = match options.access_log {
            super::access::Format::Off => None,
            _ => Some(Log::start(io::stdout().as_fd().try_clone_to_owned()?, Arc::clone(&statistics))?),
        };
        let terms = Terms {
            head_time: options.head_time,
            idle: options.idle,
            body_rate: options.body_rate,
            body_grace: options.body_grace,
            write_stall: options.write_stall,
        };
        let mut protocol = http1::Builder::new();
        // The gate has stricter limits of its own; these only have to be large enough for what passes it.
        protocol.header_read_timeout(None).max_headers(options.header_count.max(1));
        protocol.max_buf_size(options.head_size.saturating_mul(2).max(LEAST_BUFFER));
        Ok(Arc::new(Self {
            crowd: Crowd::new(terms, options.per_address),
            ids: options.request_id.then(Ids::new),
            portion: most_requests.map(Portion::new),
            options,
            worker: worker.to_owned(),
            drain,
            statistics,
            log,
            protocol,
        }))
    }

    /// The gate of a new connection.
    pub(crate) fn gate(&self) -> Gate {
        let HttpOptions { head_size, target_size, header_count, body_size, .. } = self.options;
        Gate::new(Limits { size: head_size, target: target_size, count: header_count }, body_size)
    }
}
