//! What a person has agreed to is done, or nothing; and nothing changes that no plan has said.

use std::fs;
use std::process::Child;

use crate::support::{SOON, Sandbox, Terminal, run, wait_for, wait_until};

const TWO: &str =
    "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n[[apps]]\nname = \"web\"\ncommand = \"sleep 2000\"\n";

#[test]
fn the_plan_that_was_shown_is_carried_out_or_none() {
    let sandbox = Sandbox::applied(TWO);
    let asked = || {
        let terminal = Terminal::start(&mut sandbox.command(&["apply", "--ask"]), true);
        wait_until("it asks", SOON, || terminal.0.text().contains("Apply?"));
        terminal
    };
    sandbox.ecosystem(&TWO.replace("2000", "3000"));
    let (mut terminal, child) = asked();
    // Another apply comes in between: of a file that has one app more, which the first one knows nothing of.
    let theirs = sandbox
        .file("theirs.toml", format!("project = \"shop\"\n{TWO}[[apps]]\nname = \"mine\"\ncommand = \"sleep 4000\"\n"));
    sandbox.pm(&["apply", "--replace-files", theirs.to_str().unwrap()]).ok();
    let pids = ["api/0", "web/0", "mine/0"].map(|id| sandbox.pid(id));
    terminal.type_text("y\n");
    let code = ended(child);
    let said = terminal.whole_text();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("no longer the one that was shown; nothing was done"), "{said}");
    assert!(said.contains("mine"), "it says what has changed: {said}");
    assert_eq!(["api/0", "web/0", "mine/0"].map(|id| sandbox.pid(id)), pids, "{said}");

    sandbox.pm(&["apply", "--replace-files"]).ok();
    sandbox.ecosystem(TWO);
    let web = sandbox.pid("web/0");
    let (mut terminal, child) = asked();
    terminal.type_text("y\n");
    assert_eq!(ended(child), Some(0), "{}", terminal.whole_text());
    assert_ne!(sandbox.pid("web/0"), web);
}

fn ended(mut child: Child) -> Option<i32> {
    wait_for("it ends", SOON, || child.try_wait().unwrap()).code()
}

fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    environment.split('\0').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

#[test]
fn another_shell_changes_what_is_replaced_and_says_so() {
    let sandbox = Sandbox::applied(TWO);
    let elsewhere = |args: &[&str]| run(sandbox.command(args).env("TZ", "Asia/Tokyo"));
    let api = sandbox.pid("api/0");
    elsewhere(&["apply"]).ok().says(&["kept for api, web: TZ", "nothing to do"]);
    assert_eq!(sandbox.pid("api/0"), api);
    let shown = |app: &str| sandbox.pm(&["env", app]).ok().stdout.contains("TZ=Asia/Tokyo");
    // What is shown is what the process has, and a new copy is as the old one.
    assert!(!shown("api"));
    elsewhere(&["scale", "api", "2"]).ok();
    elsewhere(&["restart", "api"]).ok();
    for id in ["api/0", "api/1"] {
        assert_eq!(variable(sandbox.pid(id), "TZ"), None, "{id}");
    }
    sandbox.ecosystem(&TWO.replace("2000", "3000"));
    elsewhere(&["apply", "--keep-overrides"]).ok().says(&["new for web from this shell: TZ", "kept for api: TZ"]);
    assert_eq!(variable(sandbox.pid("web/0"), "TZ").as_deref(), Some("Asia/Tokyo"));
    assert!(shown("web") && !shown("api"));
    // A stop and an apply take it for the rest.
    sandbox.pm(&["stop", "api"]).ok();
    elsewhere(&["apply", "--keep-overrides"]).ok().says(&["new for api from this shell: TZ"]);
    assert_eq!(variable(sandbox.pid("api/1"), "TZ").as_deref(), Some("Asia/Tokyo"));
}
