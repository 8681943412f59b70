//! The JSON schema of the file, for editors, written from the table of keys.

use evercrew_core::Signal;
use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use crate::host::Host;
use crate::json;
use crate::key::{Absent, Key, Section, Shape};
use crate::keys::{FILE, READY, SERVICE};
use crate::raw::Value;

/// The JSON schema (draft 2020-12) of a configuration file, as text.
///
/// It knows keys, kinds and bounds, not what must hold between keys: a file that it accepts may still be refused.
pub fn schema() -> String {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("evercrew.toml"));
    schema.extend(section(&FILE));
    format!("{:#}\n", Json::Object(schema))
}

fn section(section: &'static Section) -> Map<String, Json> {
    let supported = || section.keys.iter().filter(|key| key.is_supported());
    let properties: Map<String, Json> = supported().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        supported().filter(|key| matches!(key.default, Absent::Otherwise("required"))).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(section.doc));
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if std::ptr::eq(section, &SERVICE) {
        schema.insert("oneOf".to_owned(), json!([{"required": ["command"]}, {"required": ["builtin"]}]));
    }
    if std::ptr::eq(section, &READY) {
        schema.insert("minProperties".to_owned(), json!(1));
        schema.insert("maxProperties".to_owned(), json!(1));
    }
    schema
}

fn property(key: &'static Key) -> Json {
    let mut property = shape(&key.shape);
    let Some(known) = property.as_object_mut() else { return property };
    let mut description = key.doc.to_owned();
    match key.default {
        Absent::Means(default) => {
            if let Ok(parsed) = DeValue::parse(default) {
                known.insert("default".to_owned(), json::of(&Value::from_toml(0, &parsed)));
            }
        }
        Absent::Otherwise("" | "required") => {}
        Absent::Otherwise(otherwise) => description.push_str(&format!(" (without it: {otherwise})")),
    }
    known.insert("description".to_owned(), json!(description));
    property
}

fn shape(shape: &'static Shape) -> Json {
    match shape {
        Shape::Path | Shape::Address | Shape::Account => json!({"type": "string", "minLength": 1}),
        Shape::Text => json!({"type": "string"}),
        Shape::Store => pattern("^(sqlite:.+|memory)$"),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Off => json!({"const": false}),
        Shape::On => json!({"const": true}),
        Shape::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Signed { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Shape::Cpus => json!({"type": "number", "minimum": 0.01, "maximum": 4096}),
        Shape::Size => pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)$"),
        Shape::Duration { forever: false, .. } => pattern("^[0-9]+(ms|s|m|h|d)$"),
        Shape::Duration { forever: true, .. } => pattern("^([0-9]+(ms|s|m|h|d)|forever)$"),
        Shape::Mask => pattern("^0*[0-7]{1,3}$"),
        Shape::UrlPath => pattern("^/"),
        Shape::Pattern => json!({"type": "string", "minLength": 1, "format": "regex"}),
        Shape::Signal => signal(),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::Builtin => json!({"enum": Host::own().names()}),
        Shape::Argv => argv(),
        Shape::Argvs => json!({"type": "array", "items": argv()}),
        Shape::Globs => json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
        Shape::Names(_) => json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        Shape::ExitCodes => {
            json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}})
        }
        Shape::Variables => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Shape::Amount { bytes } => json!({"anyOf": amounts(*bytes)}),
        Shape::Limit { bytes, pair } => {
            let mut ways = amounts(*bytes);
            ways.push(Json::Object(section(pair)));
            json!({"anyOf": ways})
        }
        Shape::Table(keys) => Json::Object(section(keys)),
        Shape::Tables(keys) => json!({"type": "array", "items": section(keys), "minItems": 1}),
        Shape::Named(keys) => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9_][a-z0-9_-]{0,63}$"},
            "additionalProperties": section(keys),
        }),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()}),
        Shape::Later => json!(false),
    }
}

fn pattern(pattern: &str) -> Json {
    json!({"type": "string", "pattern": pattern})
}

fn argv() -> Json {
    json!({"type": "array", "items": {"type": "string"}, "minItems": 1})
}

/// The names are for completion; `SIGTERM` and `term` are read too.
fn signal() -> Json {
    let names: Vec<&str> = Signal::ALL.iter().map(|signal| signal.name()).collect();
    json!({"anyOf": [{"enum": names}, pattern("^([Ss][Ii][Gg])?[A-Za-z0-9]+$")]})
}

fn amounts(bytes: bool) -> Vec<Json> {
    let mut ways = vec![json!({"type": "integer", "minimum": 0}), json!({"const": "unlimited"})];
    if bytes {
        ways.push(pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)$"));
    }
    ways
}
