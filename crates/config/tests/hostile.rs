//! No text makes the parser or its messages panic, and none keeps it busy for long.

use std::path::PathBuf;
use std::time::Duration;

use evercrew_config::{MOST_BYTES, Source};
use proptest::prelude::*;

/// A larger text is not read twice.
const MANY: usize = 64 * 1024;

fn read(text: &str, set: Vec<String>, environment: Vec<(String, String)>) {
    let path = PathBuf::from("/etc/evercrew/evercrew.toml");
    check(&Source::new(path, text.to_owned(), set, environment.into_iter(), None));
}

/// With `more` as an included file and as the environment file of every service that names `web.env`.
fn read_with(text: &str, more: &str) {
    let source =
        Source::new("/etc/evercrew/evercrew.toml".into(), text.to_owned(), Vec::new(), std::iter::empty(), None);
    let file = |name: &str| (PathBuf::from("/etc/evercrew").join(name), more.to_owned());
    check(&Source { files: vec![file("conf.d/a.toml"), file("web.env")], ..source });
}

fn check(source: &Source) {
    if source.text.len() < MANY
        && source.files.iter().all(|(path, text)| path.ends_with("web.env") || text.len() < MANY)
        && let Ok(shown) = source.show()
    {
        shown.iter().for_each(|shown| assert!(!shown.name().is_empty() && !shown.provenance.to_string().is_empty()));
    }
    match source.parse() {
        Ok(settings) => settings.warnings.iter().for_each(|warning| assert!(!warning.render(true).is_empty())),
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            assert!(!errors.render(false).is_empty());
            assert!(!errors.render(true).is_empty());
            for problem in errors.problems() {
                let (line, column) = problem.position();
                assert!(line >= 1 && column >= 1 && !problem.to_string().is_empty());
            }
        }
    }
}

/// What this thread has had of a processor: others that are busy beside it are no matter.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

#[test]
fn a_mebibyte_of_anything_is_answered_soon() {
    let most = usize::try_from(MOST_BYTES).expect("a small number");
    let fill = |piece: &str| piece.repeat(most / piece.len());
    let texts = [
        fill("["),
        fill("{"),
        format!("a={}", fill("[")),
        format!("a={}", fill("{a=")),
        format!("[{}a]", fill("a.")),
        format!("{}a = 1", fill("a.")),
        fill("[[a]]\n"),
        fill("[a]\n"),
        fill("a=1\n"),
        fill("\n"),
        fill("\""),
        fill("'''"),
        fill("="),
        fill("\u{0}"),
        fill("\u{feff}"),
        fill("ä"),
        fill("\r"),
        fill("a = \"\u{1b}[31m\"\r\n"),
        format!("[service.web]\ncommand = [\"{}\"]\nrestart = \"x\"", fill("x")),
        (0..most / 20).map(|n| format!("[service.s{n}]\n")).collect(),
        (0..most / 20).map(|n| format!("[listen.s{n}]\n")).collect(),
        format!(
            "[service.web]\ncommand = [\"a\"]\n{}",
            (0..most / 12).map(|n| format!("k{n} = 1\n")).collect::<String>()
        ),
        format!("[service.web]\nlisten = [{}]", (0..most / 12).map(|n| format!("\"n{n}\",")).collect::<String>()),
    ];
    for text in texts {
        let started = spent();
        read(&text, Vec::new(), Vec::new());
        // Far above what a debug build needs, far below what something quadratic would.
        assert!(spent() - started < Duration::from_secs(20), "{}: {:?}", &text[..20], spent() - started);
    }
}

#[test]
fn files_of_a_mebibyte_are_answered_soon() {
    let most = usize::try_from(MOST_BYTES).expect("a small number");
    let fill = |piece: &str| piece.repeat(most / piece.len());
    let many: String = (0..most / 10).map(|n| format!("V{n}=1\n")).collect();
    let good = "include = [\"conf.d/*.toml\"]\n[service.web]\ncommand = [\"app\"]\nenv_file = \"web.env\"\n";
    let own = "[service.web]\ncommand = [\"app\"]\nenv_file = \"web.env\"\n";
    for more in [many, fill("A=1\n"), fill("\""), fill("A=\"\\n"), fill("x\n"), fill("[service.web]\n"), fill("#\n")] {
        for text in [good, own] {
            let started = spent();
            read_with(text, &more);
            assert!(spent() - started < Duration::from_secs(20), "{}: {:?}", &more[..20], spent() - started);
        }
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[service.web]\n".to_owned()),
        Just("[listen.web]\n".to_owned()),
        Just("[engine]\n".to_owned()),
        Just("[[service]]\n".to_owned()),
        Just("command = [\"app\"]\n".to_owned()),
        Just("listen = [\"web\", \"w\"]\n".to_owned()),
        Just("after = [\"web\"]\n".to_owned()),
        Just("stop = [{ signal = \"TERM\", for = \"forever\" }]\n".to_owned()),
        Just("ready = { fd = 3 }\n".to_owned()),
        Just("ready = { output = \"(a\", http = \"/\" }\n".to_owned()),
        Just("limits = { nofile = 1, core = { soft = 2, hard = 1 }, nice = 7 }\n".to_owned()),
        Just("port = 65535\nbefore_start = [[\"a\"]]\n".to_owned()),
        Just("recycle = { memory = \"1MiB\" }\numask = \"027\"\n".to_owned()),
        Just("env_file = \"web.env\"\n".to_owned()),
        Just("include = [\"conf.d/*.toml\", \"x\"]\n".to_owned()),
        Just("A=\"b\\n\" #".to_owned()),
        Just("export B='".to_owned()),
        Just("address = \"unix:\u{e4}\"\n".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\r\n".to_owned()),
        "[a-z]{1,6}",
        "[\\[\\]{}=,.\"'#\\\\\n\t ]{1,4}",
        "[0-9.eE+_:xTZ-]{1,8}",
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        read(&text, Vec::new(), Vec::new());
    }

    #[test]
    fn no_mixture_of_valid_pieces_panics(text in pieces()) {
        read(&text, Vec::new(), Vec::new());
    }

    #[test]
    fn no_named_file_panics(text in pieces(), more in pieces(), anything in any::<String>()) {
        let good = "include = [\"conf.d/*.toml\"]\n[service.web]\ncommand = [\"app\"]\nenv_file = \"web.env\"\n";
        read_with(good, &more);
        read_with(good, &anything);
        read_with(&format!("include = [\"conf.d/*.toml\"]\n{text}"), &more);
    }

    #[test]
    fn no_value_of_a_key_panics(value in pieces(), text in any::<String>()) {
        let keys = ["ready", "limits.nofile", "limits.core.soft", "umask", "user", "port", "recycle.memory",
            "before_start", "ready.output", "ready.http", "env_file"];
        for key in keys {
            let value = if value.len() % 2 == 0 { value.clone() } else { text.clone() };
            read("[service.web]\ncommand = [\"app\"]\nport = 1\n", vec![format!("service.web.{key}={value}")], Vec::new());
        }
    }

    #[test]
    fn no_override_panics(set in pieces(), name in "[A-Z_a-z.=]{0,12}", value in pieces()) {
        let good = "[service.web]\ncommand = [\"app\"]\nstart_limit = false\n";
        let environment = vec![
            (format!("EVERCREW__{name}"), value.clone()),
            (format!("EVERCREW__SERVICE__WEB__{name}"), value.clone()),
            ("WEB_CONCURRENCY".to_owned(), value.clone()),
            ("EVERCREW_DIRECTORY".to_owned(), value),
        ];
        read(good, vec![set.clone(), format!("service.web.{set}")], environment);
    }

    #[test]
    fn no_bytes_panic_when_read_from_a_file(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("evercrew.toml");
        std::fs::write(&path, bytes).expect("a file");
        if let Ok(source) = Source::read(&path, Vec::new(), std::iter::empty(), None) {
            read(&source.text, Vec::new(), Vec::new());
        }
        let found = evercrew_config::engine_directory(&path, &[], std::iter::empty(), None);
        prop_assert!(found.is_absolute());
    }
}
