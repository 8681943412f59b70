//! What an engine and its workers count.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// All families; the reference of metrics lists them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// One for each name.
    pub families: Vec<Family>,
    /// Workers that could tell metrics and have told none: they are missing in the sums.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// All samples of one name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Family {
    /// Its name: `evercrew_service_workers_ready`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it is.
    #[serde(default)]
    pub help: String,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// What it is of.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// A number, or a histogram: `{"buckets":[…],"sum":…,"count":…}`.
    pub value: Value,
    /// The figure of each worker that is in it, where it is a sum of theirs.
    #[serde(default)]
    pub workers: Value,
}

impl Metrics {
    /// The number of a sample with all of these labels.
    ///
    /// ```no_run
    /// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
    /// let ready = client.metrics().await?.number("evercrew_service_workers_ready", &[("service", "web")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn number(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family = self.families.iter().find(|known| known.name == family)?;
        let fits = |sample: &&Sample| {
            labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|known| known == value))
        };
        family.samples.iter().find(fits)?.value.as_f64()
    }
}
