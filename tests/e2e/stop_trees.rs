//! Trees that do not want to die: hoppers, storms, daemons; a kill is counted and told.

use crate::support::{SOON, Sandbox, wait_until};

fn applied(script: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", script);
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sh app.sh\"\nkill_timeout = \"500ms\"\n{more}"));
    sandbox.pm(&["apply"]).ok();
    wait_until("it is at work", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"up"));
    sandbox
}

fn stops_without_a_trace(sandbox: &Sandbox) {
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.app_processes(), [], "the command returned, and something is left");
}

const DOUBLE_FORK: &str = "(setsid sh -c '(setsid sleep 1001 &) ; sleep 1002' &)\necho up\nsleep 1000\n";
const HOPPER: &str = "cat >hop.sh <<'END'\nn=$1\nsleep 0.05\n[ $n -gt 0 ] && setsid sh hop.sh $((n - 1)) &\nEND\nsetsid sh hop.sh 400 &\necho up\nsleep 1000\n";
// Bounded: at most sixty at a time, two hundred in all.
const STORM: &str = "trap '' TERM\ni=0\necho up\nwhile [ $i -lt 200 ]; do i=$((i + 1)); (trap '' TERM; sleep 3) & [ $((i % 60)) -eq 0 ] && sleep 1; done\nsleep 1000\n";

#[test]
fn double_forks_hoppers_and_storms_are_gone_when_the_stop_returns() {
    for script in [DOUBLE_FORK, HOPPER, STORM] {
        stops_without_a_trace(&applied(script, ""));
    }
}

#[test]
fn the_same_with_a_control_group_where_there_is_one() {
    for script in [DOUBLE_FORK, HOPPER, STORM] {
        stops_without_a_trace(&applied(script, "limits = { memory = \"1G\" }\n"));
    }
}

#[test]
fn a_kill_is_counted_and_shown_also_by_the_next_daemon() {
    let sandbox = applied("trap '' TERM\necho up\nwhile :; do sleep 1; done\n", "");
    sandbox.pm(&["restart", "api"]).ok();
    let count = || sandbox.pm(&["list", "--json"]).ok().json()["apps"][0]["force_kills"].as_u64();
    assert_eq!(count(), Some(1));
    sandbox.kill_daemon();
    assert_eq!(count(), Some(1));
    let told = sandbox.events_of("api").iter().filter(|event| event.fact == "force_killed").count();
    assert_eq!(told, 1);
    sandbox.pm(&["describe", "api"]).ok().says(&["killed"]);
}
