//! What a running process need not know about is changed without touching it.

use crate::support::Sandbox;

const FILE: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
"#;

#[test]
fn policies_change_without_a_new_process() {
    let sandbox = Sandbox::applied(FILE);
    let before = sandbox.instance("api/0");
    for line in [
        "kill_timeout = \"3s\"",
        "restart = \"on-failure\"",
        "max_restarts = 7",
        "restart_delay = \"250ms\"",
        "stop_exit_codes = [3]",
        "log_rotate = { size = \"1M\", keep = 2 }",
        "namespace = \"backend\"",
        "protect = true",
    ] {
        sandbox.ecosystem(&format!("{FILE}{line}\n"));
        sandbox.pm(&["plan", "--detailed-exitcode"]).code(2);
        sandbox.pm(&["apply"]).ok();
        assert_eq!(sandbox.instance("api/0"), before, "after {line}");
        sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    }
}
