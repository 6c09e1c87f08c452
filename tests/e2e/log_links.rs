//! The log of an app that runs as another user is that user's, and whatever the user puts in its place leads to no file
//! of anybody else.
//!
//! Only root can start apps as other users: as anybody else these tests say that they did not run, and pass.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use crate::support::{SOON, Sandbox, wait_until};

/// A user without a line in `/etc/passwd`.
const USER: u32 = 54321;
/// Some 15 KB in a second.
const LINES: &str = "sh -c 'fill=$(seq -s, 100); n=0; while :; do n=$((n+1)); echo line $n $fill; sleep 0.02; done'";

/// A sandbox that the user can walk through, with a folder `logs` of the user and a file of root.
fn sandbox() -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    let secret = sandbox.file("secret", "of root\n");
    let is_root = fs::metadata(&secret).unwrap().uid() == 0;
    if !is_root {
        eprintln!("NOT RUN: only root can start apps as other users; nothing was tried");
        return None;
    }
    for path in [sandbox.path("").parent().unwrap(), &sandbox.path("")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(sandbox.path("logs")).unwrap();
    chown(sandbox.path("logs"), Some(USER), Some(USER)).unwrap();
    Some(sandbox)
}

fn app(name: &str, out_file: &str, more: &str) -> String {
    format!(
        "[[apps]]\nname = \"{name}\"\ncommand = \"{LINES}\"\nuser = \"{USER}\"\nout_file = \"{out_file}\"\n\
         log_rotate = {{ size = \"4K\", keep = 3 }}\n{more}"
    )
}

fn link(target: &Path, at: &Path) {
    symlink(target, at).unwrap();
    lchown(at, Some(USER), Some(USER)).unwrap();
}

#[test]
fn the_files_belong_to_the_apps_user_also_where_only_root_may_write() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.ecosystem(&(app("own", "logs/own.log", "") + &app("roots", "var/log/roots.log", "")));
    sandbox.pm(&["apply"]).ok();
    for (name, log) in [("own", "logs/own.log"), ("roots", "var/log/roots.log")] {
        let segment = sandbox.path(&format!("{log}.2"));
        wait_until("the log was cut twice", SOON, || segment.exists());
        let found = fs::metadata(&segment).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (USER, 0o600), "{log}");
        sandbox.pm(&["logs", name, "--lines", "5"]).ok().says(&["line "]);
    }
}

#[test]
fn links_lead_neither_the_writer_nor_the_readers_to_files_of_root() {
    let Some(sandbox) = sandbox() else { return };
    let secret = sandbox.path("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let folder = sandbox.path("roots");
    fs::create_dir(&folder).unwrap();
    link(&secret, &sandbox.path("logs/file.log"));
    link(&folder, &sandbox.path("logs/folder"));
    link(&folder.join("new"), &sandbox.path("logs/new.log"));
    link(&secret, &sandbox.path("logs/.index.log.idx"));
    fs::hard_link(&secret, sandbox.path("logs/hard.log")).unwrap();
    let names = ["file.log", "folder/deep.log", "new.log", "index.log", "hard.log"];
    let apps: String = (0..).zip(names).map(|(n, log)| app(&format!("app{n}"), &format!("logs/{log}"), "")).collect();
    sandbox.ecosystem(&apps);
    sandbox.pm(&["apply"]).ok();
    for (n, log) in (0..).zip(names).filter(|(_, log)| *log != "index.log") {
        let name = format!("app{n}");
        wait_until(&format!("{log} is refused"), SOON, || {
            sandbox.pm(&["events", &name]).stdout.contains(&format!("logs/{log}"))
        });
        let shown = sandbox.pm(&["logs", &name]);
        assert!(!shown.stdout.contains("of root"), "{shown}");
    }
    wait_until("a log without times is written", SOON, || sandbox.path("logs/index.log.2").exists());
    // What cannot be read is named, and hides nothing else.
    sandbox.pm(&["logs"]).ok().says(&["line ", "logs/file.log", "logs/hard.log"]);
    assert_eq!(sandbox.read("secret"), "of root\n");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing new in root's folder");
    // What stood in the way is gone: nothing needs to be restarted.
    fs::remove_file(sandbox.path("logs/file.log")).unwrap();
    wait_until("the log goes on", SOON, || sandbox.read("logs/file.log").contains("line "));
}

#[test]
fn a_user_who_swaps_link_and_file_while_lines_flow_never_wins() {
    let Some(sandbox) = sandbox() else { return };
    let secret = sandbox.path("secret");
    let swap = format!(
        "[[apps]]\nname = \"swap\"\nuser = \"{USER}\"\ndisable_logs = true\ncommand = \"sh {}\"\n",
        sandbox
            .file(
                "swap.sh",
                format!(
                    "cd logs\nwhile :; do rm -f a.log .a.log.idx\nln -s {0} a.log\nln -s {0} .a.log.idx\n\
                     rm -f a.log a.log.*\n: >a.log\nln -s {0} a.log.7\ndone\n",
                    secret.display()
                )
            )
            .display()
    );
    let instances = "instances = 3\n";
    sandbox.ecosystem(&(swap + &app("api", "logs/a.log", instances)));
    sandbox.pm(&["apply"]).ok();
    let mut seen = 0;
    wait_until("lines came through now and then", SOON, || {
        seen += u32::from(sandbox.read("logs/a.log").contains("line "));
        assert_eq!(sandbox.read("secret"), "of root\n");
        seen > 20
    });
    assert_eq!(fs::metadata(&secret).unwrap().uid(), 0);
}
