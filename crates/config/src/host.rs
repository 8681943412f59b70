//! The program that this engine is part of: which workers it has in it, and what it says before any file does.
//!
//! It belongs to the process image as its version does, so it is told once, before anything is read, and not handed
//! through every call. The binary `evercrew` and each program that is built with the library have one of their own.

use std::sync::OnceLock;

static HOST: OnceLock<Host> = OnceLock::new();

/// What a program brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The workers that are part of it.
    pub builtins: Vec<Builtin>,
    /// A configuration as TOML that lies under the file: what neither file, environment nor command line says.
    pub values: String,
    /// Whether its processes in other roles are started with the arguments that it was started with: what stands in it
    /// before the engine may read them.
    pub keeps_arguments: bool,
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
        HOST.set(self).is_ok()
    }

    /// The program's own; with nothing registered, one that has `hello`.
    pub fn own() -> &'static Self {
        static USUAL: OnceLock<Host> = OnceLock::new();
        HOST.get().unwrap_or_else(|| {
            let hello = Builtin { name: "hello".to_owned(), listens: true };
            USUAL.get_or_init(|| Self { builtins: vec![hello], ..Self::default() })
        })
    }

    /// The names of its workers.
    pub(crate) fn names(&'static self) -> Vec<&'static str> {
        self.builtins.iter().map(|builtin| builtin.name.as_str()).collect()
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
