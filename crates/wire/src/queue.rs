//! What the engine tells the process of its queue server.

use serde::{Deserialize, Serialize};

use crate::{Error, Text};

/// What `[queue]` comes to. It is handed over in a variable of the process's environment, which nobody else reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The path of the store; none keeps jobs in memory.
    #[serde(default)]
    pub store: Option<Text>,
    /// Whether commits are acknowledged before the disk has them.
    #[serde(default)]
    pub relaxed: bool,
    /// The password, or a path that begins with `/` of a file with it.
    #[serde(default)]
    pub password: Option<String>,
    /// Whether strangers may come in.
    #[serde(default)]
    pub insecure: bool,
    /// Bytes of waiting jobs in memory.
    pub memory: u64,
    /// Bytes of unfinished commands and unsent answers.
    #[serde(default = "Settings::buffers")]
    pub buffers: u64,
    /// Clients at once.
    pub connections: u32,
    /// How long a job that is done can be shown.
    pub keep_done_ms: u64,
    /// How long a dead job is kept.
    pub keep_dead_ms: u64,
}

impl Settings {
    /// The variable.
    pub const VARIABLE: &str = "EVERCREW_QUEUE";

    /// What the first version had no bound for.
    const fn buffers() -> u64 {
        64 << 20
    }

    /// As a value of the variable.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From a value of the variable.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::new("the settings of the queue server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings of the first version, byte for byte.
    #[test]
    fn the_first_form_is_still_read() {
        let golden = r#"{"store":"/srv/jobs.db","relaxed":true,"password":"p","insecure":false,"memory":1,"connections":2,"keep_done_ms":3,"keep_dead_ms":4}"#;
        let settings = Settings {
            store: Some(Text::from("/srv/jobs.db")),
            relaxed: true,
            password: Some("p".to_owned()),
            insecure: false,
            memory: 1,
            buffers: 64 << 20,
            connections: 2,
            keep_done_ms: 3,
            keep_dead_ms: 4,
        };
        let added = golden.replace(r#""connections""#, r#""buffers":67108864,"connections""#);
        assert_eq!((settings.encode(), Settings::decode(golden).ok()), (added, Some(settings)));
        assert!(Settings::decode("").is_err());
    }
}
