//! `config show` and `schema`: what the configuration comes to, and what it may be.

use std::path::Path;

use evercrew_config::{Provenance, Shown, Source};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::{output, up};

/// Longest line that an origin is set apart from by blanks.
const WIDEST: usize = 60;

/// What every key comes to, as TOML or JSON; with `origin` also where that comes from.
///
/// Programs, users and directories need not be there: a file can be looked at on another machine.
///
/// # Errors
/// [`code::CONFIGURATION`], after the errors were printed.
pub(crate) fn show(global: &Global, origin: bool) -> Result<String, Failure> {
    let source =
        Source::read(&global.config, global.set.clone(), evercrew_config::environment(), global.directory.clone())
            .map_err(|error| up::unread(&error))?;
    let keys = source.show().map_err(|errors| {
        output::say_raw(&errors.render(up::colored(global.color)));
        let (count, file) = (errors.problems().len(), source.path.display());
        Failure::new(code::CONFIGURATION, format!("{count} {} in {file}", if count == 1 { "error" } else { "errors" }))
    })?;
    Ok(match (global.json, origin) {
        (true, _) => {
            format!("{:#}\n", json!({"file": source.path, "keys": keys.iter().map(object).collect::<Value>()}))
        }
        (false, false) => keys.iter().filter_map(Shown::to_toml).map(|line| line + "\n").collect(),
        (false, true) => with_origins(&keys, source.path.parent()),
    })
}

/// Each key on a line of TOML, and its origin in a comment; a key that is not set is a comment altogether.
fn with_origins(keys: &[Shown], folder: Option<&Path>) -> String {
    let line = |key: &Shown| key.to_toml().unwrap_or_else(|| format!("# {} is not set", key.name()));
    let fits = |width: &usize| *width <= WIDEST;
    let width = keys.iter().map(|key| line(key).chars().count()).filter(fits).max().unwrap_or_default();
    let mut text = String::new();
    for key in keys {
        let line = line(key);
        match &key.value {
            Some(_) => text.push_str(&format!("{line:width$}  # {}\n", short(&key.provenance, folder))),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// Files beside the configuration are told by their names alone. What could end the comment or steer the terminal
/// goes.
fn short(provenance: &Provenance, folder: Option<&Path>) -> String {
    let text = match provenance {
        Provenance::File { path, line, .. } => {
            let beside = folder.and_then(|folder| path.strip_prefix(folder).ok());
            format!("{}:{line}", beside.unwrap_or(path).display())
        }
        Provenance::Default | Provenance::Environment(_) | Provenance::CommandLine(_) | Provenance::Program => {
            provenance.to_string()
        }
    };
    text.replace(char::is_control, " ")
}

fn object(key: &Shown) -> Value {
    let origin = match &key.provenance {
        Provenance::Default => json!({"kind": "default"}),
        Provenance::File { path, line, column } => {
            json!({"kind": "file", "file": path.to_string_lossy(), "line": line, "column": column})
        }
        Provenance::Environment(variable) => json!({"kind": "environment", "variable": variable}),
        Provenance::CommandLine(option) => json!({"kind": "command-line", "option": option}),
        Provenance::Program => json!({"kind": "program"}),
    };
    json!({"key": key.name(), "value": key.value, "origin": origin})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, value: Option<Value>, provenance: Provenance) -> Shown {
        Shown { key: vec!["service".to_owned(), "web".to_owned(), name.to_owned()], value, provenance }
    }

    #[test]
    fn origins_stand_in_one_column_behind_all_but_the_longest_lines() {
        let file = |path: &str| Provenance::File { path: path.into(), line: 3, column: 1 };
        let keys = [
            key("workers", Some(json!(2)), Provenance::Environment("EVERCREW__SERVICE__WEB__WORKERS".to_owned())),
            key("restart", Some(json!("never")), file("/etc/crew/conf.d/web.toml")),
            key("user", None, Provenance::Default),
            key("group", Some(json!("a")), Provenance::CommandLine("--set service.web.group=a\nb".to_owned())),
            key("command", Some(json!(["a".repeat(60)])), file("/else/web.toml")),
        ];
        let long = "a".repeat(60);
        let expected = format!(
            "service.web.workers = 2        # environment EVERCREW__SERVICE__WEB__WORKERS\n\
             service.web.restart = \"never\"  # conf.d/web.toml:3\n\
             # service.web.user is not set\n\
             service.web.group = \"a\"        # --set service.web.group=a b\n\
             service.web.command = [\"{long}\"]  # /else/web.toml:3\n"
        );
        assert_eq!(with_origins(&keys, Some(Path::new("/etc/crew"))), expected);
    }
}
