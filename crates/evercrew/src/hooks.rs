//! What the program does at moments of the whole server, beside its services.

use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use evercrew_worker::{BoxError, Context};

use crate::builder::Builder;
use crate::observer::{self, Event};
use crate::service::{Service, custom};

pub(crate) type Observe = Arc<dyn Fn(&Event) + Send + Sync>;
pub(crate) type Prepare = Arc<dyn Fn() -> Result<(), BoxError> + Send + Sync>;
type Conclude = Arc<dyn Fn() + Send + Sync>;
type Rebuild = Arc<dyn Fn() -> Result<Builder, BoxError> + Send + Sync>;

/// The service whose process runs them.
pub(crate) const NAME: &str = "observer";

/// In the engine's directory: the engine in which `before_run` has succeeded.
const BEGUN: &str = "begun";

/// The hooks of a server.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) observers: Vec<Observe>,
    pub(crate) on_heartbeat: Vec<Observe>,
    pub(crate) before_run: Option<Prepare>,
    pub(crate) after_run: Option<Conclude>,
    pub(crate) rebuild: Option<Rebuild>,
}

impl Hooks {
    /// The service that runs them, where there are any.
    pub(crate) fn service(&self) -> Option<Service> {
        let is_needed = self.brackets() || !self.observers.is_empty() || !self.on_heartbeat.is_empty();
        if !is_needed {
            return None;
        }
        let hooks = self.clone();
        let observe = move |event: &Event| {
            let is_beat = event.kind() == observer::HEARTBEAT;
            let observers = if is_beat { &hooks.on_heartbeat } else { &hooks.observers };
            observers.iter().for_each(|observe| observe(event));
        };
        let wants_beats = !self.on_heartbeat.is_empty();
        let mut service = custom(NAME, move |context| observer::follow(&context, &observe, wants_beats));
        if let Some(before_run) = self.before_run.clone() {
            service = service.initialize(move |context| once_in_an_engine(context, &before_run));
        }
        if let Some(after_run) = self.after_run.clone() {
            service = service.at_end(move |context| {
                if observer::is_alone(context) {
                    after_run();
                }
            });
        }
        Some(service)
    }

    /// Whether every other service starts after it and stops before it.
    pub(crate) fn brackets(&self) -> bool {
        self.before_run.is_some() || self.after_run.is_some()
    }

    /// What gives the configuration anew.
    pub(crate) fn again(&self) -> Option<impl Fn() -> Result<String, String> + Send + Sync + use<>> {
        let rebuild = self.rebuild.clone()?;
        Some(move || {
            let built = catch_unwind(AssertUnwindSafe(|| rebuild()));
            let builder = built.unwrap_or_else(|_| Err("it has panicked".into()));
            let server = builder.and_then(|builder| Ok(builder.build()?));
            server.map(|server| server.configuration().to_owned()).map_err(|error| error.to_string())
        })
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("observers", &self.observers.len()).finish_non_exhaustive()
    }
}

/// Runs `hook` unless it has succeeded in this engine: a process that is started again does not repeat it.
fn once_in_an_engine(context: &Context, hook: &Prepare) -> Result<(), BoxError> {
    let Some(directory) = context.directory() else { return hook() };
    let engine = std::env::var("EVERCREW_INSTANCE").unwrap_or_default();
    let begun = directory.join(BEGUN);
    if !engine.is_empty() && fs::read_to_string(&begun).is_ok_and(|known| known == engine) {
        return Ok(());
    }
    hook()?;
    note(&begun, &engine)
}

fn note(file: &Path, engine: &str) -> Result<(), BoxError> {
    let written = fs::write(file, engine);
    written.map_err(|error| format!("cannot note in {} that before_run has run: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    #[test]
    fn a_configuration_comes_anew_from_the_function_and_its_failures_are_texts() {
        let again =
            |rebuild: Rebuild| Hooks { rebuild: Some(rebuild), ..Hooks::default() }.again().expect("a function")();
        let idle = |workers| Server::builder().service(custom("a", |_| Ok(())).workers(workers));
        assert!(again(Arc::new(move || Ok(idle(3)))).is_ok_and(|text| text.contains("workers = 3")));
        assert!(again(Arc::new(move || Ok(idle(1_000_000)))).is_err_and(|text| text.contains("workers")));
        assert_eq!(again(Arc::new(|| Err("no database".into()))), Err("no database".to_owned()));
        assert_eq!(again(Arc::new(|| panic!("on purpose"))), Err("it has panicked".to_owned()));
    }
}
