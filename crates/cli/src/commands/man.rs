//! `man`: manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::{print, say};

/// Print the manual page, or write the pages of all commands to a directory
///
/// `evercrew man | man -l -` shows it; `evercrew man --out /usr/local/share/man/man1` installs them.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write evercrew.1 and a page for each command there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        let mut command = Arguments::command();
        command.build();
        let Some(directory) = &self.out else {
            print(&String::from_utf8_lossy(&page(&command)?))?;
            return Ok(0);
        };
        std::fs::create_dir_all(directory).map_err(|error| cannot(directory, &error))?;
        let mut written = 0;
        write_all(&command, directory, &mut written)?;
        say(format_args!("wrote {written} pages to {}", directory.display()));
        Ok(0)
    }
}

fn write_all(command: &Command, directory: &Path, written: &mut usize) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|error| cannot(&path, &error))?;
    *written += 1;
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    command.get_subcommands().filter(shown).try_for_each(|command| write_all(command, directory, written))
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| Failure::unavailable(format!("cannot make the manual page: {error}")))?;
    Ok(page)
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unavailable(format!("cannot write {}: {error}", path.display()))
}
