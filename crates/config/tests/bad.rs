//! Every file in `tests/bad` is refused with the message in its `.snap`, and never with anything else.

mod case;

use case::Case;

#[test]
fn every_bad_file_has_its_message() {
    let cases = Case::all("bad");
    assert!(cases.len() >= 40, "only {} bad files", cases.len());
    for case in cases {
        let told = match case.source().parse() {
            Ok(settings) => panic!("{} is accepted: {settings:?}", case.name),
            Err(errors) => errors.render(false),
        };
        case.snapshot().bind(|| insta::assert_snapshot!(case.name.as_str(), told));
    }
}

#[test]
fn colours_change_nothing_but_colour() {
    for case in Case::all("bad") {
        let Err(errors) = case.source().parse() else { continue };
        let colored = errors.render(true);
        assert!(colored.contains("\u{1b}["), "{}", case.name);
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain.push_str(rest);
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&plain), squeeze(&errors.render(false)), "{}", case.name);
    }
}
