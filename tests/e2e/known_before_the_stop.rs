//! What cannot be started is known before anything is ended for it: the old process keeps its pid.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{Output, SOON, Sandbox, is_root, run, sandbox_of_ordinary_user, wait_until};

const FILE_65: i32 = 65;
const FAILED: i32 = 6;

fn app(keys: &str) -> String {
    format!("[[apps]]\nname = \"api\"\n{keys}\n")
}

fn mode(sandbox: &Sandbox, name: &str, mode: u32) {
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// A healthy app, then a file that asks for something impossible, then the old file again: one process all the time.
#[track_caller]
fn keeps_its_process(sandbox: &Sandbox, keys: &str, code: i32, words: &[&str], pm: impl Fn(&[&str]) -> Output) {
    let before = app("script = \"run.sh\"");
    sandbox.ecosystem(&before);
    pm(&["apply"]).ok();
    let pid = sandbox.pid("api/0");
    sandbox.ecosystem(&app(keys));
    pm(&["apply"]).code(code).says(words);
    assert_eq!(sandbox.pid("api/0"), pid, "{keys}");
    sandbox.ecosystem(&before);
    pm(&["apply"]).ok();
    assert_eq!(sandbox.pid("api/0"), pid, "{keys}, and back");
    assert_eq!(sandbox.starts_of("api/0"), 1, "{keys}");
}

/// A project with scripts for everybody, and some that are not.
fn sandbox_with_scripts() -> Sandbox {
    with_scripts(Sandbox::open_to_all())
}

fn with_scripts(sandbox: Sandbox) -> Sandbox {
    for (name, bits) in [("run.sh", 0o755), ("private.sh", 0o700), ("private/x", 0o755)] {
        sandbox.file(name, "#!/bin/sh\nexec sleep 1000\n");
        mode(&sandbox, name, bits);
    }
    mode(&sandbox, "private", 0o700);
    sandbox
}

#[test]
fn values_that_no_kernel_takes_are_refused_by_the_check() {
    let sandbox = sandbox_with_scripts();
    let long = "x".repeat(128 << 10);
    for (keys, words) in [
        (format!("env = {{ BIG = \"{long}\" }}"), "the variable `BIG` has"),
        (format!("args = [\"{long}\"]"), "of the command line has"),
        (format!("hooks = {{ pre_stop = \"{long}\" }}"), "a command in `hooks` has"),
        ("group = \"daemon\"".to_owned(), "`group` needs `user`"),
        ("limits = { nofile = 1000000000000 }".to_owned(), "fs.nr_open"),
        ("limits = { nofile = 2 }".to_owned(), "open files to start"),
        ("limits = { nproc = 0 }".to_owned(), "the process itself counts"),
    ] {
        let keys = format!("script = \"run.sh\"\n{keys}");
        keeps_its_process(&sandbox, &keys, FILE_65, &[words], |args| sandbox.pm(args));
        sandbox.ecosystem(&app(&keys));
        sandbox.pm(&["check"]).code(FILE_65).says(&[words]);
    }
}

#[test]
fn what_only_root_may_have_is_known_before_the_stop() {
    let sandbox = with_scripts(sandbox_of_ordinary_user());
    for (keys, words) in [
        ("limits = { nice = -5 }", "nice = -5"),
        ("limits = { oom_score_adj = -900 }", "oom_score_adj = -900"),
        ("limits = { nofile = 5000 }", "nofile = 5000"),
    ] {
        let keys = format!("script = \"run.sh\"\n{keys}");
        keeps_its_process(&sandbox, &keys, FAILED, &["cannot set the limits of", words], |args| {
            with_few_open_files(&sandbox, args)
        });
    }
}

/// `pm …` of an ordinary user who may open at most 4096 files; so may the daemon, if this starts it.
fn with_few_open_files(sandbox: &Sandbox, args: &[&str]) -> Output {
    let pm = sandbox.command(args);
    let mut command = Command::new("prlimit");
    command.arg("--nofile=1024:4096");
    command.arg(pm.get_program()).args(pm.get_args()).current_dir(sandbox.path("")).env_clear();
    command.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn what_the_other_user_may_not_reach_is_known_before_the_stop() {
    if !is_root() {
        eprintln!("NOT RUN: only root can run an app as another user");
        return;
    }
    let sandbox = sandbox_with_scripts();
    sandbox.file("private.js", "exec sleep 1000\n");
    mode(&sandbox, "private.js", 0o600);
    for (keys, words) in [
        ("script = \"private.sh\"", ["cannot execute", "private.sh"]),
        ("command = \"./private.sh\"", ["cannot execute", "private.sh"]),
        ("script = \"private.js\"\ninterpreter = \"sh\"", ["cannot execute", "private.js"]),
        ("script = \"../run.sh\"\ncwd = \"private\"", ["cannot enter folder", "private"]),
    ] {
        for strategy in ["restart", "rolling"] {
            let keys = format!("{keys}\nuser = \"nobody\"\nupdate = {{ strategy = \"{strategy}\" }}");
            keeps_its_process(&sandbox, &keys, FAILED, &words, |args| sandbox.pm(args));
            sandbox.pm(&["delete", "api"]).ok();
            sandbox.pm(&["shutdown"]).ok();
            fs::remove_dir_all(sandbox.home()).unwrap();
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_is_known_before_the_stop() {
    let sandbox = sandbox_with_scripts();
    let folder = sandbox.path("gone/x.sock").display().to_string();
    for (address, words) in [("203.0.113.7:8080", "203.0.113.7:8080"), (&format!("unix:{folder}"), "gone/x.sock")] {
        let keys = format!("script = \"run.sh\"\nlisten = [{address:?}]\nupdate = {{ strategy = \"restart\" }}");
        keeps_its_process(&sandbox, &keys, FAILED, &["cannot listen on", words], |args| sandbox.pm(args));
    }
}

#[test]
fn a_restart_that_could_not_start_anything_ends_nothing() {
    let sandbox = sandbox_with_scripts();
    sandbox.file("gone/keep", "");
    sandbox.ecosystem(&app("script = \"../run.sh\"\ncwd = \"gone\"\ninstances = 2\nport = 3000"));
    sandbox.pm(&["apply"]).ok();
    let pids = [sandbox.pid("api/0"), sandbox.pid("api/1")];
    let is_untouched = || [sandbox.pid("api/0"), sandbox.pid("api/1")] == pids;
    mode(&sandbox, "run.sh", 0o644);
    sandbox.pm(&["restart", "api"]).code(FAILED).says(&["cannot execute", "Permission denied"]);
    sandbox.pm(&["reload", "api"]).code(FAILED).says(&["cannot execute", "Permission denied"]);
    assert!(is_untouched());
    fs::remove_file(sandbox.path("run.sh")).unwrap();
    sandbox.pm(&["restart", "api"]).code(FAILED).says(&["cannot execute", "No such file"]);
    sandbox.file("run.sh", "#!/nowhere/sh\n");
    mode(&sandbox, "run.sh", 0o755);
    sandbox.pm(&["restart", "api"]).code(FAILED).says(&["interpreter `/nowhere/sh`", "does not exist"]);
    sandbox.file("run.sh", "#!/bin/sh\nexec sleep 1000\n");
    fs::remove_dir_all(sandbox.path("gone")).unwrap();
    sandbox.pm(&["restart", "api"]).code(FAILED).says(&["cannot enter folder", "No such file"]);
    assert!(is_untouched());
    sandbox.file("gone/keep", "");
    sandbox.pm(&["restart", "api"]).ok();
    assert!(sandbox.pid("api/0") != pids[0] && sandbox.pid("api/1") != pids[1]);
}

#[test]
fn a_saved_file_that_makes_the_app_impossible_ends_nothing() {
    let sandbox = sandbox_with_scripts();
    sandbox.file("src/a", "1");
    sandbox.ecosystem(&app("script = \"run.sh\"\nwatch = [\"src\"]"));
    sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("api/0");
    mode(&sandbox, "run.sh", 0o644);
    sandbox.file("src/a", "2");
    wait_until("the restart was tried", SOON, || {
        sandbox.events().iter().any(|event| event.fact == "accepted" && event.about.is_empty() && event.seq > 0)
            && sandbox.pm(&["events", "-A", "--limit", "1000"]).ok().stdout.contains("src/a")
    });
    assert_eq!(sandbox.pid("api/0"), pid);
    mode(&sandbox, "run.sh", 0o755);
    sandbox.file("src/a", "3");
    wait_until("the next saved file restarts it", SOON, || sandbox.pid("api/0") != pid);
}

#[test]
fn what_pre_start_makes_need_not_be_there_before() {
    let sandbox = sandbox_with_scripts();
    sandbox.file("dist/server.sh", "#!/bin/sh\nexec sleep 1000\n");
    mode(&sandbox, "dist/server.sh", 0o755);
    sandbox.ecosystem(&app(
        "script = \"dist/server.sh\"\nhooks = { pre_start = \"mkdir -p dist; cp -p run.sh dist/server.sh\" }",
    ));
    sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("api/0");
    fs::remove_dir_all(sandbox.path("dist")).unwrap();
    sandbox.pm(&["restart", "api"]).ok();
    assert_ne!(sandbox.pid("api/0"), pid);
}
