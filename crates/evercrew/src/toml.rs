//! Writing what was built as a configuration.

use std::time::Duration;

use serde_json::Value;

/// Any text as a TOML string. JSON's escapes are TOML's, but for the one character that JSON leaves as it is.
pub(crate) fn string(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// An array of texts.
pub(crate) fn strings<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| string(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A time, in milliseconds.
pub(crate) fn duration(duration: Duration) -> String {
    format!("\"{}ms\"", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_they_say() {
        assert_eq!(string("a\"b\\\n\u{7f}é"), "\"a\\\"b\\\\\\n\\u007Fé\"");
        assert_eq!(strings(&["a", "b c"]), "[\"a\", \"b c\"]");
        assert_eq!(duration(Duration::from_secs(2)), "\"2000ms\"");
    }
}
