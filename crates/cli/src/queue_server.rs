//! Which queue server a command asks, and what its answers mean for the exit code.

use std::time::Duration;

use clap::Args;
use evercrew_jobs::Address;
use evercrew_jobs::plain::{Client, ClientError};
use serde_json::Value;

use crate::arguments::Global;
use crate::failure::{Failure, code};

/// Longer than any question takes, except on a server that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which queue server is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The queue server, like `tcp://:password@localhost:7419`. Without it that of the table `queue` in the file, else
    /// that of FAKTORY_PROVIDER or FAKTORY_URL, else `tcp://localhost:7419`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// A queue server that answers.
pub(crate) struct Questions(Client);

impl Server {
    /// Connects.
    ///
    /// # Errors
    /// When it cannot be told where it is, or it does not answer.
    pub(crate) fn connect(&self, global: &Global) -> Result<Questions, Failure> {
        let address = self.address(global)?;
        Client::connect(&address, global.timeout.unwrap_or(PATIENCE)).map(Questions).map_err(failure)
    }

    fn address(&self, global: &Global) -> Result<Address, Failure> {
        if let Some(url) = &self.url {
            return Address::parse(url).map_err(|why| Failure::new(code::USAGE, format!("--url: {why}")));
        }
        if let Some(queue) = configured(global) {
            return reached(queue);
        }
        let found = Address::of_environment(|name| std::env::var(name).ok());
        let found = found.map_err(|why| Failure::new(code::CONFIGURATION, why))?;
        Ok(found.unwrap_or_else(|| Address { host: "localhost".to_owned(), port: 7419, password: None }))
    }
}

/// The server that the file starts; a file that cannot be read starts none.
pub(crate) fn configured(global: &Global) -> Option<evercrew_config::Queue> {
    let (config, set) = (&global.config, global.set.clone());
    let source = evercrew_config::Source::read(config, set, evercrew_config::environment(), global.directory.clone());
    source.ok()?.parse().ok()?.queue
}

/// Where it is asked from here.
fn reached(queue: evercrew_config::Queue) -> Result<Address, Failure> {
    // One that listens everywhere is found here, too.
    let host = match queue.listen.ip() {
        ip if !ip.is_unspecified() => ip.to_string(),
        std::net::IpAddr::V4(_) => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(_) => "::1".to_owned(),
    };
    let password = match queue.password {
        Some(path) if path.starts_with('/') => {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| Failure::new(code::CONFIGURATION, format!("{path}: {error}")))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        password => password,
    };
    Ok(Address { host, port: queue.listen.port(), password })
}

impl Questions {
    /// Asks `verb` with this JSON, and gives that of the answer.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub(crate) fn ask(&mut self, verb: &str, what: &Value) -> Result<Value, Failure> {
        self.0.ask_json(&format!("{verb} {what}")).map_err(failure)
    }

    /// Sends a line as it is, and gives the JSON of the answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn line(&mut self, line: &str) -> Result<Value, Failure> {
        self.0.ask_json(line).map_err(failure)
    }

    /// Sends a line and gives the text of the answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn text(&mut self, line: &str) -> Result<String, Failure> {
        self.0.ask_text(line).map_err(failure)
    }
}

fn failure(error: ClientError) -> Failure {
    let text = error.to_string();
    match error {
        ClientError::Unreachable(..) => Failure::unavailable(text)
            .hint("start one with a table [queue] in the configuration, or name another with `--url`"),
        ClientError::Late(_) => Failure::new(code::TIMEOUT, text),
        ClientError::Foreign(..) => Failure::unavailable(text).hint("name another with `--url`"),
        ClientError::Refused(word, _) if word == "UNKNOWN" => Failure::new(code::UNKNOWN, text),
        _ if text.contains("Invalid password") => {
            Failure::new(code::FORBIDDEN, text).hint("write it into the URL, or into `password` of [queue]")
        }
        ClientError::Refused(_, text) if text.starts_with("Unknown command") => {
            Failure::new(code::FAILURE, "this queue server does not know the command")
                .hint("it is one of `[queue]` only; another Faktory server has less")
        }
        _ => Failure::new(code::FAILURE, text),
    }
}
