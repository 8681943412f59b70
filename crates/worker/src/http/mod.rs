//! HTTP/1.1: what a connection may send, how long it may take, and what is told about it.

pub(crate) mod access;
mod answer;
mod connection;
mod crowd;
mod gate;
mod head;
mod host;
mod io;
mod options;
mod portion;
mod refusal;
mod request_id;
mod shortage;
mod state;
mod statistics;
mod stream;

pub use access::{Field, Format, FormatError};
pub(crate) use connection::{serve, turn_away};
pub(crate) use host::Host;
pub use options::HttpOptions;
pub use refusal::Refusal;
pub(crate) use shortage::Spare;
pub use statistics::{Figures, Statistics};
pub(crate) use stream::{Family, Stream};
