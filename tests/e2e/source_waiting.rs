//! Commits that wait: for a window, for a user. What waits is told, survives kills, and is deployed once it may be.

use jiff::{Timestamp, ToSpan as _};

use crate::sources::{Origin, add, row};
use crate::support::{SOON, Sandbox, kill_both_now, wait_until};

/// A daily window of an hour that is closed for at least an hour from now, in UTC.
fn closed_window() -> String {
    let hour = |hours: i64| (Timestamp::now() + hours.hours()).strftime("%H:00").to_string();
    format!("{}-{}", hour(3), hour(4))
}

fn deployed() -> (Sandbox, Origin, String) {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    (sandbox, origin, first)
}

fn journal(sandbox: &Sandbox) -> Vec<u8> {
    std::fs::read(sandbox.home().join("state/desired.journal")).unwrap()
}

#[test]
fn outside_of_its_windows_a_commit_waits() {
    let (sandbox, origin, first) = deployed();
    let pid = sandbox.pid("api/0");
    let window = closed_window();
    add(&sandbox, &origin, &["--window", &window, "--timezone", "UTC"]).ok();
    // What runs waits for nothing.
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let second = origin.apps(&[("api", "2")]);
    let waits = sandbox.pm(&["source", "sync", "shop"]).code(8);
    waits.says(&[&second[..7], "waits for the next window, which opens at", "--force"]);
    let before = journal(&sandbox);
    sandbox.pm(&["source", "sync", "shop"]).code(8);
    assert!(journal(&sandbox) == before, "a look that finds it still waiting writes nothing");
    let waiting = row(&sandbox)["waiting"].clone();
    assert_eq!((waiting["commit"].as_str(), waiting["waits_for"].as_str()), (Some(&*second), Some("window")));
    // The next look comes when it opens, and not with the interval alone.
    let (next, until) = (row(&sandbox)["tick"]["next"].as_u64().unwrap(), waiting["until"].as_u64().unwrap());
    assert!(next <= until + 1000 && until > 0, "{next} {until}");
    sandbox.pm(&["source", "status", "shop"]).ok().says(&["waiting", &window, "UTC", "until"]);
    sandbox.pm(&["source", "list"]).ok().says(&["waiting", &second[..7]]);
    sandbox.pm(&["events", "-A"]).ok().says(&["until the next window opens"]);
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "1s"]).code(7);
    assert_eq!((sandbox.pid("api/0"), row(&sandbox)["applied"]["commit"].as_str()), (pid, Some(&*first)));
    kill_both_now(&sandbox);
    sandbox.pm(&["source", "sync", "shop"]).code(8);
    assert_eq!(sandbox.pid("api/0"), pid);
    // The window opens: here, because it is another one.
    add(&sandbox, &origin, &["--window", &window, "--window", "00:00-24:00"]).ok();
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "20s"]).ok();
    assert!(row(&sandbox)["waiting"].is_null());
    add(&sandbox, &origin, &["--window", &window, "--timezone", "UTC"]).ok();
    let third = origin.apps(&[("api", "3")]);
    sandbox.pm(&["source", "sync", "shop"]).code(8);
    sandbox.pm(&["source", "sync", "shop", "--force"]).ok().says(&[&third[..7]]);
    // A bad commit is gone back from, whatever the time.
    let bad = origin.apps(&[("api", "bad")]);
    sandbox.pm(&["source", "sync", "shop", "--force"]).code(6).says(&[&bad[..7], "rolled back"]);
    for wrong in ["Mon-Fri", "9-17", "25:00-26:00"] {
        add(&sandbox, &origin, &["--window", wrong]).code(64).says(&["is not a window", wrong]);
    }
    add(&sandbox, &origin, &["--window", &window, "--timezone", "Europe/Berln"]).code(64).says(&["no such time zone"]);
}

#[test]
fn a_commit_waits_until_a_user_approves_exactly_it() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &["--confirm"]).ok();
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&[
        &first[..7],
        "waits for approval",
        "pm source approve shop",
    ]);
    assert!(sandbox.list().is_empty(), "nothing was started");
    sandbox.pm(&["source", "status", "shop"]).ok().says(&["waiting", "for `pm source approve shop`"]);
    sandbox.pm(&["source", "diff", "shop"]).ok().says(&[&first[..7], "api"]);
    sandbox.pm(&["source", "approve", "shop", "--commit", "fffffff"]).code(64).says(&["no such commit", &first[..7]]);
    sandbox.pm(&["source", "approve", "shop", "--commit", &first[..7]]).ok().says(&["is approved"]);
    sandbox.pm(&["source", "wait", "shop", "--commit", &first, "--timeout", "20s"]).ok();
    sandbox.pm(&["source", "approve", "shop"]).code(64).says(&["no commit waits for approval"]);
    // One that was approved before anybody has seen it; and what comes after it waits again, over a kill.
    let pid = sandbox.pid("api/0");
    let second = origin.apps(&[("api", "2")]);
    sandbox.pm(&["source", "approve", "shop", "--commit", &second]).ok();
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "20s"]).ok();
    assert_ne!(sandbox.pid("api/0"), pid);
    let third = origin.apps(&[("api", "3")]);
    sandbox.pm(&["source", "sync", "shop"]).code(8);
    kill_both_now(&sandbox);
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&["waits for approval"]);
    let pid = sandbox.pid("api/0");
    // The approval outlives the daemon that took it.
    sandbox.pm(&["source", "approve", "shop"]).ok();
    sandbox.kill_daemon();
    sandbox.pm(&["source", "wait", "shop", "--commit", &third, "--timeout", "20s"]).ok();
    wait_until("the third runs", SOON, || sandbox.instance("api/0").is_some_and(|api| api.pid != Some(pid)));
    sandbox.pm(&["events", "-A"]).ok().says(&["until it is approved", "source approve by"]);
    let (other, origin, _) = deployed();
    drop(origin);
    let whole = "a".repeat(40);
    other.pm(&["source", "approve", "shop", "--commit", &whole]).code(64).says(&["need no approval", "--confirm"]);
}
