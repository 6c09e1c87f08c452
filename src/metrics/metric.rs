//! One metric with its samples, and the answer of a worker that carries them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A metric as prom-client's `getMetricsAsJSON` reports it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it says, in the app's words.
    #[serde(default)]
    pub help: String,
    /// `counter`, `gauge`, `histogram` or `summary`.
    #[serde(rename = "type", default)]
    pub kind: MetricKind,
    /// How samples of several workers become one.
    #[serde(default)]
    pub aggregator: Aggregator,
    /// One per combination of labels.
    #[serde(rename = "values", default)]
    pub samples: Vec<Sample>,
}

/// What a metric is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket.
    Histogram,
    /// Quantiles of a sliding window.
    Summary,
    /// Anything else.
    #[default]
    #[serde(other)]
    Untyped,
}

impl MetricKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }
}

/// How samples of several workers become one; prom-client's word for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregator {
    /// All together.
    #[default]
    Sum,
    /// That of the first worker.
    First,
    /// The mean.
    Average,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The metric means nothing for several workers.
    Omit,
    /// One that nobody knows.
    #[serde(other)]
    Unknown,
}

/// A number with its labels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The name, where it is not that of the metric: `…_bucket`, `…_sum`, `…_count`.
    #[serde(rename = "metricName", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names and values.
    #[serde(default)]
    pub labels: BTreeMap<String, LabelValue>,
    /// The number. JSON has no word for `NaN` and infinities: they arrive as nothing.
    #[serde(default)]
    pub value: Option<f64>,
}

/// The value of a label, which need not be a text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelValue {
    /// Most are.
    Text(String),
    /// The `le` of a bucket.
    Number(serde_json::Number),
    /// A yes or no.
    Flag(bool),
    /// `undefined` and `null`.
    Nothing(()),
}

impl LabelValue {
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Self::Nothing(()) => Cow::Borrowed(""),
        }
    }
}

impl Metric {
    /// Whether its samples go on counting over the end of a worker.
    pub(super) fn is_cumulative(&self) -> bool {
        let is_kind = matches!(self.kind, MetricKind::Counter | MetricKind::Histogram | MetricKind::Summary);
        is_kind && self.aggregator == Aggregator::Sum
    }
}

impl Sample {
    /// Quantiles of several workers cannot be added.
    pub(super) fn is_quantile(&self, kind: MetricKind) -> bool {
        kind == MetricKind::Summary && self.labels.contains_key("quantile")
    }
}

/// Why an answer has no metrics.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoMetrics {
    /// The worker says why.
    #[error("{0}")]
    Told(String),
    /// It is not what prom-client answers.
    #[error("its answer is not understood ({0}); prom-client 12 or newer is needed")]
    Unclear(String),
}

/// What a worker has answered: the metrics of all its registries.
///
/// # Errors
/// It has none, or the answer is not understood.
pub fn read_answer(line: &str) -> Result<Vec<Metric>, NoMetrics> {
    #[derive(Deserialize)]
    struct Answered {
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        metrics: Option<Vec<Vec<Metric>>>,
    }
    let answered: Answered = serde_json::from_str(line).map_err(|error| NoMetrics::Unclear(error.to_string()))?;
    match answered {
        Answered { error: Some(why), .. } => Err(NoMetrics::Told(why)),
        Answered { metrics: Some(registries), .. } => Ok(registries.into_iter().flatten().collect()),
        Answered { .. } => Err(NoMetrics::Unclear("no metrics in it".to_owned())),
    }
}
