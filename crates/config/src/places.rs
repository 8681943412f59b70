//! Where the parts of the settings stand in the text, for checks that come after reading.

use std::sync::Arc;

use crate::text::{Span, Text};

/// Texts and places. Any two are equal: where a value stands does not change what it means.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The texts.
    pub(crate) texts: Arc<[Text]>,
    /// One entry for each service, in the same order.
    pub(crate) services: Vec<ServicePlaces>,
}

/// Places of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServicePlaces {
    /// The first word of its command.
    pub(crate) program: Span,
    /// Its working directory, or its name when none is given.
    pub(crate) directory: Span,
    /// Its user, or its name.
    pub(crate) user: Span,
    /// Its group, or its name.
    pub(crate) group: Span,
    /// Its first port, or its name.
    pub(crate) port: Span,
    /// What runs before it, or its name.
    pub(crate) before_start: Span,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
