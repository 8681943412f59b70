//! Changes of what is scheduled, tried again or dead.

use serde::Serialize;

/// A place whose jobs can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// For later.
    Scheduled,
    /// Failed, and tried again later.
    Retries,
    /// Given up.
    Dead,
}

/// Which jobs of a place are meant; all without anything said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    jids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regexp: Option<String>,
}

impl Filter {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those with these names.
    #[must_use]
    pub fn jids<S: Into<String>>(mut self, jids: impl IntoIterator<Item = S>) -> Self {
        self.jids = Some(jids.into_iter().map(Into::into).collect());
        self
    }

    /// Those of this type.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.jobtype = Some(kind.into());
        self
    }

    /// Those whose text matches this pattern, in which `*` stands for anything.
    #[must_use]
    pub fn matching(mut self, pattern: impl Into<String>) -> Self {
        self.regexp = Some(pattern.into());
        self
    }
}

#[derive(Serialize)]
pub(crate) struct Mutation<'a> {
    pub(crate) cmd: &'a str,
    pub(crate) target: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<&'a Filter>,
}
