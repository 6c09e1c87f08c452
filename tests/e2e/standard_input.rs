//! `stdin = "pipe"`: programs that end with their standard input go on, whoever else ends.

use crate::support::{SOON, Sandbox, kill_both_now, wait_until};

#[test]
fn a_program_that_ends_with_its_standard_input_goes_on() {
    let sandbox = Sandbox::new();
    let app = |name: &str, stdin: &str| {
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"cat\"\n{stdin}restart = \"never\"\n")
    };
    let open = |stdin: &str| sandbox.ecosystem(&format!("{}{}", app("ends", ""), app("stays", stdin)));
    open("stdin = \"pipe\"\n");
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("ends/0", "done");
    let pid = sandbox.wait_phase("stays/0", "running").pid;
    sandbox.kill_daemon();
    assert_eq!(sandbox.wait_phase("stays/0", "running").pid, pid);
    kill_both_now(&sandbox);
    assert_eq!(sandbox.wait_phase("stays/0", "running").pid, pid);
    sandbox.pm(&["stop", "stays"]).ok();
    sandbox.pm(&["start", "stays"]).ok();
    sandbox.wait_phase("stays/0", "running");
    open("");
    sandbox.pm(&["plan"]).says(&["roll 1", "stdin"]);
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it has read the end", SOON, || sandbox.instance("stays/0").is_some_and(|stays| stays.phase == "done"));
}
