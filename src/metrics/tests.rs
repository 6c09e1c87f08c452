//! Answers of workers → texts, as tables; counters over the deaths of workers, as histories.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn answer(metrics: &str) -> Vec<Metric> {
    read_answer(&format!("{{\"type\":\"prom-client:getMetricsRes\",\"requestId\":1,\"metrics\":[[{metrics}]]}}"))
        .unwrap()
}

fn requests(value: u32) -> Vec<Metric> {
    answer(&format!(
        r#"{{"name":"requests_total","help":"Requests","type":"counter","values":[{{"value":{value},"labels":{{"code":200}}}}],"aggregator":"sum"}}"#
    ))
}

fn keys(names: &[&str]) -> BTreeSet<ProcessKey> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text_of(answers: &[&str]) -> (String, Vec<String>) {
    let answers: Vec<_> = answers.iter().enumerate().map(|(at, text)| (at.to_string(), answer(text))).collect();
    let living = answers.iter().map(|(key, _)| key.clone()).collect();
    exposition(&KeptMetrics::default().gather(&answers, &living).metrics)
}

#[test]
fn each_aggregator_makes_one_number_of_those_of_all_workers() {
    for (aggregator, expected) in
        [("sum", "m 9\n"), ("first", "m 4\n"), ("average", "m 3\n"), ("min", "m 2\n"), ("max", "m 4\n")]
    {
        let gauge = |value: u32| {
            format!(
                r#"{{"name":"m","help":"h","type":"gauge","values":[{{"value":{value}}}],"aggregator":"{aggregator}"}}"#
            )
        };
        let (text, left_out) = text_of(&[&gauge(4), &gauge(3), &gauge(2)]);
        assert_eq!(text, format!("# HELP m h\n# TYPE m gauge\n{expected}"));
        assert!(left_out.is_empty());
    }
    let omitted = r#"{"name":"m","help":"h","type":"gauge","values":[{"value":1}],"aggregator":"omit"}"#;
    assert_eq!(text_of(&[omitted]), (String::new(), Vec::new()));
    let unknown = omitted.replace("omit", "median");
    assert_eq!(
        text_of(&[&unknown]),
        (String::new(), vec!["m: its aggregator is none of sum, first, average, min, max, omit".to_owned()])
    );
    // Without a word it is a sum, as prom-client has it.
    let silent = r#"{"name":"m","help":"h","type":"counter","values":[{"value":1}]}"#;
    assert_eq!(text_of(&[silent, silent]).0, "# HELP m h\n# TYPE m counter\nm 2\n");
}

#[test]
fn series_are_told_apart_by_name_and_labels_whatever_their_order() {
    let worker = |codes: &str| {
        format!(
            r#"{{"name":"t","help":"","type":"histogram","aggregator":"sum","values":[
            {{"labels":{{"le":0.1,"code":"{codes}"}},"value":2,"metricName":"t_bucket"}},
            {{"labels":{{"code":"{codes}","le":"+Inf"}},"value":3,"metricName":"t_bucket"}},
            {{"labels":{{"code":"{codes}"}},"value":0.25,"metricName":"t_sum"}},
            {{"labels":{{"code":"{codes}"}},"value":3,"metricName":"t_count"}}]}}"#
        )
    };
    let (text, _) = text_of(&[&worker("a"), &worker("b"), &worker("a")]);
    let expected = "# HELP t \n# TYPE t histogram\n\
        t_bucket{code=\"a\",le=\"0.1\"} 4\nt_bucket{code=\"a\",le=\"+Inf\"} 6\nt_sum{code=\"a\"} 0.5\nt_count{code=\"a\"} 6\n\
        t_bucket{code=\"b\",le=\"0.1\"} 2\nt_bucket{code=\"b\",le=\"+Inf\"} 3\nt_sum{code=\"b\"} 0.25\nt_count{code=\"b\"} 3\n";
    assert_eq!(text, expected);
}

#[test]
fn what_an_app_says_cannot_become_another_line() {
    let hostile = r#"{"name":"m","help":"a\\b\nm 99\r","type":"gauge","aggregator":"max",
        "values":[{"labels":{"path":"\"\\\nevil 1","flag":true,"none":null},"value":1e21}]}"#;
    assert_eq!(
        text_of(&[hostile]).0,
        "# HELP m a\\\\b\\nm 99 \n# TYPE m gauge\nm{flag=\"true\",none=\"\",path=\"\\\"\\\\\\nevil 1\"} 1000000000000000000000\n"
    );
    for (name, label) in [("a b", "x"), ("", "x"), ("1a", "x"), ("a\\nb 1", "x"), ("ok", "a:b"), ("ok", "")] {
        let metric = format!(
            r#"{{"name":"{name}","type":"gauge","aggregator":"max","values":[{{"labels":{{"{label}":"1"}},"value":1}}]}}"#
        );
        let (text, left_out) = text_of(&[&metric]);
        assert_eq!((text.as_str(), left_out.len()), ("", 1), "{name:?} {label:?}");
    }
}

#[test]
fn quantiles_are_not_added_up_and_what_is_no_number_is_not_one() {
    let summary = r#"{"name":"s","help":"","type":"summary","aggregator":"sum","values":[
        {"labels":{"quantile":0.9},"value":5},{"labels":{},"value":10,"metricName":"s_sum"},
        {"labels":{},"value":2,"metricName":"s_count"}]}"#;
    let (text, left_out) = text_of(&[summary, summary]);
    assert_eq!(text, "# HELP s \n# TYPE s summary\ns_sum 20\ns_count 4\n");
    assert_eq!(left_out, ["quantiles of s: those of several workers cannot be added; use a histogram"]);
    // With an aggregator of its own it means something.
    let largest = summary.replace("\"sum\",\"values\"", "\"max\",\"values\"");
    assert!(text_of(&[&largest]).0.contains("s{quantile=\"0.9\"} 5\n"));
    // `JSON.stringify(NaN)` is `null`.
    let nothing = r#"{"name":"m","help":"","type":"gauge","aggregator":"sum","values":[{"value":null},{"value":1,"labels":{"a":"b"}}]}"#;
    assert_eq!(text_of(&[nothing]).0, "# HELP m \n# TYPE m gauge\nm{a=\"b\"} 1\n");
}

#[test]
fn an_answer_without_metrics_says_why() {
    for (line, why) in [
        (r#"{"error":"prom-client is not loaded"}"#, "prom-client is not loaded"),
        (
            r#"{"filename":"/tmp/metrics-1-1.json"}"#,
            "its answer is not understood (no metrics in it); prom-client 12 or newer is needed",
        ),
    ] {
        assert_eq!(read_answer(line).unwrap_err().to_string(), why);
    }
    assert!(matches!(read_answer("{\"metrics\":[5]}"), Err(NoMetrics::Unclear(_))));
    assert!(matches!(read_answer("nonsense"), Err(NoMetrics::Unclear(_))));
}

#[test]
fn counters_of_the_dead_are_kept_and_gauges_are_not() {
    let worker = |count: u32| {
        let gauge = r#"{"name":"open","help":"","type":"gauge","aggregator":"sum","values":[{"value":7}]}"#;
        [requests(count), answer(gauge)].concat()
    };
    let mut kept = KeptMetrics::default();
    kept.gather(&[("a".into(), worker(10)), ("b".into(), worker(5))], &keys(&["a", "b"]));
    // `a` is gone, `b` does not answer, `c` is new.
    let (text, _) = exposition(&kept.gather(&[("c".into(), worker(1))], &keys(&["b", "c"])).metrics);
    assert!(text.contains("requests_total{code=\"200\"} 16\n"), "{text}");
    assert!(text.contains("\nopen 7\n"), "{text}");
    // The last words of one that is gone by now count instead of what it said before.
    let answers = [("b".into(), worker(8)), ("c".into(), worker(2))];
    let (text, _) = exposition(&kept.gather(&answers, &keys(&["c"])).metrics);
    assert!(text.contains("requests_total{code=\"200\"} 20\n"), "{text}");
    assert!(text.contains("\nopen 7\n"), "{text}");
}

#[test]
fn more_series_than_anybody_reads_are_left_out() {
    let series: Vec<String> =
        (0..SERIES_MAX + 3).map(|at| format!(r#"{{"value":1,"labels":{{"id":"{at}"}}}}"#)).collect();
    let metric = format!(r#"{{"name":"m","type":"counter","aggregator":"sum","values":[{}]}}"#, series.join(","));
    let gathered = KeptMetrics::default().gather(&[("a".into(), answer(&metric))], &keys(&["a"]));
    assert_eq!((gathered.metrics[0].samples.len(), gathered.skipped), (SERIES_MAX, 3));
}

proptest! {
    /// Workers that count, answer or not, die and are replaced; the daemon is replaced, too: the counter never goes back,
    /// and once everybody has answered it is the sum of everything that was ever reported.
    #[test]
    fn the_counter_of_an_app_never_goes_back(steps in prop::collection::vec((0_usize..4, 0_u8..8, 0_u32..100), 1..60)) {
        let mut kept = KeptMetrics::default();
        let mut workers: Vec<(u32, u32)> = (0..4).map(|number| (number, 0)).collect();
        let (mut born, mut reported_by_dead, mut before) = (4, 0, 0.0);
        let mut reported: BTreeMap<u32, u32> = BTreeMap::new();
        for (at, action, by) in steps {
            match action {
                0 => {
                    let (number, _) = std::mem::replace(&mut workers[at], (born, 0));
                    reported_by_dead += reported.remove(&number).unwrap_or(0);
                    born += 1;
                }
                1 => kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap(),
                2..=4 => workers[at].1 += by,
                _ => {
                    // One of them does not answer, if `action` says so.
                    let silent = (action == 5).then_some(at);
                    let answering = workers.iter().enumerate().filter(|(place, _)| Some(*place) != silent);
                    let answers: Vec<_> =
                        answering.map(|(_, (number, count))| (number.to_string(), requests(*count))).collect();
                    for (place, (number, count)) in workers.iter().enumerate() {
                        if Some(place) != silent {
                            reported.insert(*number, *count);
                        }
                    }
                    let living = workers.iter().map(|(number, _)| number.to_string()).collect();
                    let total = kept.gather(&answers, &living).metrics[0].samples[0].value.unwrap();
                    prop_assert!(total >= before);
                    let expected = reported_by_dead + reported.values().sum::<u32>();
                    prop_assert_eq!(total.to_string(), expected.to_string());
                    before = total;
                }
            }
        }
    }
}
