//! Schedules: what runs at its times, what is left out, and what the death of the daemon changes.

use std::time::Duration;

use serde_json::Value;

use crate::support::{SOON, Sandbox, kill, pause_between_faults, wait_for, wait_until};

/// A task that notes each run; with `more` keys.
fn task(name: &str, command: &str, more: &str) -> String {
    format!(
        "[[apps]]\nname = \"{name}\"\ncommand = \"{command}\"\nshell = true\nkind = \"task\"\ncron = \"* * * * * *\"\n{more}\n"
    )
}

fn lines(sandbox: &Sandbox, file: &str) -> usize {
    sandbox.read(file).lines().count()
}

/// Waits until another schedule has seen some seconds pass.
fn seconds_pass(sandbox: &Sandbox) {
    let witnessed = lines(sandbox, "witness");
    wait_until("times pass", SOON, || lines(sandbox, "witness") >= witnessed + 3);
}

fn facts(sandbox: &Sandbox, app: &str, fact: &str) -> usize {
    sandbox.events_of(app).iter().filter(|event| event.fact == fact).count()
}

fn schedule(sandbox: &Sandbox, app: &str) -> Value {
    sandbox.pm(&["cron", "list", app, "--json"]).ok().json()["schedules"][0].clone()
}

#[test]
fn a_task_runs_at_its_times_and_not_before() {
    let sandbox = Sandbox::new();
    let yearly = "[[apps]]\nname = \"yearly\"\ncommand = \"echo ran >> yearly\"\nshell = true\nkind = \"task\"\ncron = \"@yearly\"\n";
    sandbox.ecosystem(&format!("{yearly}{}", task("tick", "echo ran >> tick", "")));
    sandbox.pm(&["apply"]).ok().says(&["scheduled"]);
    wait_until("it has run three times", SOON, || lines(&sandbox, "tick") >= 3 && sandbox.starts_of("tick/0") >= 3);
    let runs = sandbox.starts_of("tick/0");
    // Neither the apply, nor another one, nor the next daemon start what waits for its time.
    sandbox.pm(&["apply"]).ok();
    sandbox.kill_daemon();
    wait_until("the next daemon goes on", SOON, || sandbox.starts_of("tick/0") > runs + 1);
    assert_eq!((sandbox.starts_of("yearly/0"), sandbox.read("yearly")), (0, String::new()));
    assert_eq!(sandbox.instance("yearly/0").unwrap().phase, "waiting");
    sandbox.pm(&["list"]).ok().says(&["waiting, ", "-01-01"]);
    sandbox.pm(&["why", "yearly"]).ok().says(&["its next run is not due yet", "it runs at"]);
    sandbox.pm(&["describe", "yearly"]).ok().says(&["@yearly", "next"]);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn a_run_that_is_due_while_the_last_one_goes_on_is_left_out_and_told() {
    let sandbox = Sandbox::applied(&task("slow", "echo ran >> slow; exec sleep 1000", ""));
    wait_until("two times were left out", SOON, || facts(&sandbox, "slow", "cron_skipped") >= 2);
    assert_eq!((lines(&sandbox, "slow"), sandbox.starts_of("slow/0")), (1, 1));
    assert_eq!(sandbox.app_processes().len(), 1);
    sandbox.pm(&["events", "slow"]).ok().says(&["the last run is still going"]);
}

#[test]
fn one_run_waits_for_the_last_one_and_never_more() {
    let sandbox = Sandbox::new();
    let command = "echo ran >> queued; while [ ! -e go ]; do sleep 0.02; done";
    sandbox.ecosystem(&task("queued", command, "cron_overlap = \"queue\""));
    sandbox.pm(&["apply"]).ok();
    wait_until("one waits and another was left out", SOON, || facts(&sandbox, "queued", "cron_skipped") >= 1);
    assert_eq!(lines(&sandbox, "queued"), 1);
    sandbox.file("go", "");
    wait_until("the one that waited runs", SOON, || lines(&sandbox, "queued") >= 2);
}

#[test]
fn a_run_waits_for_what_its_task_depends_on() {
    let sandbox = Sandbox::new();
    let first = "[[apps]]\nname = \"first\"\ncommand = \"while [ ! -e go ]; do sleep 0.02; done\"\nshell = true\nkind = \"task\"\n";
    let keys = "depends_on = { first = \"completed\" }";
    sandbox.ecosystem(&(first.to_owned() + &task("second", "echo ran >> second", keys)));
    // A task is waited for to its end, and this one ends only with the file.
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("a time was left out", SOON, || facts(&sandbox, "second", "cron_skipped") >= 1);
    assert_eq!(lines(&sandbox, "second"), 0);
    sandbox.pm(&["events", "second"]).ok().says(&["is still waiting for its dependencies"]);
    sandbox.file("go", "");
    wait_until("it runs at its times", SOON, || lines(&sandbox, "second") >= 2);
}

#[test]
fn a_run_takes_the_place_of_the_last_one() {
    let sandbox = Sandbox::new();
    let keys = "cron_overlap = \"replace\"";
    sandbox.ecosystem(&task("newest", "echo ran >> newest; exec sleep 1000", keys));
    sandbox.pm(&["apply"]).ok();
    wait_until("it has run three times", SOON, || {
        assert!(sandbox.app_processes().len() <= 2, "one run and, while it is started, its shell");
        lines(&sandbox, "newest") >= 3
    });
    assert_eq!(facts(&sandbox, "newest", "cron_skipped"), 0);
}

#[test]
fn what_is_stopped_sleeps_and_what_is_deleted_is_gone() {
    let sandbox = Sandbox::applied(&(task("a", "echo ran >> a", "") + &task("witness", "echo ran >> witness", "")));
    wait_until("it runs", SOON, || lines(&sandbox, "a") >= 1);
    let stopped = sandbox.pm(&["stop", "a"]).ok().says(&["the schedule of a is suspended until `pm start a`"]);
    assert!(!stopped.to_string().contains("nothing to do"), "{stopped}");
    let again = sandbox.pm(&["stop", "a"]).ok().says(&["nothing to do"]);
    assert!(!again.to_string().contains("schedule"), "it was suspended already: {again}");
    let after_stop = lines(&sandbox, "a");
    let passed = || seconds_pass(&sandbox);
    passed();
    assert_eq!(lines(&sandbox, "a"), after_stop);
    assert_eq!(schedule(&sandbox, "a")["next"], serde_json::json!([]));
    sandbox.pm(&["cron", "run", "a"]).code(8).says(&["schedule is suspended", "pm start a"]);
    sandbox.pm(&["start", "a"]).ok();
    wait_until("it is awake again", SOON, || lines(&sandbox, "a") >= after_stop + 2);
    sandbox.pm(&["delete", "a"]).ok();
    let after_delete = lines(&sandbox, "a");
    passed();
    assert_eq!(lines(&sandbox, "a"), after_delete);
}

#[test]
fn a_service_is_restarted_at_its_times_unless_it_is_stopped() {
    let service = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ncron_restart = \"*/2 * * * * *\"\n";
    let sandbox = Sandbox::applied(&(task("witness", "echo ran >> witness", "") + service));
    let first = sandbox.pid("api/0");
    wait_until("it has another process", SOON, || {
        sandbox.instance("api/0").and_then(|api| api.pid).is_some_and(|pid| pid != first)
    });
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 0, "nothing went wrong");
    sandbox.pm(&["events", "api"]).ok().says(&["due at"]);
    sandbox.pm(&["stop", "api"]).ok();
    let starts = sandbox.starts_of("api/0");
    seconds_pass(&sandbox);
    assert_eq!((sandbox.starts_of("api/0"), sandbox.instance("api/0").unwrap().pid), (starts, None));
}

#[test]
fn a_person_runs_a_task_now() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"report\"\ncommand = \"echo ran >> report; [ ! -e fail ]\"\nshell = true\nkind = \"task\"\ncron = \"0 3 1 1 *\"\ncron_timezone = \"Asia/Kathmandu\"\n[[apps]]\nname = \"plain\"\ncommand = \"sleep 1000\"\n",
    );
    sandbox.pm(&["cron", "run", "report"]).ok();
    sandbox.pm(&["start", "report"]).ok();
    assert_eq!(lines(&sandbox, "report"), 2);
    let shown = schedule(&sandbox, "report");
    assert_eq!((&shown["zone"], &shown["status"]), (&"Asia/Kathmandu".into(), &"waiting".into()));
    assert_eq!(shown["last_exit"]["code"], 0);
    assert!(shown["last_start"].is_u64());
    sandbox.pm(&["cron", "next", "report", "--count", "3"]).ok().says(&["-01-01 03:00:00 +05:45"]);
    sandbox.pm(&["cron", "run", "plain"]).code(64).says(&["no schedule"]);
    sandbox.file("fail", "");
    assert_ne!(sandbox.pm(&["cron", "run", "report"]).status, 0, "a run that fails at once is told");
    sandbox.pm(&["cron", "list"]).ok().says(&["report", "exit code 1"]);
}

#[test]
fn a_wrong_schedule_is_shown_with_its_place() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = \"true\"\ncron = \"0 0 30 2 *\"\ncron_timezone = \"Mars/Olympus\"\n",
    );
    sandbox.pm(&["check"]).code(65).says(&["error[cron]", "never runs", "ecosystem.toml:5", "Mars/Olympus"]);
}

#[test]
fn a_run_outlives_the_daemon_and_is_known_to_the_next() {
    let sandbox = Sandbox::applied(&task("slow", "echo ran >> slow; exec sleep 1000", ""));
    let pid = sandbox.pid("slow/0");
    sandbox.kill_daemon();
    let left_out = facts(&sandbox, "slow", "cron_skipped");
    wait_until("the next daemon leaves times out", SOON, || facts(&sandbox, "slow", "cron_skipped") > left_out);
    assert_eq!((sandbox.pid("slow/0"), lines(&sandbox, "slow")), (pid, 1));
    let before = schedule(&sandbox, "slow")["last_start"].as_u64();
    assert!(before.is_some());
    // The run that it begins is not waited for: it never ends.
    sandbox.pm(&["restart", "slow", "--detach"]).ok();
    wait_until("a person may replace a run", SOON, || {
        sandbox.instance("slow/0").and_then(|row| row.pid).is_some_and(|new| new != pid)
    });
    sandbox.pm(&["stop", "slow"]).ok();
    assert_eq!(sandbox.app_processes().len(), 0);
    sandbox.kill_daemon();
    assert!(schedule(&sandbox, "slow")["last_start"].as_u64() > before, "how it last ran is known to a later daemon");
}

/// Kills at any moment: each time of the schedule is seen at most once.
#[test]
fn a_daemon_that_is_killed_again_and_again_repeats_no_time() {
    let sandbox = Sandbox::applied(&task("tick", "date +%s >> tick", ""));
    wait_until("it runs", SOON, || lines(&sandbox, "tick") >= 1);
    let anchor = sandbox.anchor_pid();
    for round in 0..12 {
        // Around the full second, where it is due.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let to_second = Duration::from_nanos(u64::from(1_000_000_000 - now.subsec_nanos()));
        pause_between_faults(to_second + Duration::from_millis(round));
        kill(sandbox.daemon_pid(), libc::SIGKILL);
    }
    assert_eq!(sandbox.anchor_pid(), anchor);
    let before = lines(&sandbox, "tick");
    wait_until("it goes on", SOON, || lines(&sandbox, "tick") >= before + 2);
    let dues = wait_for("every run is told", SOON, || {
        let events = sandbox.pm(&["events", "tick", "--limit", "100000", "--json"]).ok().json();
        let started = events["events"].as_array()?.iter().filter(|event| event["event"] == "started").cloned();
        let dues: Vec<u64> = started.filter_map(|event| event["due"].as_u64()).collect();
        (dues.len() > 2).then_some(dues)
    });
    sandbox.pm(&["stop", "tick"]).ok();
    let (starts, runs) = (sandbox.starts_of("tick/0"), lines(&sandbox, "tick"));
    // The last one may have been stopped before it wrote anything.
    assert!(runs == starts || runs + 1 == starts, "{runs} runs, {starts} starts told");
    let mut distinct = dues.clone();
    distinct.dedup();
    assert_eq!(distinct, dues, "a time came twice, or out of order");
}

#[test]
fn after_a_shutdown_nothing_is_shown_as_due() {
    let service = "[[apps]]\nname = \"svc\"\ncommand = \"sleep 1000\"\ncron_restart = \"@yearly\"\n";
    let sandbox = Sandbox::applied(&(task("q", "echo ran >> q", "") + service));
    wait_until("it runs", SOON, || lines(&sandbox, "q") >= 1);
    sandbox.pm(&["shutdown"]).ok();
    let list = sandbox.pm(&["list"]).ok().says(&["stopped, shut down"]);
    assert!(!list.stdout.contains("waiting, "), "{list}");
    assert_eq!(schedule(&sandbox, "q")["next"], serde_json::json!([]));
    sandbox.pm(&["cron", "list"]).ok().says(&["suspended since `pm shutdown`"]);
    for app in ["q", "svc"] {
        let why = sandbox.pm(&["why", app]).ok().says(&["stopped by `pm shutdown`", "`pm start`"]);
        assert!(!why.stdout.contains("is due at"), "{why}");
    }
    sandbox.pm(&["start", "q"]).ok();
    assert_ne!(schedule(&sandbox, "q")["next"], serde_json::json!([]));
}

#[test]
fn why_says_what_becomes_of_a_time_that_meets_a_run() {
    let failing = "restart = \"on-failure\"\nrestart_delay = \"60s\"";
    let late = task("late", "true", "depends_on = { first = \"completed\" }");
    let first = "[[apps]]\nname = \"first\"\ncommand = \"while [ ! -e go ]; do sleep 0.02; done\"\nshell = true\nkind = \"task\"\n";
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&(task("flaky", "exit 1", failing) + &late + first));
    // Tasks are waited for to their end, and these never end.
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("flaky/0", "backoff");
    let why = sandbox.pm(&["why", "flaky"]).ok().says(&["flaky/0: backoff", "it is restarted in", "is skipped"]);
    assert!(!why.stdout.contains("it runs at"), "{why}");
    wait_until("the other one waits", SOON, || {
        sandbox.pm(&["why", "late"]).ok().stdout.contains("because it has been waiting ")
    });
    let why = sandbox.pm(&["why", "late"]).ok().says(&["started as soon as that has happened", "is skipped"]);
    assert!(!why.stdout.contains("it runs at"), "{why}");
}
