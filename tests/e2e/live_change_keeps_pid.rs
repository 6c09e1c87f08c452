//! What a running process need not know about is changed without touching it.

use crate::support::{SOON, Sandbox, wait_until};

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

#[test]
fn what_a_process_gets_at_its_start_only_costs_a_new_one_and_the_plan_says_so() {
    let sandbox = Sandbox::new();
    let script = sandbox.file(
        "app.py",
        r#"
import os, socket, threading
name = os.environ.get("NOTIFY_SOCKET")
said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if name:
    said.connect("\0" + name[1:] if name[0] == "@" else name)
while True:
    if name:
        said.send(b"READY=1\nWATCHDOG=1")
    print("alive", flush=True)
    threading.Event().wait(0.1)
"#,
    );
    let app = format!("[[apps]]\nname = \"api\"\ncommand = \"python3 {}\"\n", script.display());
    for (before, after) in [
        ("", "health = { notify = true, interval = \"1s\", failures = 1 }\n"),
        ("", "ready = { notify = true }\n"),
        ("disable_logs = true\n", ""),
    ] {
        sandbox.ecosystem(&format!("{app}{before}"));
        sandbox.pm(&["apply"]).ok();
        let old = sandbox.wait_pid("api/0");
        sandbox.ecosystem(&format!("{app}{after}"));
        sandbox.pm(&["plan"]).ok().says(&["-/+ api  roll 1"]);
        sandbox.pm(&["apply"]).ok();
        let new = sandbox.wait_pid("api/0");
        assert_ne!(old, new, "after `{after}`");
        sandbox.wait_phase("api/0", "running");
        if before.contains("disable_logs") {
            wait_until("its output arrives", SOON, || sandbox.pm(&["logs", "api"]).ok().stdout.contains("alive"));
        }
    }
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
}
