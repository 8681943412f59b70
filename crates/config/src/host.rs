//! The program that this engine is part of: which workers it has in it, and what it says before any file does.
//!
//! It belongs to the process image as its version does, so it is told once, before anything is read, and not handed
//! through every call. The binary `evercrew` and each program that is built with the library have one of their own.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::error::ConfigError;
use crate::files;
use crate::source::Source;

static HOST: OnceLock<Arc<Host>> = OnceLock::new();

thread_local! {
    /// One that is checked on this thread, before the process is it.
    static SUPPOSED: RefCell<Option<Arc<Host>>> = const { RefCell::new(None) };
}

/// What a program brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The workers that are part of it.
    pub builtins: Vec<Builtin>,
    /// A configuration as TOML that lies under the file: what neither file, environment nor command line says.
    pub values: String,
    /// What gives those values anew for a reload, where the program has that.
    pub again: Option<Again>,
    /// Whether its processes in other roles are started with the arguments that it was started with: what stands in it
    /// before the engine may read them.
    pub keeps_arguments: bool,
}

/// A function of the program that gives its configuration anew.
#[derive(Clone)]
pub struct Again(Arc<dyn Fn() -> Result<String, String> + Send + Sync>);

impl Again {
    /// Values as TOML, or why there are none.
    pub fn new(values: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(values))
    }

    pub(crate) fn values(&self) -> Result<String, String> {
        (self.0)()
    }
}

impl PartialEq for Again {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Again {}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

/// A worker that is part of the program: `builtin = "NAME"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its name.
    pub name: String,
    /// Whether it is of no use without a listener.
    pub listens: bool,
}

impl Host {
    /// Makes this the program's own, for the life of the process; whether it is the first one, as it should be.
    pub fn register(self) -> bool {
        HOST.set(Arc::new(self)).is_ok()
    }

    /// The program's own; with nothing registered, one that has `hello`.
    pub fn own() -> Arc<Self> {
        static USUAL: OnceLock<Arc<Host>> = OnceLock::new();
        if let Some(supposed) = SUPPOSED.with_borrow(Clone::clone) {
            return supposed;
        }
        let own = HOST.get().unwrap_or_else(|| {
            let hello = Builtin { name: "hello".to_owned(), listens: true };
            USUAL.get_or_init(|| Arc::new(Self { builtins: vec![hello], ..Self::default() }))
        });
        Arc::clone(own)
    }

    /// Whether what it says is a configuration that could be started, without the file at `path`, variables or
    /// arguments; relative paths in it start at the directory of `path`.
    ///
    /// # Errors
    /// All that is wrong in it, as text with the places, and files that it names and that cannot be read.
    pub fn check(&self, path: &Path) -> Result<(), String> {
        SUPPOSED.set(Some(Arc::new(self.clone())));
        let mut source = Source::new(path.to_owned(), String::new(), Vec::new(), std::iter::empty(), None);
        let outcome = files::read(&source).map_err(|error: ConfigError| error.to_string()).and_then(|read| {
            source.files = read;
            source.parse().map(drop).map_err(|errors| errors.render(false))
        });
        SUPPOSED.set(None);
        outcome
    }

    /// The names of its workers, without what only prepares for them.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.builtins.iter().map(|builtin| builtin.name.as_str()).filter(|name| !name.contains('.')).collect()
    }

    /// Whether it has a worker of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.builtins.iter().any(|builtin| builtin.name == name)
    }

    /// Whether the worker of this name is of no use without a listener.
    pub(crate) fn listens(&self, name: &str) -> bool {
        self.builtins.iter().any(|builtin| builtin.name == name && builtin.listens)
    }

    /// Whether it says anything itself.
    pub(crate) fn speaks(&self) -> bool {
        !self.values.is_empty()
    }
}
