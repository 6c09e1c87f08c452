//! Whatever runs beside an app runs as the app does: user, groups, mask, folder, limits, environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{Output, SOON, Sandbox, is_root, ordinary, run, sandbox_of_ordinary_user, wait_until};

/// Writes everything that a process can say of itself, but for what tells it apart from others, into `report.NAME`.
const REPORT: &str = r#"#!/bin/sh
{
    grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|CapInh|CapAmb|SigBlk):' /proc/self/status
    echo "umask $(umask)"
    echo "cwd $(pwd -P)"
    echo "nice $(nice)"
    echo "oom $(cat /proc/self/oom_score_adj)"
    cat /proc/self/limits
    env | grep -vE '^(PM_ID|PM_HOOK|PM_PID|PM_EXIT|PM_REASON|PWD|OLDPWD|SHLVL|_)=' | sort
} > "report.$1.new" && mv "report.$1.new" "report.$1"
"#;

/// A user in more groups than one, if there is one on this machine: name and nothing else.
fn user_with_groups() -> String {
    let groups = fs::read_to_string("/etc/group").unwrap();
    let members = groups.lines().filter_map(|line| line.rsplit(':').next()?.split(',').next());
    members.filter(|name| !name.is_empty() && *name != "root").map(str::to_owned).next().unwrap_or(ordinary("-un"))
}

fn sandbox_with(keys: &str) -> Sandbox {
    reporting(Sandbox::open_to_all(), keys)
}

fn reporting(sandbox: Sandbox, keys: &str) -> Sandbox {
    let script = sandbox.file("report.sh", REPORT);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    sandbox.file("src/main.js", "1");
    sandbox.ecosystem(&format!(
        r#"[[apps]]
name = "api"
command = "./report.sh app && exec sleep 1000"
shell = true
env = {{ GREETING = "hello" }}
ready = {{ exec = "./report.sh probe" }}
watch = ["src"]
build = "./report.sh build"
{keys}
[apps.hooks]
pre_start = "./report.sh pre_start"
post_ready = "./report.sh post_ready"
pre_stop = "./report.sh pre_stop"
"#
    ));
    sandbox
}

/// `pm exec` by somebody with another mask, other limits and another folder.
fn exec_report(sandbox: &Sandbox) -> Output {
    let pm = sandbox.command(&["exec", "shop:api", "--", "./report.sh", "exec"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; ulimit -S -n 100; ulimit -S -c 0; cd /; exec \"$@\"", "sh"]);
    command.arg(pm.get_program()).args(pm.get_args()).env_clear();
    command.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn exec_build_hooks_and_probes_run_as_the_app_does() {
    let own = ordinary("-un");
    let limits = "limits = { nofile = 300, nproc = 4000, nice = 5, oom_score_adj = 700 }\n";
    let mut cases = vec![String::new(), format!("umask = \"027\"\n{limits}")];
    if is_root() {
        cases.push(format!("user = {own:?}\ngroup = \"daemon\"\numask = \"027\"\n{limits}"));
        cases.push(format!("user = {:?}\numask = \"002\"\n", user_with_groups()));
        cases.push("user = 4711\nlimits = { nice = 7 }\n".to_owned());
    } else {
        cases.push(format!("user = {own:?}\numask = \"002\"\n"));
    }
    for keys in cases {
        let sandbox = sandbox_with(&keys);
        sandbox.pm(&["apply"]).ok();
        let pid = sandbox.pid("api/0");
        let exec = exec_report(&sandbox).ok();
        assert_eq!(exec.stderr, "", "{exec}");
        fs::write(sandbox.path("src/main.js"), "2").unwrap();
        let names = ["app", "pre_start", "probe", "post_ready", "exec", "build", "pre_stop"];
        let is_there = |name: &str| sandbox.path(&format!("report.{name}")).exists();
        wait_until("all have reported, and the app was replaced", SOON, || {
            names.iter().all(|name| is_there(name)) && sandbox.pid("api/0") != pid
        });
        let app = sandbox.read("report.app");
        assert!(app.contains("GREETING=hello") && app.contains("Max open files"), "{app}");
        for name in names {
            assert_eq!(sandbox.read(&format!("report.{name}")), app, "{name} with {keys}");
        }
    }
}

#[test]
fn exec_says_what_only_root_could_make_the_same() {
    let sandbox = reporting(sandbox_of_ordinary_user(), "");
    sandbox.pm(&["apply"]).ok();
    let pm = sandbox.command_of_tester(&["exec", "api", "--", "true"]);
    let mut command = Command::new(if is_root() { "setpriv" } else { "env" });
    if is_root() {
        let own = ordinary("-u");
        command.args([&format!("--reuid={own}"), &format!("--regid={own}"), "--groups=1,2", "prlimit", "--core=0:0"]);
    } else {
        command.args(["prlimit", "--core=0:0"]);
    }
    command.arg(pm.get_program()).args(pm.get_args()).current_dir(sandbox.path("")).env_clear();
    command.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = run(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).ok();
    let had_core = fs::read_to_string("/proc/self/limits")
        .unwrap()
        .lines()
        .any(|line| line.starts_with("Max core file size") && line.split_whitespace().nth(5) != Some("0"));
    if is_root() {
        ran.clone().says(&["only root can change", "supplementary groups"]);
    }
    if had_core {
        ran.says(&["only root can change", "core"]);
    }
}
