//! Values as JSON, and JSON as TOML.

use serde_json::{Map, Value as Json};

use crate::convert::quoted;
use crate::raw::{Kind, Value};

/// The value as JSON; nothing in the configuration is a date.
pub(crate) fn of(value: &Value) -> Json {
    match &value.kind {
        Kind::Text(text) => Json::from(text.as_str()),
        Kind::Integer(number) => i64::try_from(*number).map_or(Json::Null, Json::from),
        Kind::Float(number) => Json::from(*number),
        Kind::Boolean(boolean) => Json::from(*boolean),
        Kind::Datetime => Json::Null,
        Kind::Array(items) => items.iter().map(of).collect(),
        Kind::Table(table) => {
            let entries = table.entries.iter().map(|entry| (entry.key.clone(), of(&entry.value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// The value as TOML, on one line. There is no null in TOML: it becomes an empty string.
pub(crate) fn to_toml(value: &Json) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Json::Null => quoted(""),
        Json::Bool(boolean) => boolean.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", joined(items.iter().map(to_toml).collect())),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{} = {}", key(name), to_toml(value)));
            format!("{{ {} }}", joined(entries.collect()))
        }
    }
}

/// The name as a key of TOML, with quotes where it needs them.
pub(crate) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}
