//! `[control]` and `[metrics]`: who may use the control socket, and where metrics are served.

use crate::context::Context;
use crate::key::{Section, Shape};
use crate::keys::{key, open};
use crate::listen;
use crate::reader::Reader;
use crate::settings::{Control, Metrics};

/// `[control]`.
pub(crate) static CONTROL: Section = Section {
    title: "[control]",
    doc: "Who may use the control socket beside root and the engine's own user, who may do everything.",
    keys: &[
        open(
            "group",
            Shape::Account,
            "nobody else",
            "members of this group may use it: the socket has mode 0660 then, the engine's directory lets them through \
             (0710). They are operators: they change what runs, but do not end the engine or read its workers' \
             environment",
        )
        .live(),
        key("admins", Shape::Names("users"), "[]", "members of the group who may do everything").live(),
        key("viewers", Shape::Names("users"), "[]", "members of the group who may only look").live(),
    ],
};

/// `[metrics]`.
pub(crate) static METRICS: Section = Section {
    title: "[metrics]",
    doc: "Metrics for Prometheus; see [metrics](metrics.md).",
    keys: &[open("listen", Shape::Address, "not served", "where `GET /metrics` is answered, without any other right")
        .live()],
};

/// `[control]`.
pub(crate) fn control(file: &Reader<'_>) -> Control {
    let table = file.table_or_default("control", &CONTROL);
    let names = |key| table.names(key).into_iter().map(|(name, _)| name).collect();
    Control { group: table.account("group"), admins: names("admins"), viewers: names("viewers") }
}

/// `[metrics]`.
pub(crate) fn metrics(file: &Reader<'_>, context: &Context<'_>) -> Metrics {
    let table = file.table_or_default("metrics", &METRICS);
    Metrics { listen: listen::optional_address(&table, "listen", context) }
}
