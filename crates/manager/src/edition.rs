//! A configuration as it was at one revision: what workers of that time were started with, and may be again.

use evercrew_config::{ConfigErrors, Service, Settings, Source};
use evercrew_core::fleet::Terms;

use crate::identity::{self, Identity};

/// One configuration, with what was looked up for it.
#[derive(Debug)]
pub(crate) struct Edition {
    pub(crate) source: Source,
    pub(crate) settings: Settings,
    identities: Vec<Result<Option<Identity>, String>>,
}

impl Edition {
    /// # Errors
    /// Everything that is wrong in the text.
    pub(crate) fn of(source: Source) -> Result<Self, ConfigErrors> {
        let settings = source.parse()?;
        Ok(Self::new(source, settings))
    }

    /// `settings` is what `source` means.
    pub(crate) fn new(source: Source, settings: Settings) -> Self {
        Self { identities: identity::resolve(&settings), settings, source }
    }

    /// Whether every service's user and group is known.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check_identities(&self) -> Result<(), &str> {
        self.identities.iter().try_for_each(|identity| identity.as_ref().map(|_| ()).map_err(String::as_str))
    }

    /// Whom the service's workers run as, where not as the engine.
    ///
    /// # Errors
    /// When this machine does not know that user or group (any more).
    pub(crate) fn identity(&self, service: &str) -> Result<Option<&Identity>, String> {
        let index = self.settings.services.iter().position(|known| known.name == service);
        let known = index.and_then(|index| self.identities.get(index));
        known.map_or(Ok(None), |identity| identity.as_ref().map(Option::as_ref).map_err(String::clone))
    }
}

/// What a service's workers are told at their start and keep to.
pub(crate) fn terms(service: &Service) -> Terms {
    let before_start = service.policy.before_start;
    Terms { ready: service.policy.ready, heartbeat: service.policy.heartbeat, before_start }
}
