//! `limits`: what each worker may use.

use crate::convert;
use crate::diagnostic::Diagnostic;
use crate::key::{Section, Shape};
use crate::keys::LIMITS;
use crate::raw::{Kind, Value};
use crate::reader::Reader;
use crate::settings::Limits;

/// Reads `limits` of a service.
pub(crate) fn limits(service: &Reader<'_>) -> Limits {
    let Some(table) = service.table("limits", &LIMITS) else { return Limits::default() };
    let mut resources = Vec::new();
    for key in LIMITS.keys {
        if let Shape::Limit { bytes, pair } = key.shape
            && let Some(value) = table.given(key.name)
            && let Some((soft, hard)) = limit(&table, key.name, value, bytes, pair)
        {
            resources.push((key.name.to_owned(), soft, hard));
        }
    }
    Limits {
        resources,
        nice: table.signed("nice"),
        oom_score_adj: table.signed("oom_score_adj"),
        memory: table.size("memory"),
        pids: table.optional_integer("pids"),
        cpus: table.cpus("cpus"),
    }
}

fn limit(
    table: &Reader<'_>,
    key: &'static str,
    value: &Value,
    bytes: bool,
    pair: &'static Section,
) -> Option<(u64, u64)> {
    let Kind::Table(both) = &value.kind else {
        let amount = convert::amount(table.report(), value, bytes).map_err(|wrong| table.wrong(key, wrong));
        return amount.ok().map(|amount| (amount, amount));
    };
    let both = table.nested(key, pair, both, value.at);
    for key in ["soft", "hard"] {
        if both.given(key).is_none() {
            both.missing(key, "write both, like `{ soft = 1024, hard = 4096 }`, or one number for both");
            return None;
        }
    }
    let (soft, hard) = (both.amount("soft")?, both.amount("hard")?);
    if soft > hard {
        both.report().add(
            Diagnostic::error(both.at("soft"), format!("{} is above its hard limit", both.name()))
                .label("`soft` is greater than `hard`")
                .also(both.at("hard"), "the hard limit"),
        );
    }
    Some((soft, hard))
}

impl Reader<'_> {
    /// One number of a limit; what is none is reported.
    fn amount(&self, key: &'static str) -> Option<u64> {
        let bytes = matches!(self.shape(key), Some(Shape::Amount { bytes: true }));
        convert::amount(self.report(), self.given(key)?, bytes).map_err(|wrong| self.wrong(key, wrong)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_keys_has_every_name() {
        let mut named: Vec<&str> =
            LIMITS.keys.iter().filter(|key| matches!(key.shape, Shape::Limit { .. })).map(|key| key.name).collect();
        named.sort_unstable();
        assert_eq!(named, Limits::NAMES);
    }
}
