//! What `show` says is the configuration, and says where each part of it stands.

#[expect(dead_code, reason = "nothing is compared with a snapshot here")]
mod case;

use std::path::PathBuf;

use case::Case;
use evercrew_config::{Provenance, Shown, Source};

fn toml(shown: &[Shown]) -> String {
    shown.iter().filter_map(Shown::to_toml).map(|line| line + "\n").collect()
}

#[test]
fn what_is_shown_means_the_same() {
    let mut seen = 0;
    for case in Case::all("good") {
        let source = case.source();
        let shown = source.show().unwrap_or_else(|errors| panic!("{}:\n{errors}", case.name));
        let text = toml(&shown);
        // Only the files are left of what the meaning depends on: everything else is written out.
        let again = Source { text, set: Vec::new(), environment: Vec::new(), ..source.clone() };
        let again = Source { directory_override: None, ..again };
        let (meant, told) = (source.parse().expect("good"), again.parse());
        let told = told.unwrap_or_else(|errors| panic!("{}:\n{errors}", case.name));
        assert_eq!(told.engine, meant.engine, "{}", case.name);
        assert_eq!(told.listeners, meant.listeners, "{}", case.name);
        assert_eq!(told.services, meant.services, "{}", case.name);
        seen += shown.len();
    }
    assert!(seen > 500, "only {seen} keys");
}

#[test]
fn a_wrong_configuration_is_not_shown() {
    for case in Case::all("bad") {
        let errors = case.source().show().expect_err("wrong");
        assert_eq!(Err(errors), case.source().parse(), "{}", case.name);
    }
}

#[test]
fn each_value_says_where_it_comes_from() {
    let variables = [
        ("EVERCREW__SERVICE__WEB__STOP__SIGNAL", "INT"),
        ("EVERCREW_DIRECTORY", "/run/crew"),
        ("WEB_CONCURRENCY", "3"),
    ];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = "include = [\"more.toml\"]\n\n[service.web]\ncommand = [\"app\"]\nenv_file = \"web.env\"\n\
                env = { B = \"b\" }\nstop = { grace = \"5s\" }\nrestart = \"never\"\n";
    let set = vec!["service.web.restart=always".to_owned(), "service.web.env.C=c".to_owned()];
    let source = Source::new("/etc/evercrew.toml".into(), text.to_owned(), set, variables, None);
    let more = "[service.more]\ncommand = [\"more\"]\nworkers = 2\nstop = [{ signal = \"HUP\" }]\n";
    let files = [("/etc/more.toml", more), ("/etc/web.env", "# a\nA=a\nB=over\n")];
    let files = files.into_iter().map(|(path, text)| (PathBuf::from(path), text.to_owned())).collect();
    let shown = Source { files, ..source }.show().expect("good");
    let told = |key: &str| {
        let found = shown.iter().find(|shown| shown.name() == key).unwrap_or_else(|| panic!("no {key}"));
        format!("{} # {}", found.to_toml().unwrap_or_default(), found.provenance)
    };
    let expected = [
        ("engine.directory", r#"engine.directory = "/run/crew" # environment EVERCREW_DIRECTORY"#),
        ("engine.exit", r#"engine.exit = "never" # default"#),
        ("service.web.command", r#"service.web.command = ["app"] # /etc/evercrew.toml:4:11"#),
        ("service.web.workers", "service.web.workers = 3 # environment WEB_CONCURRENCY"),
        ("service.web.env.A", r#"service.web.env.A = "a" # /etc/web.env:2:3"#),
        ("service.web.env.B", r#"service.web.env.B = "b" # /etc/evercrew.toml:6:13"#),
        ("service.web.env.C", r#"service.web.env.C = "c" # --set service.web.env.C=c"#),
        ("service.web.env_file", r#"service.web.env_file = "/etc/web.env" # /etc/evercrew.toml:5:12"#),
        ("service.web.restart", r#"service.web.restart = "always" # --set service.web.restart=always"#),
        ("service.web.stop.grace", r#"service.web.stop.grace = "5s" # /etc/evercrew.toml:7:18"#),
        (
            "service.web.stop.signal",
            r#"service.web.stop.signal = "INT" # environment EVERCREW__SERVICE__WEB__STOP__SIGNAL"#,
        ),
        ("service.web.stop.then", r#"service.web.stop.then = "KILL" # default"#),
        ("service.web.user", " # default"),
        ("service.more.workers", "service.more.workers = 2 # /etc/more.toml:3:11"),
        ("service.more.stop.signal", r#"service.more.stop.signal = "HUP" # /etc/more.toml:4:8"#),
    ];
    for (key, line) in expected {
        assert_eq!(told(key), line);
    }
    let directory = Source {
        directory_override: Some("/d".into()),
        ..Source::new("/etc/x".into(), String::new(), Vec::new(), std::iter::empty(), None)
    };
    let shown = directory.show().expect("good");
    assert_eq!(shown[0].provenance, Provenance::CommandLine("--directory /d".to_owned()));
}
