//! `pm apply` starts what the file says, and only what changed is touched the next time.

use crate::support::{Sandbox, run, start_time};

const TWO: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
env = { LEVEL = "info" }

[[apps]]
name = "worker"
command = "sleep 2000"
"#;

#[test]
fn apply_starts_every_app_of_the_file() {
    let sandbox = Sandbox::applied(TWO);
    for id in ["api/0", "worker/0"] {
        assert!(start_time(sandbox.pid(id)).is_some(), "{id} is listed as running, and no such process exists");
    }
}

#[test]
fn a_changed_app_is_replaced_and_its_neighbour_is_not() {
    let sandbox = Sandbox::applied(TWO);
    let (api, worker) = (sandbox.pid("api/0"), sandbox.pid("worker/0"));
    sandbox.ecosystem(&TWO.replace("info", "debug"));
    sandbox.pm(&["plan"]).ok().says(&["api", "LEVEL", "info", "debug"]);
    sandbox.pm(&["apply"]).ok();
    let replaced = sandbox.pid("api/0");
    assert_ne!(replaced, api);
    assert_eq!(sandbox.pid("worker/0"), worker);
    assert_eq!(start_time(api), None, "the old process of api is gone");
    let environment = std::fs::read(format!("/proc/{replaced}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("LEVEL=debug"));
}

#[test]
fn a_removed_variable_is_gone_from_the_new_process() {
    let sandbox = Sandbox::applied(TWO);
    sandbox.ecosystem(&TWO.replace("env = { LEVEL = \"info\" }", ""));
    sandbox.pm(&["apply"]).ok();
    let environment = std::fs::read(format!("/proc/{}/environ", sandbox.pid("api/0"))).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("LEVEL="));
}

#[test]
fn plan_and_dry_run_touch_nothing() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(TWO);
    sandbox.pm(&["plan"]).ok().says(&["+", "api", "worker"]);
    sandbox.pm(&["apply", "--dry-run"]).ok();
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
    assert_eq!(sandbox.list(), []);
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn the_file_is_found_from_a_folder_below() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(TWO);
    sandbox.file("deep/down/here.txt", "");
    run(sandbox.command(&["apply"]).current_dir(sandbox.path("deep/down"))).ok().says(&["ecosystem.toml"]);
    sandbox.pid("api/0");
}

#[test]
fn only_one_app_can_be_applied() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(TWO);
    sandbox.pm(&["apply", "--only", "worker"]).ok();
    sandbox.pid("worker/0");
    assert_eq!(sandbox.instance("api/0"), None);
}

#[test]
fn the_environment_of_the_shell_does_not_leak_into_apps() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(TWO);
    run(sandbox.command(&["apply"]).env("LEAKED_TOKEN", "secret")).ok();
    let environment = std::fs::read(format!("/proc/{}/environ", sandbox.pid("api/0"))).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(!environment.contains("LEAKED_TOKEN"), "{environment}");
    for name in ["PATH=", "HOME=", "PM_APP=api", "PM_PROJECT=shop", "PM_INSTANCE=0"] {
        assert!(environment.contains(name), "{name} is missing: {environment}");
    }
}
