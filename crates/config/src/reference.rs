//! The reference page, written from the table of keys.

use std::fmt::Write;

use crate::key::{Absent, Section};
use crate::sections::SECTIONS;

const INTRODUCTION: &str = "\
# Configuration

Written by the code from its table of keys; `EVERCREW_BLESS=1 cargo test -p evercrew-config` writes it again.

One TOML file, `evercrew.toml`, or the one that `--config` names. Unknown keys are errors. Every relative path is
relative to the file's own directory. Durations are a whole number and a unit: `\"500ms\"`, `\"30s\"`, `\"5m\"`,
`\"1h\"`, `\"2d\"`. Names of services and listeners have 1 to 64 of `a-z`, `0-9`, `_` and `-`.

Single values can be overridden, later ones win: first by the environment
(`EVERCREW__SERVICE__WEB__WORKERS=2`; a `-` in a name is written `_`), then by `--set service.web.workers=2`. The value
is TOML; quotes around a plain string may be left out. `evercrew check` reports everything that is wrong, at once;
`evercrew config show --origin` shows what every key comes to and where that comes from.

Sizes are a whole number and a unit: `\"512KiB\"`, `\"64MiB\"`, `\"2GiB\"`. Files that `include` names are read with the
main one, at most 512 of them; they have tables [listen.NAME] and [service.NAME] only, names must differ from those of
every other file, and relative paths in them are relative to their own directory.

What a change of a key means for an engine that runs (`evercrew reload`) stands under *on reload*: **live** holds at
once and touches no worker, **roll** replaces the workers one by one, the new one first. A table's own keys say what
holds for them; to add or take out the whole of one means what stands in its own line.

For editors, `evercrew schema > evercrew.schema.json` writes the JSON schema; the first line
`#:schema ./evercrew.schema.json` of a file names it.
";

/// The page `docs/reference/configuration.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in &SECTIONS[1..] {
        write_section(&mut page, section);
    }
    page
}

fn write_section(page: &mut String, section: &Section) {
    let title = if section.title.starts_with('[') { section.title.to_owned() } else { format!("`{}`", section.title) };
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n\n{}\n\n| key | expects | default | on reload | |\n|---|---|---|---|---|\n",
        section.doc
    );
    for key in section.keys.iter().filter(|key| key.is_supported()) {
        let default = match key.default {
            Absent::Means("{}") => "as below".to_owned(),
            Absent::Means(value) => format!("`{value}`"),
            Absent::Otherwise(text) => text.to_owned(),
        };
        let expects = key.shape.expects().replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {expects} | {default} | {} | {} |", key.name, key.on_reload.word(), key.doc);
    }
}
