//! EVERCREW_HTTP: what one of our own workers is told of its limits.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Limits and deadlines of HTTP, each with its default where it is missing. Times are milliseconds; 0 means no limit
/// where a limit can be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Bytes of request line and headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_size: Option<u64>,
    /// Bytes of the request line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_size: Option<u64>,
    /// Header fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_count: Option<u32>,
    /// Bytes of a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_size: Option<u64>,
    /// How long a head may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_time: Option<u64>,
    /// How long a connection may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// Bytes a second of a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_rate: Option<u64>,
    /// How long a body is waited for before the rate is asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_grace: Option<u64>,
    /// How long a client may take nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_stall: Option<u64>,
    /// Requests on one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Connections of a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Connections of a client address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_address: Option<u32>,
    /// Paths that say how the server is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_paths: Option<Vec<String>>,
    /// How requests are written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<String>,
    /// Whether requests have an identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<bool>,
}

impl Http {
    /// The value of EVERCREW_HTTP. Keys that it does not know are passed over: a newer engine may set them.
    ///
    /// # Errors
    /// When it is no object of these.
    pub fn decode(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::new("reading the limits of HTTP"))
    }

    /// As [`Http::decode`] reads it.
    ///
    /// # Errors
    /// None that can happen to plain numbers and text.
    pub fn encode(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::new("writing the limits of HTTP"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_unknown_is_passed_over() {
        let http = Http { idle: Some(5000), access_log: Some("json".to_owned()), ..Http::default() };
        let text = http.encode().expect("text");
        assert_eq!(text, "{\"idle\":5000,\"access_log\":\"json\"}");
        assert_eq!(Http::decode(&text).expect("the same"), http);
        assert_eq!(Http::decode("{\"later\":1}").expect("an object"), Http::default());
        assert!(Http::decode("{\"idle\":\"5s\"}").is_err());
    }
}
