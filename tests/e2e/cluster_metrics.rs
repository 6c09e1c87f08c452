//! `pm metrics`: what prom-client counts in the workers of a cluster, as one.

use std::time::{Duration, Instant};

use crate::support::{Cluster, Load, Manner, Node, SOON, Sandbox, kill, prom_client, said, wait_until};

crate::on_every_node!(counters_of_all_workers_are_one_and_outlive_them);

crate::on_two_nodes!(
    asking_harms_no_request_and_no_counter_goes_back,
    what_an_app_registers_elsewhere_is_reported_too,
    whoever_has_no_metrics_says_so,
);

/// An app like any other: it knows nothing of a cluster, nor of us.
fn counting(node: &Node, sandbox: &Sandbox) -> Cluster {
    let lines = format!(
        "const client = require({:?});
         client.collectDefaultMetrics();
         const requests = new client.Counter({{ name: 'requests_total', help: 'Requests', labelNames: ['code'] }});
         const seconds = new client.Histogram({{ name: 'seconds', help: 'Time', buckets: [0.1, 1] }});
         new client.Gauge({{ name: 'workers', help: 'Workers' }}).set(1);
         require('http').createServer((request, response) => {{
           requests.inc({{ code: 200 }});
           seconds.observe(0.05);
           response.end(String(process.pid));
         }}).listen(process.env.PORT);",
        prom_client().display().to_string()
    );
    Cluster::inline(node, sandbox, &lines).instances(3)
}

/// The value of a series.
#[track_caller]
fn value<'a>(text: &'a str, series: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no `{series}` in {text}"))
}

/// The number of requests so far.
#[track_caller]
fn requests(text: &str) -> u64 {
    value(text, REQUESTS).parse().unwrap()
}

#[track_caller]
fn metrics(sandbox: &Sandbox) -> String {
    sandbox.pm(&["metrics", "web"]).ok().stdout
}

const REQUESTS: &str = "requests_total{code=\"200\"}";

fn counters_of_all_workers_are_one_and_outlive_them(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = counting(node, &sandbox);
    cluster.apply(&sandbox);
    let ask = |count: usize| (0..count).for_each(|_| drop(cluster.target.ask("/").unwrap()));
    ask(7);
    let text = metrics(&sandbox);
    for (series, expected) in [
        (REQUESTS, "7"),
        ("seconds_bucket{le=\"0.1\"}", "7"),
        ("seconds_bucket{le=\"+Inf\"}", "7"),
        ("seconds_count", "7"),
        ("workers", "3"),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    assert!(value(&text, "seconds_sum").starts_with("0.3"), "{text}");
    assert!(text.contains("# HELP requests_total Requests\n# TYPE requests_total counter\n"), "{text}");
    // The mean, not the sum: prom-client asks for that.
    assert!(value(&text, "nodejs_eventloop_lag_mean_seconds").starts_with("0."), "{text}");
    // A worker that dies takes nothing with it that was reported.
    let old = sandbox.pid("web/1");
    kill(old, libc::SIGKILL);
    wait_until("another one is ready", SOON, || {
        let row = &sandbox.list()[1];
        row.pid.is_some_and(|pid| pid != old) && row.phase == "running"
    });
    assert_eq!(value(&metrics(&sandbox), REQUESTS), "7");
    ask(5);
    // What workers report as they leave is enough.
    sandbox.pm(&["reload", "web"]).ok();
    assert_eq!(value(&metrics(&sandbox), REQUESTS), "12");
    sandbox.kill_daemon();
    assert_eq!(value(&metrics(&sandbox), REQUESTS), "12");
    ask(4);
    sandbox.pm(&["reload", "web"]).ok();
    let text = metrics(&sandbox);
    assert_eq!((value(&text, REQUESTS), value(&text, "workers")), ("16", "3"), "{text}");
}

fn asking_harms_no_request_and_no_counter_goes_back(node: &Node) {
    let sandbox = Sandbox::new();
    let cluster = counting(node, &sandbox);
    cluster.apply(&sandbox);
    let load = Load::start(&cluster.target, "/", 12, Manner::Both);
    load.wait_answers(100);
    let mut last = requests(&metrics(&sandbox));
    std::thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            for _ in 0..3 {
                sandbox.pm(&["reload", "web"]).ok();
            }
        });
        while !reloads.is_finished() {
            let told = sandbox.pm(&["metrics", "web"]);
            // One that ends in this moment may not answer any more; its counters stay.
            assert!([0, 1].contains(&told.status), "{told}");
            let now = requests(&told.stdout);
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    });
    load.wait_answers(50);
    let report = load.stop();
    report.all_answered();
    let counted = requests(&metrics(&sandbox));
    assert!(counted >= last && counted <= report.answered + 12, "{counted} of {report:?}");
    assert!(sandbox.list().iter().all(|row| row.restarts == 0), "{:?}", sandbox.list());
}

fn what_an_app_registers_elsewhere_is_reported_too(node: &Node) {
    let sandbox = Sandbox::new();
    let lines = format!(
        "const client = require({:?});
         const own = new client.Registry();
         new client.Counter({{ name: 'own_total', help: 'Own', registers: [own] }}).inc(2);
         new client.Gauge({{ name: 'highest', help: 'H', aggregator: 'max', registers: [own] }}).set(Number(process.env.NODE_APP_INSTANCE));
         new client.AggregatorRegistry();
         client.AggregatorRegistry.setRegistries([own]);
         require('http').createServer((request, response) => response.end('up')).listen(process.env.PORT);",
        prom_client().display().to_string()
    );
    for rest in ["", "cluster = { drain_hook = false }"] {
        let cluster = Cluster::inline(node, &sandbox, &lines).instances(3).rest(rest);
        cluster.apply(&sandbox);
        let text = metrics(&sandbox);
        assert!(value(&text, "own_total").parse::<u64>().unwrap() >= 6, "{text}");
        assert_eq!(value(&text, "highest"), "2", "{text}");
    }
    let told = sandbox.pm(&["metrics", "web", "--json"]).ok().json();
    assert_eq!(told["answered"].as_array().unwrap().len(), 3, "{told}");
    assert!(told["exposition"].as_str().unwrap().contains("own_total"), "{told}");
}

fn whoever_has_no_metrics_says_so(node: &Node) {
    let sandbox = Sandbox::new();
    let plain = "require('http').createServer((request, response) => response.end('up')).listen(process.env.PORT);";
    Cluster::inline(node, &sandbox, plain).apply(&sandbox);
    let began = Instant::now();
    sandbox.pm(&["metrics", "web"]).code(1).says(&["web/0: it has not loaded prom-client"]);
    assert!(began.elapsed() < Duration::from_secs(4), "it does not have to be waited for");
    // Whoever has listeners of its own may be about to answer.
    let deaf = format!("{plain}\nprocess.on('message', () => console.log('heard'));");
    Cluster::inline(node, &sandbox, &deaf).apply(&sandbox);
    sandbox.pm(&["metrics", "web"]).code(1).says(&["it has not answered within 5 s"]);
    assert_eq!(said(&sandbox, 0, "heard"), "");
    let broken = format!(
        "{plain}\nprocess.on('message', ({{ requestId }}) => process.send({{ type: 'prom-client:getMetricsRes', requestId, metrics: 5 }}));"
    );
    Cluster::inline(node, &sandbox, &broken).apply(&sandbox);
    sandbox.pm(&["metrics", "web"]).code(1).says(&["its answer is not understood"]);
    sandbox.pm(&["metrics", "web/0"]).code(64).says(&["metrics are those of all workers together"]);
    // Its answers are nothing that the app says to others.
    assert!(!sandbox.pm(&["events", "web"]).ok().stdout.contains("prom-client"));
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["metrics", "web"]).code(8).says(&["no process of `"]);
    let toml = Cluster::inline(node, &sandbox, plain).toml().replace("exec_mode = \"cluster\"\n", "");
    sandbox.ecosystem(&toml);
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["metrics", "web"]).code(64).says(&["is not a cluster"]);
}
