//! Metrics → the text that Prometheus reads.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::metric::{Aggregator, Metric, Sample};

/// The text, and the names of what is left out of it with the reason.
pub fn exposition(metrics: &[Metric]) -> (String, Vec<String>) {
    let (mut text, mut left_out) = (String::new(), Vec::new());
    for metric in metrics {
        match reason_to_leave_out(metric) {
            None => write_metric(&mut text, metric),
            Some("") => {}
            Some(why) => left_out.push(format!("{}: {why}", metric.name)),
        }
        if has_lost_quantiles(metric) {
            left_out.push(format!(
                "quantiles of {}: those of several workers cannot be added; use a histogram",
                metric.name
            ));
        }
    }
    (text, left_out)
}

/// `""`: the app itself leaves it out.
fn reason_to_leave_out(metric: &Metric) -> Option<&'static str> {
    let mut names = metric.samples.iter().filter_map(|sample| sample.name.as_ref());
    if metric.aggregator == Aggregator::Omit {
        Some("")
    } else if metric.aggregator == Aggregator::Unknown {
        Some("its aggregator is none of sum, first, average, min, max, omit")
    } else if !is_metric_name(&metric.name) || !names.all(|name| is_metric_name(name)) {
        Some("it is not a valid name of a metric")
    } else if !metric.samples.iter().flat_map(|sample| sample.labels.keys()).all(|name| is_label_name(name)) {
        Some("a label of it has no valid name")
    } else {
        None
    }
}

fn has_lost_quantiles(metric: &Metric) -> bool {
    metric.aggregator == Aggregator::Sum && metric.samples.iter().any(|sample| sample.is_quantile(metric.kind))
}

fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b':')
}

fn is_label_name(name: &str) -> bool {
    is_name(name, |_| false)
}

fn is_name(name: &str, is_also: impl Fn(u8) -> bool) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || is_also(byte);
    name.bytes().next().is_some_and(is_first) && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

fn write_metric(text: &mut String, metric: &Metric) {
    let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', " ");
    let _ = writeln!(text, "# HELP {} {help}", metric.name);
    let _ = writeln!(text, "# TYPE {} {}", metric.name, metric.kind.as_str());
    for sample in &metric.samples {
        if !(metric.aggregator == Aggregator::Sum && sample.is_quantile(metric.kind)) {
            write_sample(text, &metric.name, sample);
        }
    }
}

fn write_sample(text: &mut String, name: &str, sample: &Sample) {
    text.push_str(sample.name.as_deref().unwrap_or(name));
    let mut before = '{';
    for (name, value) in &sample.labels {
        let _ = write!(text, "{before}{name}=\"{}\"", escaped(&value.text()));
        before = ',';
    }
    text.push_str(if sample.labels.is_empty() { " " } else { "} " });
    text.push_str(&number(sample.value.unwrap_or(f64::NAN)));
    text.push('\n');
}

fn escaped(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    } else {
        Cow::Borrowed(value)
    }
}

/// As Go's `ParseFloat` reads it.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        // `NaN` is written so by itself.
        value.to_string()
    }
}
