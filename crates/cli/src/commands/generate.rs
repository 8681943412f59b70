//! `generate`: files for other programs.

use clap::{Args, Subcommand};

use crate::arguments::Global;
use crate::client::Engine;
use crate::failure::Failure;
use crate::output::print;

/// Print a file for another program
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A configuration for logrotate, for /etc/logrotate.d
    Logrotate,
}

impl Generate {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        match self.what {
            What::Logrotate => {
                let environment = evercrew_config::environment();
                let engine = Engine::of(global);
                let logs = evercrew_config::log_directory(&global.config, &global.set, environment, engine.directory());
                print(&logrotate(&logs.display().to_string()))?;
            }
        }
        Ok(0)
    }
}

/// No signal is needed: a file that was moved is begun anew. Lines are written to the moved one for up to 100 ms, so it is
/// compressed a round later.
fn logrotate(logs: &str) -> String {
    let logs = logs.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "# The engine rotates its files itself. To leave that to logrotate, write `max_size = \"1024GiB\"` in [log].\n\
         # No signal is needed: a file that was moved is begun anew.\n\
         \"{logs}/*.log\" {{\n    \
             daily\n    rotate 14\n    missingok\n    notifempty\n    nocreate\n    compress\n    delaycompress\n    \
             dateext\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::logrotate;

    #[test]
    fn the_path_is_quoted() {
        assert!(logrotate("/srv/my app/\"logs\"").contains("\n\"/srv/my app/\\\"logs\\\"/*.log\" {\n"));
    }
}
