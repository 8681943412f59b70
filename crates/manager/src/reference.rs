//! Pages of `docs/reference` that the code writes.

/// `EVERCREW_BLESS=1` writes the page again; otherwise it must be what the code says.
pub(crate) fn is_up_to_date(name: &str, written: &str) {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("EVERCREW_BLESS").is_some() {
        std::fs::write(&page, written).expect("the page");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(found == written, "{} differs from the code: run the test with EVERCREW_BLESS=1", page.display());
}
