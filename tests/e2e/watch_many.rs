//! Many watched apps share one descriptor of the kernel, of which a user may have 128; each is told what is its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{SOON, Sandbox, has_any, pause_between_faults, wait_until};

/// More than the quiet period of these apps.
const APART: Duration = Duration::from_millis(300);

/// Descriptors of the daemon by which the kernel tells changes.
fn descriptors(sandbox: &Sandbox) -> usize {
    let folder = format!("/proc/{}/fd", sandbox.daemon_pid());
    let links = fs::read_dir(folder).unwrap().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("inotify")).count()
}

fn app(name: &str, rest: &str) -> String {
    format!("[[apps]]\nname = \"{name}\"\ncommand = \"sleep 1000\"\nwatch_delay = \"100ms\"\n{rest}\n\n")
}

fn pids(sandbox: &Sandbox) -> BTreeMap<String, Option<u32>> {
    sandbox.list().into_iter().map(|instance| (instance.id.clone(), instance.pid)).collect()
}

#[test]
fn four_hundred_watched_apps_need_one_descriptor() {
    for count in [135, 400] {
        let sandbox = Sandbox::new();
        let mut file = String::new();
        for number in 0..count {
            let folder = number % 10;
            sandbox.file(&format!("app{folder}/server.js"), "one");
            let _ = write!(file, "{}", app(&format!("a{number}"), &format!("cwd = \"app{folder}\"\nwatch = true")));
        }
        sandbox.ecosystem(&file);
        sandbox.pm(&["apply"]).ok();
        let before = pids(&sandbox);
        assert_eq!(before.len(), count);
        let mut round = 0;
        wait_until("every app is watched: a change in its folder replaces it", SOON * 4, || {
            if round % 10 == 0 {
                (0..10).for_each(|folder| drop(sandbox.file(&format!("app{folder}/mark"), round.to_string())));
            }
            round += 1;
            pause_between_faults(APART);
            let now = pids(&sandbox);
            before.iter().all(|(instance, pid)| now.get(instance).is_some_and(|now| now.is_some() && now != pid))
        });
        assert_eq!(descriptors(&sandbox), 1, "{count} apps");
        let events = sandbox.pm(&["events", "--limit", "100000", "--json"]).ok().json();
        assert!(!has_any(&events, "event", "watch_trouble"), "nothing had to be polled");
    }
}

/// How often an app was started because of this file.
fn starts(sandbox: &Sandbox, app: &str, path: &str) -> usize {
    let document = sandbox.pm(&["events", app, "--limit", "100000", "--json"]).ok().json();
    let is_start = |event: &&Value| {
        event["event"] == "started"
            && event["path"].as_str().is_some_and(|text| text == path || text.ends_with(&format!("/{path}")))
    };
    document["events"].as_array().unwrap().iter().filter(is_start).count()
}

/// Waits until all of these have noticed a mark: nothing that was done before is still on its way to them.
#[track_caller]
fn settle(sandbox: &Sandbox, apps: &[&str]) {
    let count = |app: &str| starts(sandbox, app, "mark");
    let before: Vec<usize> = apps.iter().map(|app| count(app)).collect();
    let mut round = 0;
    wait_until("the mark is noticed", SOON, || {
        pause_between_faults(APART);
        if round % 5 == 0 {
            sandbox.file("app/src/mark", format!("{before:?} {round}"));
        }
        round += 1;
        apps.iter().zip(&before).all(|(app, before)| count(app) > *before)
    });
}

#[test]
fn apps_that_watch_the_same_files_are_told_each_and_leave_each_other_alone() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    let whole = "cwd = \"app\"\nwatch = true";
    let all = [app("one", whole), app("two", whole), app("part", "watch = [\"app/src\"]")].concat();
    sandbox.ecosystem(&all);
    sandbox.pm(&["apply"]).ok();
    let mut save = {
        let (mut number, sandbox) = (0, &sandbox);
        move |apps: &[&str], others: &[&str]| {
            settle(sandbox, apps);
            number += 1;
            let name = format!("save{number}");
            sandbox.file(&format!("app/src/{name}"), "new");
            settle(sandbox, apps);
            for app in apps {
                assert_eq!(starts(sandbox, app, &name), 1, "{app}: save {number}");
            }
            for app in others {
                assert_eq!(starts(sandbox, app, &name), 0, "{app}: save {number}");
            }
        }
    };
    save(&["one", "two", "part"], &[]);
    sandbox.pm(&["stop", "one"]).ok();
    save(&["two", "part"], &["one"]);
    sandbox.pm(&["start", "one"]).ok();
    sandbox.ecosystem(&all.replace("name = \"two\"", "name = \"three\""));
    sandbox.pm(&["apply"]).ok();
    save(&["one", "three", "part"], &[]);
    sandbox.ecosystem(&app("one", whole));
    sandbox.pm(&["apply", "--yes"]).ok();
    save(&["one"], &[]);
    assert_eq!(descriptors(&sandbox), 1);
}
