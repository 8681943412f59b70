//! The schema accepts every good file and refuses what is wrong within one value.
//!
//! The validator here knows the words that the schema uses, and no other.

#[expect(dead_code, reason = "nothing is compared with a snapshot here")]
mod case;

use case::Case;
use evercrew_config::schema;
use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};

#[test]
fn every_good_file_is_accepted() {
    let schema: Json = serde_json::from_str(&schema()).expect("JSON");
    for case in Case::all("good") {
        let source = case.source();
        let texts = std::iter::once(&source.text).chain(source.files.iter().map(|(_, text)| text));
        // An environment file is no TOML.
        let documents = texts.filter_map(|text| Some(table(DeTable::parse(text).ok()?.get_ref())));
        for document in documents {
            assert_eq!(wrong(&schema, &document, "file"), None, "{}", case.name);
        }
    }
}

#[test]
fn what_is_wrong_in_one_value_is_refused() {
    let schema: Json = serde_json::from_str(&schema()).expect("JSON");
    let names = [
        "account",
        "backlog",
        "builtin-ready-exec",
        "command-as-string",
        "date",
        "durations",
        "env-file-not-text",
        "exit-codes",
        "include-as-string",
        "limits",
        "limits-by-cgroup",
        "listen-mode",
        "listener-without-address",
        "no-program",
        "not-supported-yet",
        "port",
        "ready-http",
        "restart",
        "signals",
        "sizes",
        "umask",
        "unknown-key",
        "unknown-nested-key",
        "workers-range",
        "workers-word",
    ];
    let cases = Case::all("bad");
    let mut accepted = Vec::new();
    for name in names {
        let case = cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no {name}"));
        let document = table(DeTable::parse(&case.source().text).expect("TOML").get_ref());
        if wrong(&schema, &document, "file").is_none() {
            accepted.push(name);
        }
    }
    // A builtin's own readiness is a rule between two keys.
    assert_eq!(accepted, ["builtin-ready-exec"]);
}

#[test]
fn every_word_of_the_schema_is_known_here() {
    fn walk(schema: &Json) {
        for (word, value) in schema.as_object().into_iter().flatten() {
            assert!(WORDS.contains(&word.as_str()), "{word}");
            match word.as_str() {
                "properties" => value.as_object().expect("a table").values().for_each(walk),
                "items" | "additionalProperties" | "propertyNames" => walk(value),
                "anyOf" | "oneOf" => value.as_array().expect("an array").iter().for_each(walk),
                _ => {}
            }
        }
    }
    walk(&serde_json::from_str(&schema()).expect("JSON"));
}

const WORDS: [&str; 23] = [
    "$schema",
    "title",
    "description",
    "default",
    "format",
    "type",
    "const",
    "enum",
    "pattern",
    "minLength",
    "minimum",
    "maximum",
    "items",
    "minItems",
    "uniqueItems",
    "properties",
    "additionalProperties",
    "propertyNames",
    "required",
    "minProperties",
    "maxProperties",
    "anyOf",
    "oneOf",
];

fn table(table: &DeTable<'_>) -> Json {
    let entries = table.iter().map(|(key, item)| (key.get_ref().to_string(), value(item.get_ref())));
    Json::Object(entries.collect::<Map<_, _>>())
}

fn value(item: &DeValue<'_>) -> Json {
    match item {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX)),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().expect("a float")),
        DeValue::Boolean(boolean) => json!(boolean),
        DeValue::Datetime(_) => Json::Null,
        DeValue::Array(items) => items.iter().map(|item| value(item.get_ref())).collect(),
        DeValue::Table(inner) => table(inner),
    }
}

/// Why the schema refuses the value.
fn wrong(schema: &Json, value: &Json, at: &str) -> Option<String> {
    let Some(words) = schema.as_object() else {
        return (schema == &json!(false)).then(|| format!("{at}: nothing is allowed"));
    };
    words
        .iter()
        .find_map(|(word, rule)| {
            let fits = match (word.as_str(), value) {
                ("type", _) => has_type(rule.as_str().expect("a type"), value),
                ("const", _) => rule == value,
                ("enum", _) => rule.as_array().expect("an array").contains(value),
                ("pattern", Json::String(text)) => {
                    regex_lite::Regex::new(rule.as_str().expect("a pattern")).expect("a pattern").is_match(text)
                }
                ("minLength", Json::String(text)) => text.chars().count() >= number(rule),
                ("minimum", Json::Number(found)) => found.as_f64() >= rule.as_f64(),
                ("maximum", Json::Number(found)) => found.as_f64() <= rule.as_f64(),
                ("minItems", Json::Array(items)) => items.len() >= number(rule),
                ("uniqueItems", Json::Array(items)) => {
                    items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))
                }
                ("minProperties", Json::Object(entries)) => entries.len() >= number(rule),
                ("maxProperties", Json::Object(entries)) => entries.len() <= number(rule),
                ("required", Json::Object(entries)) => rule
                    .as_array()
                    .expect("an array")
                    .iter()
                    .all(|name| entries.contains_key(name.as_str().expect("a name"))),
                ("anyOf", _) => ways(rule, value, at) > 0,
                ("oneOf", _) => ways(rule, value, at) == 1,
                ("items", Json::Array(items)) => return items.iter().find_map(|item| wrong(rule, item, at)),
                ("properties" | "additionalProperties" | "propertyNames", Json::Object(_)) => return None,
                _ => true,
            };
            (!fits).then(|| format!("{at}: {word} {rule}"))
        })
        .or_else(|| entries(schema, value, at))
}

fn entries(schema: &Json, value: &Json, at: &str) -> Option<String> {
    value.as_object()?.iter().find_map(|(name, inner)| {
        let at = format!("{at}.{name}");
        let rule = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        let name_is_wrong = schema.get("propertyNames").and_then(|rule| wrong(rule, &json!(name), &at));
        name_is_wrong.or_else(|| wrong(rule?, inner, &at))
    })
}

fn ways(rules: &Json, value: &Json, at: &str) -> usize {
    rules.as_array().expect("an array").iter().filter(|rule| wrong(rule, value, at).is_none()).count()
}

fn number(rule: &Json) -> usize {
    rule.as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number")
}

fn has_type(name: &str, value: &Json) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}
