//! Apps of a Git source that run as another user: they enter their release, and nobody else gets anything by it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::sources::{Origin, add, row};
use crate::support::{NOBODY, SOON, Sandbox, is_root, ordinary, wait_until};

/// A user that is not in any list, with a group of its own.
const STRANGER: u32 = 54_321;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Whether a user (and group) of this number can read a file.
fn reads(user: u32, path: &Path) -> bool {
    let mut cat = Command::new("cat");
    cat.arg(path).uid(user).gid(user).current_dir("/");
    cat.output().unwrap().status.success()
}

/// Commits apps that print the version, which is in a file beside their script; the commit.
fn as_user(origin: &Origin, version: &str, users: &[(&str, &str)]) -> String {
    let mut text = "project = \"shop\"\n".to_owned();
    for (name, user) in users {
        let user = if user.is_empty() { String::new() } else { format!("user = \"{user}\"\n") };
        let app = format!(
            "[[apps]]\nname = \"{name}\"\ncwd = \"apps/{name}\"\ncommand = \"sh run.sh\"\nmax_restarts = 0\n{user}"
        );
        text.push_str(&app);
        origin.file(&format!("apps/{name}/run.sh"), &format!("# {version}\ncat version\nexec sleep 1000\n"));
        origin.file(&format!("apps/{name}/version"), &format!("version {version}\n"));
    }
    origin.file("ecosystem.toml", &text);
    origin.commit(version)
}

#[test]
fn an_app_of_another_user_runs_from_its_release_which_nobody_else_can_read() {
    if !is_root() {
        // Only root starts apps as other users; for all others nothing of this happens.
        assert_ne!(ordinary("-u"), "0");
        return;
    }
    let sandbox = Sandbox::open_to_all();
    let origin = Origin::new(&sandbox);
    let first = as_user(&origin, "1", &[("own", "")]);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let source = sandbox.home().join("sources/shop");
    let release = |commit: &str| source.join("releases").join(commit);
    assert_eq!((mode(&sandbox.home()), mode(&release(&first))), (0o700, 0o555), "nothing is opened for nothing");
    let second = as_user(&origin, "2", &[("own", ""), ("api", "nobody")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let api = sandbox.pid("api/0");
    assert_eq!(fs::metadata(format!("/proc/{api}")).unwrap().uid(), NOBODY);
    let says = |app: &str, version: &str| {
        let line = format!("version {version}\n");
        wait_until(&format!("{app} says {line}"), SOON, || sandbox.log_text(app, "out", 0).ends_with(line.as_bytes()));
    };
    says("api", "2");
    says("own", "2");
    let sources = sandbox.home().join("sources");
    for folder in [&sandbox.home(), &sources, &source] {
        assert_eq!(mode(folder), 0o711, "{}", folder.display());
    }
    for folder in ["state", "logs", "run", "sources/shop/repository.git"] {
        assert_eq!(mode(&sandbox.home().join(folder)) & 0o077, 0, "{folder}");
    }
    assert_eq!(mode(&release(&first)), 0o500, "what needs nobody else lets in nobody else");
    let file = release(&second).join("apps/api/version");
    assert!(reads(NOBODY, &file) && !reads(STRANGER, &file), "one group is let in");
    assert!(!reads(NOBODY, &release(&first).join("apps/own/version")));
    // A bad commit is gone back from, and the old release is still open to its user; one without users is closed.
    as_user(&origin, "3", &[("own", ""), ("api", "nobody")]);
    origin.file("apps/api/run.sh", "exit 3\n");
    origin.commit("bad");
    sandbox.pm(&["source", "sync", "shop"]).code(6).says(&["rolled back"]);
    assert!(reads(NOBODY, &file));
    sandbox.wait_phase("api/0", "running");
    let fourth = as_user(&origin, "4", &[("own", "")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert_eq!(mode(&release(&fourth)), 0o500);
    says("own", "4");
    // Two groups are refused before anything is touched. A number without a line in any list is a user, too.
    let own = sandbox.pid("own/0");
    as_user(&origin, "5", &[("own", ""), ("api", "54321"), ("web", "nobody")]);
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&["another group", "leave `user` out"]);
    assert_eq!(sandbox.pid("own/0"), own);
    let sixth = as_user(&origin, "6", &[("own", ""), ("api", "54321")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    says("api", "6");
    let file = release(&sixth).join("apps/api/version");
    assert!(reads(STRANGER, &file) && !reads(NOBODY, &file));
    assert_eq!(row(&sandbox)["applied"]["commit"], sixth.as_str());
}
