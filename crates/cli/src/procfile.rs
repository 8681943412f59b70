//! A Procfile (lines `NAME: COMMAND`) as a configuration.

use std::collections::BTreeSet;

/// Characters that only a shell gives a meaning.
const SHELL: &str = "|&;<>()$`\\\"'*?[]#~%{}!";
/// The port of the first service that asks for one; each next one gets another hundred, as other runners do.
const FIRST_PORT: u16 = 5000;

/// The configuration that does the same.
///
/// # Errors
/// The number of a line that cannot be read, and why.
pub(crate) fn convert(text: &str) -> Result<String, (usize, String)> {
    let mut names = BTreeSet::new();
    let mut port = FIRST_PORT;
    let mut file =
        "# Made from a Procfile. `evercrew check` looks for errors; `evercrew schema` lists every key.\n".to_owned();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, command) = line.split_once(':').ok_or_else(|| (number, "there is no `:`".to_owned()))?;
        let (name, command) = (service(name.trim()), command.trim());
        if command.is_empty() {
            return Err((number, format!("`{name}` has no command")));
        }
        if name.is_empty() || name.len() > 64 {
            return Err((number, "a name has 1 to 64 letters, digits, `-` and `_`".to_owned()));
        }
        if !names.insert(name.clone()) {
            return Err((number, format!("there is a second `{name}`")));
        }
        file += &format!("\n[service.{name}]\ncommand = {}\n", command_line(command));
        if command.contains("$PORT") || command.contains("${PORT}") {
            file += &format!("port = {port}          # PORT of {name}.1; {name}.2 gets the next one\n");
            port = port.saturating_add(100);
        }
    }
    if names.is_empty() {
        return Err((1, "there is no line NAME: COMMAND".to_owned()));
    }
    Ok(file)
}

/// Names of services have no capitals.
fn service(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(plain).collect()
}

/// Words where words will do; else a shell, which gives its place to the program.
fn command_line(command: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let assigns = command.split_whitespace().next().is_some_and(|word| word.contains('='));
    if command.contains(|c| SHELL.contains(c)) || assigns {
        let one = !command.contains(['|', '&', ';', '(']) && !assigns;
        let exec = if one && !command.starts_with("exec ") { format!("exec {command}") } else { command.to_owned() };
        return format!("[\"sh\", \"-c\", {}]", quoted(&exec));
    }
    format!("[{}]", command.split_whitespace().map(quoted).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_becomes_a_service_that_is_a_configuration() {
        let text = "# mine\nweb: bundle exec puma -p $PORT -e \"production\"\n\nWorker_2:  python3 worker.py\n\
                    clock: TZ=UTC ./clock\nboth: ./a & ./b\nadmin: ./admin --port ${PORT}\n";
        let file = convert(text).expect("a configuration");
        for told in [
            r#"command = ["sh", "-c", "exec bundle exec puma -p $PORT -e \"production\""]"#,
            "[service.worker_2]\ncommand = [\"python3\", \"worker.py\"]",
            r#"command = ["sh", "-c", "TZ=UTC ./clock"]"#,
            r#"command = ["sh", "-c", "./a & ./b"]"#,
            "port = 5000",
            "port = 5100",
        ] {
            assert!(file.contains(told), "{told}\n{file}");
        }
        let source =
            evercrew_config::Source::new("/x/evercrew.toml".into(), file, Vec::new(), std::iter::empty(), None);
        assert_eq!(source.parse().expect("a configuration").services.len(), 5);
    }

    #[test]
    fn what_is_no_procfile_is_refused_with_its_line() {
        for (text, line) in [("", 1), ("web: a\nweb: b", 2), ("web a", 1), ("\nweb:", 2), (": x", 1), ("# only", 1)] {
            assert_eq!(convert(text).expect_err(text).0, line, "{text:?}");
        }
        assert!(convert(&format!("{}: x", "a".repeat(65))).is_err());
    }
}
