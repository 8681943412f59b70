//! For systemd, from version 240 on.

use std::path::{Path, PathBuf};

use evercrew_config::Settings;
use evercrew_core::Signal;

/// Fewest sockets that are kept over a restart of the unit: room for what a reload brings.
const STORE: usize = 64;

/// How the engine is started.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The binary.
    pub(crate) program: PathBuf,
    /// Options in front of the verb.
    pub(crate) options: Vec<String>,
}

impl Command {
    fn line(&self, verb: &str) -> String {
        let words = std::iter::once(self.program.display().to_string()).chain(self.options.iter().cloned());
        let words: Vec<String> = words.chain([verb.to_owned()]).map(|word| quoted(&word)).collect();
        words.join(" ")
    }
}

/// A service unit.
pub(crate) fn systemd(command: &Command, file: &Path, settings: &Settings) -> String {
    let signal = settings.engine.signals.stops(false).next().unwrap_or(Signal::Term);
    let sockets: usize = settings.listeners.iter().map(evercrew_config::Listener::queues).sum();
    let mut unit = format!(
        "# For /etc/systemd/system/evercrew.service; then `systemctl daemon-reload` and `systemctl enable --now evercrew`.\n\
         [Unit]\n\
         Description=evercrew with {}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={}\n\
         ExecReload={}\n",
        escaped(&file.display().to_string()),
        command.line("up"),
        command.line("reload"),
    );
    if signal != Signal::Term {
        unit += &format!("# What `engine.signals` calls a graceful stop.\nKillSignal={signal}\n");
    }
    unit += "# The engine ends its workers itself; what is left when it is late is killed.\n\
             KillMode=mixed\n\
             # `evercrew down` is a stop on purpose. Wrong usage, missing rights and a wrong file are no better a second later.\n\
             Restart=on-failure\n\
             RestartSec=1\n\
             RestartPreventExitStatus=2 77 78\n\
             # A manager that hangs is replaced before this is over: then nothing else is ended.\n\
             WatchdogSec=30\n";
    unit += &format!(
        "# Listening sockets stay open while the unit restarts.\nFileDescriptorStoreMax={}\n",
        STORE.max(2 * sockets)
    );
    unit += "# A cgroup for each worker; one that the kernel kills for memory is the engine's to replace.\n\
             Delegate=yes\n\
             OOMPolicy=continue\n";
    if let Some(name) = below_run(&settings.engine.directory) {
        unit += &format!("RuntimeDirectory={name}\nRuntimeDirectoryMode=0711\nRuntimeDirectoryPreserve=restart\n");
    }
    unit + "\n[Install]\nWantedBy=multi-user.target\n"
}

/// What systemd has to make of a directory that a boot empties.
fn below_run(directory: &Path) -> Option<String> {
    let name = directory.strip_prefix("/run").ok()?.to_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    (!name.is_empty() && name.bytes().all(plain)).then(|| name.to_owned())
}

/// No specifier.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word of a command line: no specifier, no variable, no break.
fn quoted(word: &str) -> String {
    let text = escaped(word).replace('$', "$$");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%$/-_.=,:+@[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_and_nothing_in_it_means_anything() {
        assert_eq!(quoted("/srv/app/evercrew.toml"), "/srv/app/evercrew.toml");
        assert_eq!(quoted("/srv/my app/100%/$HOME/\"x\"\\"), "\"/srv/my app/100%%/$$HOME/\\\"x\\\"\\\\\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn only_a_directory_below_run_is_made_by_systemd() {
        assert_eq!(below_run(Path::new("/run/evercrew")).as_deref(), Some("evercrew"));
        assert_eq!(below_run(Path::new("/run")), None);
        assert_eq!(below_run(Path::new("/srv/app/.evercrew")), None);
    }
}
