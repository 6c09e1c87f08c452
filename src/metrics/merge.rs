//! Metrics of several workers → metrics of the app.

use std::collections::{BTreeMap, HashMap};

use super::metric::{Aggregator, LabelValue, Metric, Sample};

/// Series of one app; further ones are left out, and that is told.
pub const SERIES_MAX: usize = 100_000;

/// Metrics that are being merged, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Merge {
    metrics: Vec<Merging>,
    by_name: HashMap<String, usize>,
    series: usize,
    skipped: usize,
}

/// A metric, and what its series add up to.
#[derive(Debug)]
struct Merging {
    metric: Metric,
    tallies: Vec<Tally>,
    by_labels: HashMap<SeriesName, usize>,
}

/// What tells a series from the others of its metric.
type SeriesName = (Option<String>, BTreeMap<String, String>);

/// What the samples of one series say together.
#[derive(Clone, Copy, Debug)]
struct Tally {
    sum: f64,
    count: f64,
    min: f64,
    max: f64,
    first: f64,
}

impl Tally {
    fn of(value: f64) -> Self {
        Self { sum: value, count: 1.0, min: value, max: value, first: value }
    }

    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn result(&self, aggregator: Aggregator) -> f64 {
        match aggregator {
            Aggregator::Sum => self.sum,
            Aggregator::First => self.first,
            Aggregator::Average => self.sum / self.count,
            Aggregator::Min => self.min,
            Aggregator::Max => self.max,
            Aggregator::Omit | Aggregator::Unknown => f64::NAN,
        }
    }
}

impl Merge {
    /// Adds the metrics of one worker.
    pub(super) fn add(&mut self, metrics: &[Metric]) {
        for metric in metrics {
            let at = self.by_name.get(&metric.name).copied().unwrap_or_else(|| self.begin(metric));
            for sample in &metric.samples {
                self.add_sample(at, sample);
            }
        }
    }

    fn begin(&mut self, metric: &Metric) -> usize {
        let bare = Metric { samples: Vec::new(), ..metric.clone() };
        self.metrics.push(Merging { metric: bare, tallies: Vec::new(), by_labels: HashMap::new() });
        let at = self.metrics.len() - 1;
        self.by_name.insert(metric.name.clone(), at);
        at
    }

    fn add_sample(&mut self, at: usize, sample: &Sample) {
        let merging = &mut self.metrics[at];
        let Some(value) = sample.value else { return };
        let labels = sample.labels.iter().map(|(name, value)| (name.clone(), LabelValue::text(value).into_owned()));
        let name = (sample.name.clone(), labels.collect());
        if let Some(known) = merging.by_labels.get(&name) {
            merging.tallies[*known].add(value);
        } else if self.series >= SERIES_MAX {
            self.skipped += 1;
        } else {
            self.series += 1;
            merging.by_labels.insert(name, merging.tallies.len());
            merging.tallies.push(Tally::of(value));
            merging.metric.samples.push(sample.clone());
        }
    }

    /// What all of them say, and how many series were left out because there are too many.
    pub(super) fn finish(self) -> (Vec<Metric>, usize) {
        let skipped = self.skipped;
        let metrics = self.metrics.into_iter().map(|Merging { mut metric, tallies, .. }| {
            for (sample, tally) in metric.samples.iter_mut().zip(&tallies) {
                sample.value = Some(tally.result(metric.aggregator));
            }
            metric
        });
        (metrics.collect(), skipped)
    }
}
