//! Two worktrees of one repository that name the same project.

use std::path::Path;
use std::process::Command;

use crate::support::{SOON, Sandbox, finish, kill, wait_until};

const FILE: &str = "project = \"shop\"\n[apps.api]\ncommand = \"sh -c 'echo in $PWD as $PM_PROJECT; exec sleep 1000'\"\n\
                    port = \"auto\"\nkill_timeout = \"500ms\"\n";

fn git(folder: &Path, args: &[&str]) {
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
    let done = Command::new("git").args(who).args(args).current_dir(folder).env("HOME", folder).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The main worktree `shop/one`, and `shop/two` linked to it under the name `feature-x`.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("one/ecosystem.toml", FILE);
    let one = sandbox.path("one");
    git(&one, &["init", "-q"]);
    git(&one, &["add", "."]);
    git(&one, &["commit", "-q", "-m", "one"]);
    git(&one, &["worktree", "add", "-q", "../feature-x"]);
    sandbox
}

fn ids(sandbox: &Sandbox) -> Vec<String> {
    let list = sandbox.pm(&["list", "-A", "--json"]).ok().json();
    list["apps"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_apply_in_a_second_worktree_is_told_how_both_can_run() {
    let sandbox = repository();
    let (one, two) = (sandbox.path("one/ecosystem.toml"), sandbox.path("feature-x/ecosystem.toml"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    // In the main one, the option changes nothing.
    sandbox.pm(&["apply", "--worktree", one]).ok();
    sandbox.pm(&["apply", two]).code(8).says(&["still exists", "--worktree"]);
    sandbox.pm(&["plan", "--worktree", two]).ok().says(&["project shop@feature-x"]);
    sandbox.pm(&["apply", "--worktree", two]).ok();
    assert_eq!(ids(&sandbox), ["shop:api/0", "shop@feature-x:api/0"]);
    // Each with a port of its own.
    let described = sandbox.pm(&["describe", "all", "-A", "--json"]).ok().json();
    let ports: Vec<u64> = (0..2).map(|at| described["apps"][at]["spec"]["run"]["port"].as_u64().unwrap()).collect();
    assert_ne!(ports[0], ports[1], "{described}");
    // Selectors, scopes, logs and the history know it by that name.
    wait_until("it says where it runs", SOON, || {
        sandbox.pm(&["logs", "shop@feature-x:api"]).ok().stdout.contains("/feature-x as shop@feature-x")
    });
    sandbox.pm(&["restart", "shop@feature-x:api"]).ok();
    sandbox.pm(&["history", "-p", "shop@feature-x"]).ok();
    sandbox.pm(&["list", "-p", "shop@feature-x"]).ok().says(&["api/0"]);
    let before = sandbox.pid("api/0");
    sandbox.kill_daemon();
    sandbox.pm(&["down", "-p", "shop@feature-x"]).ok();
    assert_eq!((ids(&sandbox), sandbox.pid("api/0")), (vec!["shop:api/0".to_owned()], before));
    // A file cannot give such a name.
    sandbox.file("one/ecosystem.toml", FILE.replace("\"shop\"", "\"shop@x\""));
    sandbox.pm(&["check", one]).code(65);
}

#[test]
fn pm_dev_runs_in_two_worktrees_at_once() {
    let sandbox = repository();
    let dev = |folder: &str, args: &[&str]| {
        let mut command = sandbox.command(&[&["dev"], args].concat());
        command.current_dir(sandbox.path(folder)).spawn().unwrap()
    };
    let (one, two) = (dev("one", &[]), dev("feature-x", &[]));
    wait_until("both run", SOON, || ids(&sandbox) == ["shop:api/0", "shop@feature-x:api/0"]);
    kill(two.id(), libc::SIGINT);
    finish(two, "pm dev");
    assert_eq!(ids(&sandbox), ["shop:api/0"]);
    let refused = finish(dev("feature-x", &["--worktree=false"]), "pm dev --worktree=false");
    refused.code(8).says(&["still exists"]);
    kill(one.id(), libc::SIGINT);
    finish(one, "pm dev");
    // What was applied in a worktree as the project itself is what `pm dev` works on there.
    sandbox.pm(&["apply", sandbox.path("feature-x/ecosystem.toml").to_str().unwrap()]).ok();
    let again = dev("feature-x", &[]);
    wait_until("its project is shown", SOON, || ids(&sandbox) == ["shop:api/0"]);
    kill(again.id(), libc::SIGINT);
    finish(again, "pm dev");
}
