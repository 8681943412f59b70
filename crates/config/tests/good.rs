//! Every file in `tests/good` means what its `.snap` says, and nothing else.

mod case;

use case::Case;

#[test]
fn every_good_file_has_its_meaning() {
    let cases = Case::all("good");
    assert!(!cases.is_empty());
    for case in cases {
        let settings = case.source().parse().unwrap_or_else(|errors| panic!("{}:\n{errors}", case.name));
        let warnings: Vec<String> = settings.warnings.iter().map(|warning| warning.render(false)).collect();
        let meaning = format!(
            "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{}",
            settings.engine,
            settings.log,
            settings.listeners,
            settings.services,
            warnings.join("\n")
        );
        case.snapshot().bind(|| insta::assert_snapshot!(case.name.as_str(), meaning));
    }
}

#[test]
fn a_moved_line_changes_no_meaning() {
    for case in Case::all("good") {
        let source = case.source();
        let moved = evercrew_config::Source { text: format!("{}\n\n# moved\n", source.text), ..source.clone() };
        assert_eq!(source.parse().expect("good"), moved.parse().expect("good"), "{}", case.name);
    }
}
