//! `docs/reference/configuration.md` is what the code writes. `EVERCREW_BLESS=1` writes it again.

use std::path::Path;

#[test]
fn the_reference_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let written = evercrew_config::reference();
    if std::env::var_os("EVERCREW_BLESS").is_some() {
        let folder = page.parent().expect("a folder");
        std::fs::create_dir_all(folder).expect("the folder of the reference");
        std::fs::write(&page, &written).expect("the page");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(found == written, "{} differs from the code: run the test with EVERCREW_BLESS=1", page.display());
}
