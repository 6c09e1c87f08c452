//! What a command was told was accepted is what happens, whoever dies or decides meanwhile.

use std::time::Duration;

use crate::support::{SOON, Sandbox, finish, wait_until};

fn sleeper(name: &str, extra: &str) -> String {
    format!("[[apps]]\nname = \"{name}\"\ncommand = \"sleep 1000\"\n{extra}\n")
}

/// An app whose new process is ready after a while.
fn slow(name: &str) -> String {
    let ready = "ready = { exec = \"test -e go\", interval = \"50ms\", timeout = \"60s\" }";
    sleeper(name, ready)
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    sandbox.list().into_iter().map(|row| row.id).collect()
}

#[test]
fn what_an_apply_removes_is_removed_by_the_next_daemon() {
    let sandbox = Sandbox::applied(&(sleeper("keep", "") + &sleeper("gone", "")));
    sandbox.ecosystem(&(sleeper("keep", "") + &slow("new")));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_pid("new/0");
    sandbox.kill_daemon();
    assert_eq!(names(&sandbox), ["gone/0", "keep/0", "new/0"], "deletes come last");
    sandbox.file("go", "");
    wait_until("the pruned app is gone", SOON, || names(&sandbox) == ["keep/0", "new/0"]);
    assert_eq!(sandbox.app_processes().len(), 2);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn what_is_withheld_stays_whoever_was_there_when_it_failed() {
    let sandbox = Sandbox::applied(&(sleeper("keep", "") + &sleeper("gone", "")));
    let failing = sleeper("new", "ready = { exec = \"false\", timeout = \"2s\" }\nrestart = \"never\"");
    sandbox.ecosystem(&(sleeper("keep", "") + &failing));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_pid("new/0");
    sandbox.kill_daemon();
    sandbox.wait_phase("new/0", "errored");
    sandbox.pm(&["plan"]).ok().says(&["gone", "delete 1"]);
    let pid = sandbox.pid("gone/0");
    sandbox.kill_daemon();
    assert_eq!(sandbox.pid("gone/0"), pid, "another apply decides about it");
}

#[test]
fn a_command_for_an_app_that_is_being_deleted_is_refused() {
    let sandbox = Sandbox::applied(&(sleeper("keep", "") + &sleeper("gone", "")));
    sandbox.ecosystem(&(sleeper("keep", "") + &slow("new")));
    let applying = sandbox.start(&["apply"]);
    sandbox.wait_pid("new/0");
    sandbox.pm(&["restart", "gone"]).code(64).says(&["an apply is deleting `gone`"]);
    // What else happens meanwhile does not withhold the delete.
    sandbox.pm(&["restart", "keep"]).ok();
    sandbox.file("go", "");
    finish(applying, "pm apply").ok();
    assert_eq!(names(&sandbox), ["keep/0", "new/0"]);
}

#[test]
fn a_stop_in_the_middle_of_a_restart_is_a_stop() {
    let trap = "trap 'sleep 1.2; exit 0' TERM; while :; do sleep 0.05; done";
    for second in [&["stop", "slow"][..], &["stop", "slow/0"], &["stop", "slow", "--hold"]] {
        let file = format!("[[apps]]\nname = \"slow\"\nshell = true\ncommand = \"{trap}\"\n");
        let sandbox = Sandbox::applied(&file);
        sandbox.pm(&["restart", "slow", "--detach"]).ok();
        sandbox.wait_phase("slow/0", "stopping");
        sandbox.pm(second).ok();
        assert_eq!(sandbox.instance("slow/0").unwrap().phase, "stopped", "{second:?}");
        assert_eq!(sandbox.app_processes().len(), 0, "{second:?}");
        assert_eq!(sandbox.starts_of("slow/0"), 1, "{second:?}");
    }
}

#[test]
fn refused_is_refused() {
    let file = sleeper("db", "") + &sleeper("web", "depends_on = [\"db\"]");
    let sandbox = Sandbox::applied(&file);
    sandbox.pm(&["stop", "db"]).ok();
    let pid = sandbox.pid("web/0");
    sandbox.pm(&["restart", "web"]).code(8).says(&["`web` depends on `db`, which is stopped", "pm start db web"]);
    sandbox.pm(&["start", "db"]).ok();
    sandbox.pm(&["apply"]).ok();
    assert_eq!((sandbox.pid("web/0"), sandbox.starts_of("web/0")), (pid, 1), "nothing of it was kept");
    sandbox.pm(&["stop", "db", "web"]).ok();
    sandbox.pm(&["start", "db", "web"]).ok();
}

#[test]
fn what_failed_without_going_back_is_not_tried_again_by_the_next_daemon() {
    let app = |version: &str| {
        sleeper("api", &format!("env = {{ VERSION = \"{version}\" }}\nupdate = {{ auto_revert = false, min_healthy_time = \"0s\" }}\nrestart = \"never\""))
            .replace("sleep 1000", "[ $VERSION = good ] || exit 3; exec sleep 1000\"\nshell = true\n#\"")
    };
    let sandbox = Sandbox::applied(&app("good"));
    sandbox.ecosystem(&app("bad"));
    sandbox.pm(&["apply"]).code(6).says(&["exit code 3"]);
    let starts = sandbox.starts_of("api/0");
    for _ in 0..2 {
        sandbox.kill_daemon();
        sandbox.pm(&["list"]).ok();
    }
    crate::support::pause_between_faults(Duration::from_millis(1500));
    assert_eq!(sandbox.starts_of("api/0"), starts, "nothing automatic tries it again");
    sandbox.pm(&["plan"]).ok().says(&["this revision of api failed the last time", "exit code 3"]);
    sandbox.pm(&["apply"]).code(6);
    assert_eq!(sandbox.starts_of("api/0"), starts + 1, "a person may");
}

#[test]
fn going_back_never_ends_a_good_copy_for_one_that_does_not_come_up() {
    let app = |version: &str| {
        let command = "[ $VERSION = bad -a $PM_INSTANCE = 1 ] && exit 3; [ $VERSION = good -a -e broken ] && exit 4; exec sleep 1000";
        format!(
            "[[apps]]\nname = \"api\"\nshell = true\ncommand = '{command}'\ninstances = 2\nenv = {{ VERSION = \"{version}\" }}\nrestart = \"never\"\nupdate = {{ min_healthy_time = \"0s\" }}\n"
        )
    };
    let sandbox = Sandbox::applied(&app("good"));
    sandbox.file("broken", "the old version cannot start any more");
    sandbox.ecosystem(&app("bad"));
    sandbox.pm(&["apply"]).code(6).says(&["exit code 3", "rollback failed: the old version could not be started"]);
    let survivor = sandbox.pid("api/0");
    sandbox.kill_daemon();
    crate::support::pause_between_faults(Duration::from_millis(1500));
    assert_eq!(sandbox.pid("api/0"), survivor, "the last good copy stays");
}

#[test]
fn a_failure_shows_the_output_of_the_process_that_failed_and_of_no_other() {
    let app =
        |command: &str| format!("[[apps]]\nname = \"api\"\nshell = true\ncommand = '{command}'\nrestart = \"never\"\n");
    let sandbox = Sandbox::applied(&app("echo all good, serving; exec sleep 1000"));
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.ecosystem(&app("exec /nowhere/at/all"));
    let told = sandbox.pm(&["apply"]).code(6);
    assert!(!told.stderr.lines().any(|line| line.contains("| all good")), "{told}");
    let long =
        "echo the first line of it; i=0; while [ $i -lt 15 ]; do echo \"  at frame $i\"; i=$((i+1)); done; exit 1";
    sandbox.ecosystem(&app(long));
    sandbox.pm(&["apply"]).code(6).says(&["the first line of it", "at frame 14"]);
}

#[test]
fn a_task_is_waited_for_until_it_ends() {
    let task = |name: &str, command: &str, extra: &str| {
        format!("[[apps]]\nname = \"{name}\"\nkind = \"task\"\nshell = true\ncommand = '{command}'\n{extra}\n")
    };
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&task("seed", "sleep 0.4; echo no such table; exit 7", ""));
    sandbox.pm(&["apply"]).code(6).says(&["FAILED", "seed", "exit code 7", "no such table"]);
    sandbox.pm(&["restart", "seed"]).code(6).says(&["exit code 7"]);
    sandbox.ecosystem(&task("seed", "sleep 0.4; echo done > done", ""));
    sandbox.pm(&["apply"]).ok().says(&["ok", "seed", "completed"]);
    assert_eq!(sandbox.read("done"), "done\n");
    // With a time limit the work goes on.
    sandbox.ecosystem(&task("seed", "sleep 1000", ""));
    sandbox.pm(&["apply", "--timeout", "500ms"]).code(7);
    sandbox.pid("seed/0");
}
