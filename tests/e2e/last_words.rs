//! What a command says at its end: what is missing, what was done, and what comes next.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::Sandbox;

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

#[test]
fn a_script_that_is_not_there_is_named_with_its_path() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("nofile.js").display().to_string();
    let output = sandbox.pm(&["start", "nofile.js"]);
    assert_ne!(output.status, 0, "{output}");
    output.says(&[&path, "does not exist", "pm list"]);
    assert_eq!(sandbox.list(), []);
}

#[test]
fn stop_and_delete_say_what_the_next_apply_will_do() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["stop", "api"]).ok().says(&["next `pm apply`", "ecosystem.toml", "--hold"]);
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("api/0");
    sandbox.pm(&["delete", "api"]).ok().says(&["next `pm apply`", "ecosystem.toml", "brings back"]);
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("api/0");
    let held = sandbox.pm(&["stop", "api", "--hold"]).ok();
    assert!(!held.stderr.contains("was not saved"), "{held}");
}

/// It is tried again at once, and prints something else then.
#[test]
fn a_failure_is_shown_with_what_that_process_has_printed() {
    let sandbox = Sandbox::new();
    let script = "n=$(cat lives 2>/dev/null || echo 0)\necho $((n + 1)) > lives\necho \"this is life $n\"\nexit 3\n";
    sandbox.file("lives.sh", script);
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh lives.sh\"\n");
    let output = sandbox.pm(&["apply"]).code(6).says(&["this is life"]);
    assert_eq!(output.stderr.matches("this is life").count(), 1, "{output}");
}

#[test]
fn unhold_says_what_is_no_longer_held() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["stop", "api", "--hold"]).ok();
    sandbox.pm(&["unhold", "api"]).ok().says(&["no longer held", "api", "pm start"]);
    sandbox.pm(&["unhold", "api"]).ok().says(&["nothing is held"]);
}

#[test]
fn a_script_whose_interpreter_is_missing_names_the_interpreter() {
    let sandbox = Sandbox::new();
    let script = sandbox.file("run", "#!/opt/no/such/interpreter -u\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\nscript = \"./run\"\n");
    for verb in ["check", "apply"] {
        sandbox.pm(&[verb]).code(65).says(&["/opt/no/such/interpreter", "does not exist"]);
    }
    // The line changes after the check: then the start says the same.
    fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    sandbox.pm(&["apply"]).ok();
    fs::write(&script, "#!/opt/no/such/interpreter\n").unwrap();
    let output = sandbox.pm(&["restart", "api"]);
    assert_ne!(output.status, 0, "{output}");
    output.says(&["its interpreter `/opt/no/such/interpreter` does not exist"]);
}

#[test]
fn a_shutdown_counts_instead_of_naming_every_app() {
    let sandbox = Sandbox::applied(&format!("{FILE}instances = 1\n[[apps]]\nname = \"b\"\ncommand = \"sleep 1000\"\n"));
    let output = sandbox.pm(&["shutdown"]).ok();
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    output.says(&["2 done"]);
}

#[test]
fn a_reader_that_left_and_a_closed_stream_harm_nobody() {
    let sandbox = Sandbox::applied(FILE);
    let pm = sandbox.command(&[]);
    let variables: Vec<_> = pm.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
    for line in ["\"$0\" list | true", "\"$0\" list >&-", "\"$0\" list <&- >&- 2>&-", "\"$0\" list --json 2>&- | true"]
    {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).arg(pm.get_program()).envs(variables.clone()).current_dir(sandbox.path(""));
        let output = shell.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some() && !told.contains("panicked"), "{line}: {:?} {told}", output.status);
    }
    sandbox.pid("api/0");
}

#[test]
fn the_remembered_profile_is_told_when_nothing_changes() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&format!("{FILE}env_production = {{ A = \"1\" }}\n"));
    sandbox.pm(&["apply", "--profile", "production"]).ok();
    sandbox.pm(&["apply"]).ok().says(&["nothing to do", "profile production"]);
}
