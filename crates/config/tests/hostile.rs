//! No text makes the parser or its messages panic, and none keeps it busy for long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use evercrew_config::{MOST_BYTES, Source};
use proptest::prelude::*;

fn read(text: &str, set: Vec<String>, environment: Vec<(String, String)>) {
    let path = PathBuf::from("/etc/evercrew/evercrew.toml");
    let source = Source::new(path, text.to_owned(), set, environment.into_iter(), None);
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
        let started = Instant::now();
        read(&text, Vec::new(), Vec::new());
        // Far above what a debug build needs, far below what something quadratic would.
        assert!(started.elapsed() < Duration::from_secs(20), "{}: {:?}", &text[..20], started.elapsed());
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
