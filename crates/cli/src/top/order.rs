//! What an operator asks for by a key.

use std::fmt;

use serde_json::{Map, Value, json};

/// One thing that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Replace the workers of a service, or one worker.
    Restart(String),
    /// Start a service.
    Start(String),
    /// Stop a service.
    Stop(String),
    /// One worker more.
    More(String),
    /// One worker less.
    Fewer(String),
    /// Send a signal to a service or a worker.
    Signal {
        /// To whom.
        name: String,
        /// As it was typed; the engine says whether there is such a one.
        signal: String,
    },
}

impl Order {
    /// The verb of the command socket.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::More(_) | Self::Fewer(_) => "scale",
            Self::Signal { .. } => "signal",
        }
    }

    /// The verb's arguments.
    pub(crate) fn args(&self) -> Map<String, Value> {
        let name = match self {
            Self::Restart(name) | Self::Start(name) | Self::Stop(name) | Self::Signal { name, .. } => name.clone(),
            Self::More(name) => format!("{name}=+1"),
            Self::Fewer(name) => format!("{name}=-1"),
        };
        let mut args = Map::from_iter([("names".to_owned(), json!([name]))]);
        if let Self::Signal { signal, .. } = self {
            args.insert("signal".to_owned(), json!(signal));
        }
        args
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart(name) => write!(f, "restart {name}"),
            Self::Start(name) => write!(f, "start {name}"),
            Self::Stop(name) => write!(f, "stop {name}"),
            Self::More(name) => write!(f, "scale {name} up by one"),
            Self::Fewer(name) => write!(f, "scale {name} down by one"),
            Self::Signal { name, signal } => write!(f, "signal {name} {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_verb_with_the_names_that_the_command_line_sends() {
        let name = || "web".to_owned();
        for (order, verb, args) in [
            (Order::Restart("web.2".to_owned()), "restart", json!({"names": ["web.2"]})),
            (Order::Start(name()), "start", json!({"names": ["web"]})),
            (Order::Stop(name()), "stop", json!({"names": ["web"]})),
            (Order::More(name()), "scale", json!({"names": ["web=+1"]})),
            (Order::Fewer(name()), "scale", json!({"names": ["web=-1"]})),
            (
                Order::Signal { name: name(), signal: "USR1".to_owned() },
                "signal",
                json!({"names": ["web"], "signal": "USR1"}),
            ),
        ] {
            assert_eq!((order.verb(), Value::Object(order.args())), (verb, args), "{order}");
        }
    }
}
