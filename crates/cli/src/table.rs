//! `status` and events for people.

use std::fmt::Write;

use serde_json::Value;

/// Whether every service is ready, or stopped or finished on purpose.
pub(crate) fn is_well(document: &Value) -> bool {
    document["services"].as_array().is_some_and(|services| services.iter().all(service_is_well))
}

fn service_is_well(service: &Value) -> bool {
    matches!(service["state"].as_str(), Some("ready" | "stopped" | "finished"))
}

/// The services that are not well, in words.
pub(crate) fn unwell(document: &Value) -> Option<String> {
    let services = document["services"].as_array().into_iter().flatten();
    let text = |service: &Value| {
        let part = |field: &str| service[field].as_str().unwrap_or_default().to_owned();
        format!("{} is {}, {} of {} ready", part("name"), part("state"), service["ready"], service["wanted"])
    };
    let unwell: Vec<String> = services.filter(|service| !service_is_well(service)).map(text).collect();
    (!unwell.is_empty()).then(|| unwell.join("; "))
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Columns of the terminal; `None` cuts nothing.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
}

impl Style {
    /// A line no wider than the terminal, with its state in colour.
    fn line(self, line: &str, state: &str) -> String {
        let mut shown: String = match self.width {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            Some(_) | None => line.to_owned(),
        };
        let color = match state {
            "ready" => "32",
            "starting" | "degraded" | "draining" | "stopping" | "backoff" => "33",
            "failed" => "31",
            _ => return shown,
        };
        // Past the name, which may be called like a state.
        let name = shown.len() - shown.trim_start().len();
        let begin = shown[name..].find(' ').map_or(shown.len(), |end| name + end);
        if let Some(at) = shown[begin..].find(state).filter(|_| self.color) {
            let at = begin + at;
            shown.replace_range(at..at + state.len(), &format!("\x1b[{color}m{state}\x1b[0m"));
        }
        shown
    }
}

/// Services with their workers, in columns.
pub(crate) fn status(document: &Value, style: Style) -> String {
    let mut rows =
        vec![["NAME", "STATE", "PID", "GEN", "UPTIME", "RESTARTS", "MEMORY", "CPU", "LAST EXIT"].map(str::to_owned)];
    for service in document["services"].as_array().into_iter().flatten() {
        rows.push(service_row(service));
        rows.extend(service["workers"].as_array().into_iter().flatten().map(worker_row));
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let state = row[1].split(' ').next().unwrap_or_default();
        text.push_str(&style.line(line.trim_end(), state));
        text.push('\n');
    }
    text.push_str(&places(document));
    let _ = writeln!(
        text,
        "evercrew {} · supervisor {} · manager {} (generation {})",
        document["version"].as_str().unwrap_or_default(),
        document["supervisor"]["pid"],
        document["manager"]["pid"],
        document["manager"]["generation"]
    );
    text
}

/// Rows in columns as wide as what is in them; the first row is their heads.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text of somebody else's, which neither breaks a line nor steers the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Where services listen, and where the output of workers is.
fn places(document: &Value) -> String {
    let mut text = String::new();
    for listener in document["listeners"].as_array().into_iter().flatten() {
        let services: Vec<&str> =
            listener["services"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ =
            writeln!(text, "{} listens on {}", services.join(", "), listener["address"].as_str().unwrap_or_default());
    }
    if let Some(logs) = document["logs"].as_str() {
        let _ = writeln!(text, "output of workers is in {logs}");
    }
    text
}

fn service_row(service: &Value) -> [String; 9] {
    let mut row = std::array::from_fn(|_| String::new());
    row[0] = service["name"].as_str().unwrap_or_default().to_owned();
    row[1] = service_state(service);
    row
}

/// Its state, how many of its workers are ready, and whether they are being replaced.
pub(crate) fn service_state(service: &Value) -> String {
    let ready = format!("{} {}/{}", service["state"].as_str().unwrap_or_default(), service["ready"], service["wanted"]);
    if service["rolling"] == true { format!("{ready} rolling") } else { ready }
}

/// A number that may be none.
pub(crate) fn number(entry: &Value, field: &str) -> String {
    entry[field].as_u64().map_or("-".to_owned(), |number| number.to_string())
}

/// The columns of a worker.
pub(crate) fn worker_row(worker: &Value) -> [String; 9] {
    let number = |field: &str| number(worker, field);
    [
        format!("  {}", worker["name"].as_str().unwrap_or_default()),
        worker["state"].as_str().unwrap_or_default().to_owned(),
        number("pid"),
        number("generation"),
        worker["uptime_seconds"].as_f64().map_or("-".to_owned(), uptime),
        number("restarts"),
        worker["memory_bytes"].as_u64().map_or("-".to_owned(), memory),
        worker["cpu_percent"].as_f64().map_or("-".to_owned(), |percent| format!("{percent:.1}%")),
        last_exit(&worker["last_exit"]),
    ]
}

fn uptime(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1}s"),
        s if s < 3600.0 => format!("{:.0}m{:02.0}s", (s / 60.0).floor(), s % 60.0),
        s if s < 86_400.0 => format!("{:.0}h{:02.0}m", (s / 3600.0).floor(), (s % 3600.0) / 60.0),
        s => format!("{:.0}d{:02.0}h", (s / 86_400.0).floor(), (s % 86_400.0) / 3600.0),
    }
}

fn memory(bytes: u64) -> String {
    let kib = bytes / 1024;
    if kib < 10_240 { format!("{kib} KiB") } else { format!("{} MiB", kib / 1024) }
}

fn last_exit(exit: &Value) -> String {
    if exit.is_null() {
        return "-".to_owned();
    }
    let how = match (exit["signal"].as_str(), exit["code"].as_u64()) {
        (Some(signal), _) => signal.to_owned(),
        (None, Some(code)) => format!("code {code}"),
        (None, None) => "no process".to_owned(),
    };
    format!("{how} ({})", exit["reason"].as_str().unwrap_or_default())
}

/// One event in one line: number, time, kind, then what else it says.
pub(crate) fn event(event: &Value) -> String {
    if let Some(lost) = event["lost"].as_u64() {
        return format!("({lost} earlier events are no longer kept)");
    }
    let mut line = format!(
        "{:>6} {} {:<18}",
        event["seq"],
        event["at"].as_str().unwrap_or_default(),
        event["kind"].as_str().unwrap_or_default()
    );
    for (name, value) in event.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "seq" | "at" | "kind") && !value.is_null() {
            let _ = match value.as_str() {
                Some(text) => write!(line, " {name}={text}"),
                None => write!(line, " {name}={value}"),
            };
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(state: &str) -> Value {
        json!({"version": "0.1.0", "supervisor": {"pid": 1}, "manager": {"pid": 2, "generation": 3},
            "logs": "/srv/.evercrew/logs", "listeners": [{"name": "web", "address": "127.0.0.1:80", "services": ["web"]}], "services": [
            {"name": "web", "state": state, "wanted": 2, "ready": 1, "rolling": false, "workers": [
                {"slot": 1, "name": "web.1", "pid": 10, "generation": 2, "state": "ready", "uptime_seconds": 3723.0,
                 "restarts": 1, "memory_bytes": 52_428_800, "cpu_percent": 0.25,
                 "last_exit": {"code": null, "signal": "SIGKILL", "reason": "heartbeat"}},
                {"slot": 2, "name": "web.2", "pid": null, "generation": 0, "state": "backoff", "uptime_seconds": null,
                 "restarts": 0, "memory_bytes": null, "cpu_percent": null, "last_exit": null}]}]})
    }

    #[test]
    fn a_person_sees_columns() {
        let expected = "\
NAME     STATE         PID  GEN  UPTIME  RESTARTS  MEMORY  CPU   LAST EXIT
web      degraded 1/2
  web.1  ready         10   2    1h02m   1         50 MiB  0.2%  SIGKILL (heartbeat)
  web.2  backoff       -    0    -       0         -       -     -
web listens on 127.0.0.1:80
output of workers is in /srv/.evercrew/logs
evercrew 0.1.0 · supervisor 1 · manager 2 (generation 3)
";
        assert_eq!(status(&document("degraded"), Style::default()), expected);
    }

    #[test]
    fn a_terminal_s_width_is_kept_and_states_are_coloured_only_when_asked() {
        let narrow = status(&document("degraded"), Style { width: Some(30), color: false });
        assert!(narrow.lines().take(4).all(|line| line.chars().count() <= 30), "{narrow}");
        assert!(narrow.contains("…") && !narrow.contains('\x1b'), "{narrow}");
        let colored = status(&document("degraded"), Style { width: None, color: true });
        assert!(
            colored.contains("\x1b[33mdegraded\x1b[0m 1/2") && colored.contains("\x1b[32mready\x1b[0m"),
            "{colored}"
        );
    }

    #[test]
    fn only_ready_stopped_and_finished_are_well() {
        for (state, well) in
            [("ready", true), ("stopped", true), ("finished", true), ("degraded", false), ("failed", false)]
        {
            assert_eq!(is_well(&document(state)), well, "{state}");
        }
    }
}
