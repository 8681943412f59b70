//! For logrotate.

/// No signal is needed: a file that was moved is begun anew. Lines are written to the moved one for up to 100 ms, so it is
/// compressed a round later.
pub(crate) fn logrotate(logs: &str) -> String {
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
