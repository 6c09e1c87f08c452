//! Copies come and go at the upper end; those that stay are not touched.

use crate::support::Sandbox;

fn file(instances: &str) -> String {
    format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n{instances}\n")
}

fn pids(sandbox: &Sandbox) -> Vec<u32> {
    sandbox.list().iter().filter_map(|instance| instance.pid).collect()
}

#[test]
fn survivors_of_a_scale_keep_pid_and_slot() {
    let sandbox = Sandbox::applied(&file("instances = 2"));
    let two = pids(&sandbox);
    sandbox.ecosystem(&file("instances = 4"));
    sandbox.pm(&["apply"]).ok();
    let four = pids(&sandbox);
    assert_eq!(four.len(), 4);
    assert_eq!(four[..2], two[..]);
    sandbox.ecosystem(&file("instances = 1"));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(pids(&sandbox), two[..1]);
}

#[test]
fn a_scale_by_hand_stays_while_the_file_has_no_opinion() {
    let sandbox = Sandbox::applied(&file(""));
    sandbox.pm(&["scale", "api", "3"]).ok();
    let three = pids(&sandbox);
    assert_eq!(three.len(), 3);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(pids(&sandbox), three);
}

#[test]
fn a_scale_by_hand_is_drift_where_the_file_has_one() {
    let sandbox = Sandbox::applied(&file("instances = 1"));
    sandbox.pm(&["scale", "api", "2"]).ok();
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2).says(&["api"]);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(pids(&sandbox).len(), 1);
}

#[test]
fn each_copy_knows_its_slot_and_port() {
    let sandbox = Sandbox::applied(&file("instances = 3\nport = 9100"));
    for (slot, pid) in pids(&sandbox).into_iter().enumerate() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        for value in
            [format!("PM_INSTANCE={slot}\0"), format!("NODE_APP_INSTANCE={slot}\0"), format!("PORT={}\0", 9100 + slot)]
        {
            assert!(environment.contains(&value), "{value:?} is missing: {environment}");
        }
    }
}

#[test]
fn zero_copies_are_declared_and_none_runs() {
    let sandbox = Sandbox::applied(&file("instances = 0"));
    assert_eq!(sandbox.app_processes(), []);
    sandbox.ecosystem(&file("instances = 1"));
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("api/0");
}

#[test]
fn a_scale_of_what_does_not_run_says_when_it_counts() {
    let sandbox = Sandbox::applied(&file(""));
    sandbox.pm(&["stop", "api"]).ok();
    let scaled = sandbox.pm(&["scale", "api", "3"]).ok().says(&["api is not running; 3 copies are started next time"]);
    assert!(!scaled.to_string().contains("nothing to do"), "{scaled}");
    sandbox.pm(&["scale", "api", "3"]).ok().says(&["nothing to do"]);
    sandbox.pm(&["start", "api"]).ok();
    assert_eq!(pids(&sandbox).len(), 3);
}
