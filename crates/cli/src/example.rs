//! Configurations to begin with.

/// The smallest that does something.
pub(crate) const SMALLEST: &str = "\
[service.web]
command = [\"python3\", \"-m\", \"http.server\", \"8080\"]   # program and arguments; there is no shell
workers = 1
";

/// What `init` writes.
pub(crate) const COMMENTED: &str = r#"# Evercrew: what runs, and how. `evercrew check` looks for errors, `evercrew up` starts it.
# Lines that begin with `# key =` show keys that may be set. All keys: docs/reference/configuration.md, or
# `evercrew schema > evercrew.schema.json` for an editor. Relative paths begin at this file's directory.

# A service is a number of equal workers that are kept running.
[service.hello]
builtin = "hello"                  # a small HTTP server to try things with; instead of it, your own program:
# command = ["python3", "-m", "uvicorn", "app:app", "--fd", "3"]   # program and arguments; there is no shell
workers = 2                        # how many processes; `evercrew scale hello=4` changes it while they run
listen = ["web"]                   # the sockets that every worker gets, as descriptors 3, 4, …

# directory = "."                  # where the program runs
# env = { LOG_LEVEL = "info" }     # variables of its own
# user = "www-data"                # needs root

# When a worker counts as ready. Without it: as soon as it was started.
# ready = "notify"                 # it says READY=1 (sd_notify)
# ready = { http = "/healthz" }    # GET on its own `port` is answered
# port = 9000                      # PORT of worker 1; the next one gets 9001

# What happens when it ends, hangs or has to stop.
# restart = "always"               # or "on-failure", "never"
# stop = { signal = "TERM", grace = "30s" }
# after = ["db"]                   # start when these are ready

# A socket is opened once and stays open while workers come and go.
[listen.web]
address = "127.0.0.1:8080"         # or "[::]:80", or "unix:run/web.sock"

# [engine]
# directory = ".evercrew"          # control socket, lock and logs
"#;

#[cfg(test)]
mod tests {
    use super::{COMMENTED, SMALLEST};

    #[test]
    fn both_are_configurations_without_a_warning() {
        for text in [SMALLEST, COMMENTED] {
            let path = "/srv/evercrew.toml".into();
            let source = evercrew_config::Source::new(path, text.into(), Vec::new(), std::iter::empty(), None);
            let settings = source.parse().expect("a configuration");
            assert!(settings.warnings.is_empty() && settings.services.len() == 1);
        }
    }

    #[test]
    fn what_the_comments_offer_is_understood() {
        let keys = ["directory =", "env =", "user =", "restart =", "stop ="];
        let offered = COMMENTED.lines().filter(|line| keys.iter().any(|key| line.starts_with(&format!("# {key}"))));
        let offered: String = offered.take(5).map(|line| format!("{}\n", &line[2..])).collect();
        let text = format!("[service.web]\ncommand = [\"x\"]\n{offered}");
        let source = evercrew_config::Source::new("/x/e.toml".into(), text, Vec::new(), std::iter::empty(), None);
        assert!(source.parse().is_ok(), "{offered}");
    }
}
