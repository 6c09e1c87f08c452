//! Applying again does nothing, however the file is written.

use crate::support::{Sandbox, run};

const FILE: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
instances = 2
env = { A = "1", B = "2" }
"#;

#[test]
fn applying_the_same_file_touches_nothing() {
    let sandbox = Sandbox::applied(FILE);
    let before = sandbox.list();
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    sandbox.pm(&["diff"]).ok();
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.list(), before);
}

#[test]
fn comments_order_and_format_plan_nothing() {
    let sandbox = Sandbox::applied(FILE);
    let before = sandbox.list();
    sandbox.ecosystem(
        "# the same again\n[apps.api]\nenv.B = '2'\nenv.A = \"1\"\ninstances = 2 # two\ncommand = \"sleep   1000\"\n",
    );
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    std::fs::remove_file(sandbox.path("ecosystem.toml")).unwrap();
    sandbox.file(
        "ecosystem.yaml",
        "project: shop\napps:\n- name: api\n  command: sleep 1000\n  instances: 2\n  env: {B: '2', A: '1'}\n",
    );
    sandbox.pm(&["apply", "--replace-files"]).ok();
    assert_eq!(sandbox.list(), before);
}

#[test]
fn a_new_shell_environment_plans_nothing() {
    let sandbox = Sandbox::applied(FILE);
    let plan = ["plan", "--detailed-exitcode"];
    run(sandbox.command(&plan).env("LANG", "de_DE.UTF-8").env("OTHER", "1")).ok();
}

#[test]
fn a_new_daemon_plans_nothing() {
    let sandbox = Sandbox::applied(FILE);
    let before = sandbox.list();
    sandbox.kill_daemon();
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    assert_eq!(sandbox.list(), before);
}
