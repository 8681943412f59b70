//! The untyped table: what the text says, each key and value with its place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::text::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it stands; for a table its header.
    pub(crate) at: Span,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A string.
    Text(String),
    /// An integer; one that is too large for this type is held at its border.
    Integer(i128),
    /// A float.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or a time; nothing in the configuration is one.
    Datetime,
    /// An array.
    Array(Vec<Value>),
    /// A table.
    Table(Table),
}

impl Kind {
    /// The kind's name with its article, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::Boolean(_) => "boolean",
            Self::Datetime => "date",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
        }
    }
}

/// Keys and values in the order of the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The entries, each key once.
    pub(crate) entries: Vec<Entry>,
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_at: Span,
    /// Its value.
    pub(crate) value: Value,
}

impl Table {
    /// The entry with this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// These entries with those of `over` laid over them: tables by their keys, everything else as a whole.
    pub(crate) fn under(mut self, over: Self) -> Self {
        for entry in over.entries {
            let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
                self.entries.push(entry);
                continue;
            };
            let below = std::mem::replace(&mut known.value.kind, Kind::Boolean(false));
            let kind = match (below, entry.value.kind) {
                // Its keys are alternatives.
                (Kind::Table(below), Kind::Table(over)) if entry.key != "ready" => Kind::Table(below.under(over)),
                (_, kind) => kind,
            };
            *known = Entry { key: entry.key, key_at: entry.key_at, value: Value { kind, at: entry.value.at } };
        }
        self
    }

    /// Converts a parsed table; `text` is the index of the text it was parsed from.
    pub(crate) fn from_toml(text: usize, table: &DeTable<'_>) -> Self {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_at: Span::new(text, key.span()),
                value: Value::from_toml(text, value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        Self { entries }
    }
}

impl Value {
    /// Converts a parsed value. The parser bounds the depth, so the recursion is bounded too.
    pub(crate) fn from_toml(text: usize, value: &Spanned<DeValue<'_>>) -> Self {
        let kind = match value.get_ref() {
            DeValue::String(string) => Kind::Text(string.to_string()),
            DeValue::Integer(integer) => {
                let border = if integer.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
                Kind::Integer(i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(border))
            }
            DeValue::Float(float) => Kind::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Kind::Boolean(*boolean),
            DeValue::Datetime(_) => Kind::Datetime,
            DeValue::Array(array) => Kind::Array(array.iter().map(|item| Self::from_toml(text, item)).collect()),
            DeValue::Table(table) => Kind::Table(Table::from_toml(text, table)),
        };
        Self { kind, at: Span::new(text, value.span()) }
    }

    /// The table this value is.
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            Kind::Text(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) | Kind::Datetime | Kind::Array(_) => {
                None
            }
        }
    }
}
