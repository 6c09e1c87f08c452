//! `moved_from` renames an app without a restart.

use crate::support::Sandbox;

const OLD: &str = "[[apps]]\nname = \"old-api\"\ncommand = \"sleep 1000\"\n";

#[test]
fn a_renamed_app_keeps_its_process() {
    let sandbox = Sandbox::applied(OLD);
    let pid = sandbox.pid("old-api/0");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\nmoved_from = [\"old-api\"]\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["plan"]).ok().says(&["old-api", "pid kept"]);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.pid("api/0"), pid);
    assert_eq!(sandbox.instance("old-api/0"), None);
    let events = sandbox.pm(&["events", "api"]).ok();
    assert_eq!(events.stdout.matches("was renamed from").count(), 1, "it is told once: {events}");
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn without_moved_from_the_plan_offers_it() {
    let sandbox = Sandbox::applied(OLD);
    sandbox.ecosystem(&OLD.replace("old-api", "api"));
    sandbox.pm(&["plan"]).ok().says(&["moved_from"]);
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("api/0");
    assert_eq!(sandbox.list().len(), 1);
}
