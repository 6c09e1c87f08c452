//! `pm source diff`: what the newest commit would change, without changing it.

use std::fs;

use crate::sources::{Origin, add, row};
use crate::support::Sandbox;

#[test]
fn the_plan_of_the_newest_commit_is_shown_and_nothing_is_touched() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1"), ("web", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let pids = (sandbox.pid("api/0"), sandbox.pid("web/0"));
    let diff = |more: &[&str]| sandbox.pm(&[&["source", "diff", "shop"][..], more].concat());
    diff(&["--detailed-exitcode"]).ok().says(&["is the newest commit"]);
    sandbox.pm(&["source", "suspend", "shop"]).ok();
    let second = origin.apps(&[("api", "1"), ("web", "2"), ("extra", "1")]);
    let before = row(&sandbox)["attempted"].clone();
    let journal = || fs::read(sandbox.home().join("state/desired.journal")).unwrap();
    let kept = journal();
    let shown = diff(&["--detailed-exitcode"]).code(2);
    shown.says(&[&second[..7], &first[..7], "web", "extra", "the source is suspended"]);
    let shown = diff(&[]).ok().stdout;
    assert!(
        shown.contains("1 unchanged") && shown.contains("1 roll, 1 start"),
        "the files of api are the same: {shown}"
    );
    let document = diff(&["--json"]).ok().json();
    assert_eq!((document["commit"].as_str(), document["runs"].as_str()), (Some(&*second), Some(&*first)));
    let counts = &document["plan"]["summary"];
    assert!(counts["roll"] == 1 && counts["start"] == 1 && counts["unchanged"] == 1, "{document}");
    assert!(journal() == kept && row(&sandbox)["attempted"] == before, "nothing is kept of it");
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("web/0")), pids);
    // What it was shown for is deployed as if nobody had looked.
    sandbox.pm(&["source", "resume", "shop"]).ok();
    sandbox.pm(&["source", "wait", "shop", "--commit", &second, "--timeout", "20s"]).ok();
    assert_eq!(sandbox.pid("api/0"), pids.0);
}

#[test]
fn a_commit_that_would_fail_says_why_and_is_not_remembered() {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let first = origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let pid = sandbox.pid("api/0");
    for (text, code, words) in [
        ("project = \"shop\"\n[[apps]\n", 65, "ecosystem.toml:2"),
        ("project = \"shop\"\napps = []\n", 65, "declares no app"),
        ("project = \"other\"\n[[apps]]\nname = \"api\"\ncommand = \"sleep 9\"\n", 8, "names the project `other`"),
    ] {
        origin.file("ecosystem.toml", text);
        origin.commit("wrong");
        sandbox.pm(&["source", "diff", "shop"]).code(code).says(&[words, "would fail"]);
        assert!(row(&sandbox)["failed"].is_null() && row(&sandbox)["applied"]["commit"] == first.as_str());
    }
    // A branch that was rewritten is shown with what keeps it from being deployed.
    origin.git(&["checkout", "--quiet", "--orphan", "new"]);
    origin.apps(&[("api", "9")]);
    origin.git(&["branch", "-M", "main"]);
    sandbox.pm(&["source", "diff", "shop"]).ok().says(&["only `--force` deploys it", "api"]);
    assert_eq!(sandbox.pid("api/0"), pid);
    fs::rename(origin.url(), sandbox.path("moved")).unwrap();
    sandbox.pm(&["source", "diff", "shop"]).code(1).says(&["cannot ask"]);
    sandbox.pm(&["source", "diff", "none"]).code(64).says(&["no source `none`"]);
}
