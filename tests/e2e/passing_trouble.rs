//! What keeps a start from happening for a moment is waited out: it is no fault of the app.

use std::fs;

use crate::support::{SOON, Sandbox, finish, kill, wait_until};

#[test]
fn a_program_that_is_just_being_written_is_started_when_it_is_there() {
    let sandbox = Sandbox::new();
    let program = sandbox.path("server");
    fs::copy("/bin/sleep", &program).unwrap();
    let app = |version: u32| {
        format!(
            "[[apps]]\nname = \"api\"\nscript = \"{}\"\nargs = [\"1000\"]\nenv = {{ VERSION = \"{version}\" }}\n",
            program.display()
        )
    };
    sandbox.ecosystem(&app(1));
    sandbox.pm(&["apply"]).ok();
    let old = sandbox.pid("api/0");
    sandbox.ecosystem(&app(2));
    // Another file in its place, as a deployment does it, still open for writing.
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/sleep", &program).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let applying = sandbox.start(&["apply"]);
    wait_until("it has met the busy file", SOON, || {
        sandbox.pm(&["events", "api"]).ok().stdout.contains("Text file busy")
    });
    drop(writer);
    finish(applying, "pm apply").ok();
    let api = sandbox.wait_phase("api/0", "running");
    assert_ne!(api.pid, Some(old));
    assert_eq!(api.restarts, 0, "it counts against nobody");
}

#[test]
fn an_anchor_that_dies_in_an_apply_is_no_fault_of_any_app() {
    const COUNT: usize = 120;
    let sandbox = Sandbox::applied("[[apps]]\nname = \"first\"\ncommand = \"sleep 1000\"\n");
    let app = |name: &str| format!("[[apps]]\nname = \"{name}\"\ncommand = \"sleep 1000\"\n");
    let more: String = (0..COUNT).map(|number| app(&format!("app{number}"))).collect();
    let file = app("first") + &more;
    sandbox.ecosystem(&file);
    let anchor = sandbox.anchor_pid();
    let applying = sandbox.start(&["apply"]);
    wait_until("the apply is under way", SOON, || sandbox.app_processes().len() > 3);
    kill(anchor, libc::SIGKILL);
    // The command may have lost its daemon; what it has asked for is done all the same.
    drop(applying.wait_with_output());
    wait_until("everything runs", SOON * 3, || {
        let list = sandbox.list();
        list.len() == COUNT + 1 && list.iter().all(|instance| instance.phase == "running")
    });
    assert!(!sandbox.pm(&["events"]).ok().stdout.contains("is not restarted any more"));
}
