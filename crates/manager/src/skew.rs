//! Managers of other versions, for tests: in builds with debug assertions a binary whose name ends in `-next` writes what a
//! later version would, with fields that this one does not know, and one whose name ends in `-other` another version's form.

/// As this build writes it.
#[cfg(not(debug_assertions))]
pub(crate) fn written(document: Vec<u8>) -> Vec<u8> {
    document
}

/// As this build writes it.
#[cfg(debug_assertions)]
pub(crate) fn written(document: Vec<u8>) -> Vec<u8> {
    use std::sync::OnceLock;

    use serde_json::{Value, json};

    static NAME: OnceLock<String> = OnceLock::new();
    let own =
        || std::fs::read_link("/proc/self/exe").map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let name = NAME.get_or_init(own);
    let is_next = name.ends_with("-next");
    if !is_next && !name.ends_with("-other") {
        return document;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&document) else { return document };
    if !is_next {
        value["version"] = json!(99);
    }
    let added = json!({"of": ["a later version"]});
    value["added"] = added.clone();
    for part in ["fleet", "figures"] {
        if let Some(part) = value.get_mut(part).and_then(Value::as_object_mut) {
            part.insert("added".to_owned(), added.clone());
        }
    }
    let lists = ["clients", "workers", "tasks", "rollouts"];
    let entries = lists.iter().filter_map(|name| value.get(name)?.as_array().map(|list| (*name, list.len())));
    for (name, count) in entries.collect::<Vec<_>>() {
        for entry in 0..count {
            if let Some(entry) = value[name][entry].as_object_mut() {
                entry.insert("added".to_owned(), added.clone());
            }
        }
    }
    serde_json::to_vec(&value).unwrap_or(document)
}
