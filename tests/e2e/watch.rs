//! A changed file restarts its app: once per burst, with the file named, and never because of what does not count.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{SOON, Sandbox, has_any, kill, pause_between_faults, wait_until};

/// The app of these tests.
pub const FILE: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
cwd = "app"
watch = true
watch_delay = "100ms"
"#;

/// A project whose app watches its folder `app`, with one file in it.
fn watching(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.ecosystem(&format!("{FILE}{more}"));
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("api/0");
    is_watched(&sandbox);
    sandbox
}

/// Longer than the quiet period, so that what comes after it is a burst of its own.
const APART: Duration = Duration::from_millis(300);

/// Waits until the watcher has registered: a change is answered.
#[track_caller]
pub fn is_watched(sandbox: &Sandbox) {
    settle(sandbox);
}

fn is_replaced(sandbox: &Sandbox, before: u32) -> bool {
    sandbox.instance("api/0").is_some_and(|api| api.phase == "running" && api.pid != Some(before))
}

/// The starts of `api/0` so far: number of the event, and the file that caused it.
fn starts(sandbox: &Sandbox) -> Vec<(u64, String)> {
    let document = sandbox.pm(&["events", "api", "--limit", "1000000", "--json"]).ok().json();
    let events = document["events"].as_array().unwrap().clone();
    let is_start = |event: &Value| event["event"] == "started" && event["about"]["instance"] == "shop:api/0";
    let start = |event: Value| (event["seq"].as_u64().unwrap(), event["path"].as_str().unwrap_or_default().to_owned());
    events.into_iter().filter(is_start).map(start).collect()
}

/// Waits until nothing that was done before can cause anything any more: a mark that is written now has come through.
/// Of what waits while the app is busy only the newest is kept, so nothing is behind the mark.
#[track_caller]
fn settle(sandbox: &Sandbox) {
    let last = starts(sandbox).last().map_or(0, |start| start.0);
    let mut round = 0;
    wait_until("the mark is noticed", SOON, || {
        pause_between_faults(APART);
        if round % 5 == 0 {
            sandbox.file("app/mark", format!("{last} {round}"));
        }
        round += 1;
        starts(sandbox).last().is_some_and(|(seq, path)| *seq > last && path == "mark")
    });
}

/// How often the app was started by what `act` does; marks do not count.
#[track_caller]
pub fn restarts_by(sandbox: &Sandbox, act: impl FnOnce()) -> usize {
    let count = || starts(sandbox).iter().filter(|(_, path)| path != "mark").count();
    settle(sandbox);
    let before = count();
    act();
    settle(sandbox);
    count() - before
}

#[test]
fn a_saved_file_restarts_its_app_and_is_named() {
    let sandbox = watching("");
    let before = sandbox.pid("api/0");
    sandbox.file("app/src/server.js.tmp7", "two");
    fs::rename(sandbox.path("app/src/server.js.tmp7"), sandbox.path("app/src/server.js")).unwrap();
    wait_until("the app has a new process", SOON, || is_replaced(&sandbox, before));
    sandbox.pm(&["why", "api"]).ok().says(&["src/server.js changed"]);
    let events = sandbox.pm(&["events", "api", "--json"]).ok().json();
    assert!(has_any(&events, "path", "src/server.js"), "{events:#}");
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 0, "nobody's fault");
}

#[test]
fn what_does_not_count_restarts_nothing() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.file("app/.gitignore", "/dist\n");
    sandbox.file("app/node_modules/x/index.js", "one");
    let logs = "out_file = \"app/logs/api.txt\"\nignore_watch = [\"notes\"]\n";
    let talks = FILE.replace("sleep 1000", "sh -c 'while :; do echo talk; sleep 0.05; done'");
    sandbox.ecosystem(&format!("{talks}{logs}"));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/src/server.js", "two"))), 1);
    for (what, file, text) in [
        ("the same bytes", "app/src/server.js", "two".to_owned()),
        ("a folder of packages", "app/node_modules/x/index.js", "two".into()),
        ("a path of .gitignore", "app/dist/bundle.js", "two".into()),
        ("a path of ignore_watch", "app/notes", "two".into()),
        ("a swap file", "app/src/.server.js.swp", "two".into()),
        ("a file outside", "other.js", "two".into()),
    ] {
        assert_eq!(restarts_by(&sandbox, || drop(sandbox.file(file, text))), 0, "{what}");
    }
    wait_until("the app has talked", SOON, || sandbox.read("app/logs/api.txt").lines().count() > 5);
    assert_eq!(restarts_by(&sandbox, || ()), 0, "its own log, which lies in the watched folder");
}

#[test]
fn three_thousand_files_are_one_restart() {
    let sandbox = watching("");
    let write = || (0..3000).for_each(|number| drop(sandbox.file(&format!("app/many/{number}.js"), "x")));
    assert_eq!(restarts_by(&sandbox, write), 1);
}

#[test]
fn new_folders_are_watched_and_moved_ones_followed() {
    let sandbox = watching("");
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/new/deep/a.js", "1"))), 1);
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/new/deep/a.js", "2"))), 1);
    assert_eq!(restarts_by(&sandbox, || fs::rename(sandbox.path("app/new"), sandbox.path("app/moved")).unwrap()), 1);
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/moved/deep/a.js", "3"))), 1);
}

#[test]
fn a_stopped_app_stays_stopped() {
    let sandbox = watching("");
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.file("app/src/server.js", "two");
    pause_between_faults(Duration::from_millis(500));
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    sandbox.pm(&["start", "api"]).ok();
    is_watched(&sandbox);
}

#[test]
fn the_next_daemon_watches_again() {
    let sandbox = watching("");
    let before = sandbox.pid("api/0");
    sandbox.kill_daemon();
    assert_eq!(sandbox.pid("api/0"), before, "the app is not touched");
    is_watched(&sandbox);
}

#[test]
fn an_apply_changes_what_is_watched_without_touching_a_process() {
    let sandbox = watching("");
    let before = sandbox.pid("api/0");
    sandbox.ecosystem(&format!("{FILE}ignore_watch = [\"src\"]\n"));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.pid("api/0"), before);
    is_watched(&sandbox);
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/src/server.js", "two"))), 0);
    sandbox.ecosystem(&FILE.replace("watch = true", "watch = false"));
    let before = sandbox.pid("api/0");
    sandbox.pm(&["apply"]).ok();
    sandbox.file("app/src/server.js", "changed");
    pause_between_faults(Duration::from_millis(500));
    assert_eq!(sandbox.pid("api/0"), before, "nothing is watched any more");
}

/// `git pull && pm apply`: the quiet period after the save is not over when the apply changes what is watched.
#[test]
fn a_save_together_with_an_apply_is_not_lost() {
    let more = |watch: &str, log: &str| {
        let other = format!("[[apps]]\nname = \"other\"\ncommand = \"sleep 1000\"\nout_file = {log:?}\n");
        FILE.replace("watch = true", &format!("watch = {watch}")).replace("100ms", "500ms") + &other
    };
    let sandbox = watching("");
    sandbox.file("app/lib/b.js", "0");
    for (round, (watch, log)) in [
        ("[\"src\", \"mark\"]", "b.log"),
        ("[\"src\", \"lib\"]", "b.log"),
        ("[\"src\"]", "c.log"),
        ("[\"src\", \"lib\"]", "d.log"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = sandbox.pid("api/0");
        sandbox.ecosystem(&more(watch, log));
        sandbox.file("app/src/server.js", (round + 1).to_string());
        sandbox.pm(&["apply"]).ok();
        wait_until("the save is acted upon", SOON, || is_replaced(&sandbox, before));
    }
    // Under another name, too.
    let before = sandbox.pid("api/0");
    let renamed = more("[\"src\"]", "d.log").replace("name = \"api\"", "name = \"web\"\nmoved_from = [\"api\"]");
    sandbox.file("app/src/server.js", "renamed");
    sandbox.ecosystem(&renamed);
    sandbox.pm(&["apply"]).ok();
    wait_until("the renamed one is restarted", SOON, || {
        sandbox.instance("web/0").is_some_and(|web| web.phase == "running" && web.pid.is_some_and(|pid| pid != before))
    });
}

#[test]
fn polling_notices_the_same() {
    let sandbox = watching("watch_options = { poll = true, interval = \"50ms\" }\n");
    assert_eq!(restarts_by(&sandbox, || drop(sandbox.file("app/src/server.js", "two"))), 1);
}

#[test]
fn all_copies_are_restarted_by_one_change() {
    let sandbox = watching("instances = 3\nenv = { COPY = \"${PM_INSTANCE}\" }\n");
    let pids = || ["api/0", "api/1", "api/2"].map(|id| sandbox.pid(id));
    let before = pids();
    sandbox.file("app/src/server.js", "two");
    wait_until("every copy is new", SOON, || pids().iter().zip(&before).all(|(now, before)| now != before));
}

#[test]
fn a_failed_build_keeps_what_runs_and_the_next_good_one_replaces_it() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.file("app/node_modules/.keep", "");
    let build =
        "build = \"cat src/server.js > node_modules/built && echo from $PM_APP && ! grep wrong src/server.js\"\n";
    sandbox.ecosystem(&format!("{FILE}{build}"));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    let before = sandbox.pid("api/0");
    sandbox.file("app/src/server.js", "something wrong");
    let failed = || sandbox.events_of("api").iter().any(|event| event.fact == "build_failed");
    wait_until("the failure is told", SOON, failed);
    assert_eq!(sandbox.pid("api/0"), before, "the old process is kept");
    sandbox.pm(&["events", "api"]).ok().says(&["ended with exit code 1", "from api", "something wrong"]);
    sandbox.file("app/src/server.js", "two");
    wait_until("the good one runs", SOON, || is_replaced(&sandbox, before));
    assert_eq!(sandbox.read("app/node_modules/built"), "two", "the build came first");
}

#[test]
fn a_build_that_dies_with_its_daemon_is_done_by_the_next_one() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.file("app/node_modules/go", "");
    let build =
        "build = \"paste src/server.js >> node_modules/built; until [ -e node_modules/go ]; do sleep 0.05; done\"\n";
    sandbox.ecosystem(&format!("{FILE}{build}"));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    fs::remove_file(sandbox.path("app/node_modules/go")).unwrap();
    let before = sandbox.pid("api/0");
    sandbox.file("app/src/server.js", "two");
    let rounds = || sandbox.read("app/node_modules/built").lines().filter(|line| *line == "two").count();
    wait_until("the build has begun", SOON, || rounds() == 1);
    sandbox.kill_daemon();
    sandbox.file("app/node_modules/go", "");
    wait_until("the app is replaced", SOON, || is_replaced(&sandbox, before));
    assert_eq!(rounds(), 2, "by a build of the next daemon");
    let count = || starts(&sandbox).iter().filter(|(_, path)| path == "src/server.js").count();
    settle(&sandbox);
    sandbox.kill_daemon();
    settle(&sandbox);
    assert_eq!(count(), 1, "what is done is not done again");
}

#[test]
fn a_folder_that_is_gone_ends_nothing_until_it_is_back() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.ecosystem(&FILE.replace("watch = true", "watch = [\"src\", \"mark\"]"));
    sandbox.file("app/mark", "0");
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    let before = sandbox.pid("api/0");
    fs::rename(sandbox.path("app"), sandbox.path("old")).unwrap();
    pause_between_faults(Duration::from_millis(400));
    assert_eq!(sandbox.pid("api/0"), before);
    fs::rename(sandbox.path("old"), sandbox.path("app")).unwrap();
    wait_until("it is back", SOON, || is_replaced(&sandbox, before));
}

#[test]
fn changes_while_the_app_is_slow_to_stop_are_one_more_restart() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    let slow = FILE.replace("sleep 1000", "sh -c 'trap \\\"sleep 1; exit 0\\\" TERM; while :; do sleep 0.1; done'");
    sandbox.ecosystem(&slow);
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    let before = sandbox.starts_of("api/0");
    sandbox.file("app/src/server.js", "two");
    let stops = || sandbox.instance("api/0").is_some_and(|api| api.phase == "stopping");
    wait_until("it is being replaced", SOON, stops);
    for round in 0..5 {
        sandbox.file("app/src/server.js", format!("three {round}"));
        pause_between_faults(Duration::from_millis(20));
    }
    wait_until("two replacements", SOON, || sandbox.starts_of("api/0") >= before + 2);
    settle(&sandbox);
    let named = starts(&sandbox).iter().filter(|(_, path)| path == "src/server.js").count();
    assert_eq!(named, 2, "one for the first change, one for all that came while it was slow");
    kill(sandbox.pid("api/0"), libc::SIGKILL);
}

/// From a save until the new process has begun to print.
fn until_it_runs(sandbox: &Sandbox, save: impl FnOnce()) -> Duration {
    let lines = || sandbox.log_text("api", "out", 0).len();
    let (before, began) = (lines(), std::time::Instant::now());
    save();
    wait_until("the new process prints", SOON, || lines() > before);
    began.elapsed()
}

#[test]
fn one_save_does_not_wait_for_the_whole_quiet_period() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    let talks = FILE.replace("sleep 1000", "sh -c 'echo up; exec sleep 1000'").replace("100ms", "2s");
    sandbox.ecosystem(&talks);
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    let took = until_it_runs(&sandbox, || drop(sandbox.file("app/src/server.js", "two")));
    assert!(took >= Duration::from_secs(2), "soon after the last one it may be its continuation: {took:?}");
    pause_between_faults(Duration::from_secs(11));
    let took = until_it_runs(&sandbox, || {
        sandbox.file("app/src/server.js.tmp7", "three");
        fs::rename(sandbox.path("app/src/server.js.tmp7"), sandbox.path("app/src/server.js")).unwrap();
    });
    assert!(took < Duration::from_millis(1_900), "15 % of it are enough: {took:?}");
}

#[test]
fn whatever_writes_for_seconds_is_one_restart() {
    let sandbox = Sandbox::new();
    sandbox.file("app/src/server.js", "one");
    sandbox.ecosystem(&FILE.replace("100ms", "400ms"));
    sandbox.pm(&["apply"]).ok();
    is_watched(&sandbox);
    let spread = restarts_by(&sandbox, || {
        pause_between_faults(Duration::from_secs(3)); // no continuation of what was before
        let began = std::time::Instant::now();
        for number in 0..3_000 {
            sandbox.file(&format!("app/src/part{number}.js"), "x");
            while began.elapsed() < Duration::from_micros(667) * number {
                std::thread::yield_now();
            }
        }
    });
    assert_eq!(spread, 1, "3,000 files in two seconds");
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(args).current_dir(sandbox.path("app"));
        let output = git.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "src"]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["checkout", "-q", "-b", "other"]);
    for number in 0..500 {
        sandbox.file(&format!("app/src/part{number}.js"), "y");
    }
    git(&["commit", "-q", "-a", "-m", "two"]);
    let checkout = restarts_by(&sandbox, || {
        pause_between_faults(Duration::from_secs(3));
        git(&["checkout", "-q", "main"]);
    });
    assert_eq!(checkout, 1, "a checkout of 500 files");
}
