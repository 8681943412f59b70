//! Every file in `examples/` means something, without a warning.

use std::path::Path;

use evercrew_config::Source;

#[test]
fn every_example_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for example in std::fs::read_dir(&folder).expect("the examples") {
        let path = example.expect("an example").path().join("evercrew.toml");
        if !path.exists() {
            continue;
        }
        let source = Source::read(&path, Vec::new(), std::iter::empty(), None).expect("a file");
        let settings = source.parse().unwrap_or_else(|errors| panic!("{errors}"));
        let warnings: Vec<String> = settings.warnings.iter().map(|warning| warning.render(false)).collect();
        assert!(warnings.is_empty(), "{}", warnings.join("\n"));
        seen += 1;
    }
    assert!(seen > 0, "no examples in {}", folder.display());
}
