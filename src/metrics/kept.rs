//! What outlives a worker: the counters that it reported last. So the counters of the app never go back when a worker is
//! replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::merge::Merge;
use super::metric::Metric;

/// Names one process of an app, never to be given twice.
pub type ProcessKey = String;

/// What is kept of one app, on disk.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct KeptMetrics {
    /// The counters of each worker as it reported them last.
    #[serde(default)]
    last: BTreeMap<ProcessKey, Vec<Metric>>,
    /// The counters of all workers that are gone, added up.
    #[serde(default)]
    gone: Vec<Metric>,
}

/// The metrics of the whole app.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Gathered {
    /// Those of all workers, each series once.
    pub metrics: Vec<Metric>,
    /// Series that were left out, because there are more than [`super::SERIES_MAX`].
    pub skipped: usize,
}

impl KeptMetrics {
    /// Whether anything was ever reported.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty() && self.gone.is_empty()
    }

    /// Takes answers in, in the order in which they are merged. `living`: whose process lives. Whoever lives and has not
    /// answered counts with what it reported last, whoever is gone with its last counters.
    pub fn gather(&mut self, answers: &[(ProcessKey, Vec<Metric>)], living: &BTreeSet<ProcessKey>) -> Gathered {
        let answered: BTreeSet<&ProcessKey> =
            answers.iter().map(|(key, _)| key).filter(|key| living.contains(*key)).collect();
        for (key, metrics) in answers {
            self.last.insert(key.clone(), cumulative(metrics));
        }
        let ended: Vec<ProcessKey> = self.last.keys().filter(|key| !living.contains(*key)).cloned().collect();
        if !ended.is_empty() {
            let mut gone = Merge::default();
            gone.add(&self.gone);
            for key in ended {
                gone.add(&self.last.remove(&key).unwrap_or_default());
            }
            self.gone = gone.finish().0;
        }
        let mut merge = Merge::default();
        for (_, metrics) in answers.iter().filter(|(key, _)| living.contains(key)) {
            merge.add(metrics);
        }
        for (_, metrics) in self.last.iter().filter(|(key, _)| !answered.contains(key)) {
            merge.add(metrics);
        }
        merge.add(&self.gone);
        let (metrics, skipped) = merge.finish();
        Gathered { metrics, skipped }
    }
}

/// What of these metrics goes on counting.
fn cumulative(metrics: &[Metric]) -> Vec<Metric> {
    let kept = metrics.iter().filter(|metric| metric.is_cumulative());
    kept.map(|metric| {
        let samples = metric.samples.iter().filter(|sample| !sample.is_quantile(metric.kind)).cloned().collect();
        Metric { samples, ..metric.clone() }
    })
    .collect()
}
