//! `init`: a configuration to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::say;
use crate::{example, procfile};

/// Write a commented example configuration, or one made from a Procfile
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Convert this file of lines NAME: COMMAND
    #[arg(long, value_name = "PROCFILE")]
    from: Option<PathBuf>,
    /// Replace the file that is there
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let text = match &self.from {
            None => example::COMMENTED.to_owned(),
            Some(path) => converted(path)?,
        };
        let path = &global.config;
        write(path, &text, self.force)?;
        let file = if path == Path::new("evercrew.toml") { String::new() } else { format!("-c {} ", path.display()) };
        say(format_args!(
            "wrote {}; look through it, then run `evercrew {file}check` and `evercrew {file}up`",
            path.display()
        ));
        Ok(0)
    }
}

fn converted(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(code::CONFIGURATION, format!("cannot read the Procfile {}: {error}", path.display()))
    })?;
    procfile::convert(&text).map_err(|(line, text)| {
        Failure::new(code::CONFIGURATION, format!("{}:{line}: {text}", path.display()))
            .hint("each line of a Procfile is NAME: COMMAND, blank, or a comment")
    })
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(code::FAILURE, format!("{} is there already", path.display()))
            .hint("--force replaces it; -c names another file"),
        _ => Failure::unavailable(format!("cannot write {}: {error}", path.display())),
    })
}
