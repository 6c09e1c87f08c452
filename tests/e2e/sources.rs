//! A Git source: each commit of a real repository is deployed, a bad one is gone back from, and only what differs is touched.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Output, SOON, Sandbox, kill_both_now, run, wait_for, wait_until};

/// A repository beside the project folder.
pub struct Origin {
    folder: PathBuf,
}

impl Origin {
    pub fn new(sandbox: &Sandbox) -> Self {
        let this = Self { folder: sandbox.path("origin") };
        fs::create_dir_all(&this.folder).unwrap();
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this
    }

    pub fn git(&self, words: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=alice", "-c", "user.email=alice@example.org", "-c", "commit.gpgsign=false"]);
        git.args(words).current_dir(&self.folder).env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::null());
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything; the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn url(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    /// Apps with these versions, each in a folder of its own; `bad` ends at once, `later` a moment after it came up.
    pub fn apps(&self, apps: &[(&str, &str)]) -> String {
        let mut text = "project = \"shop\"\n".to_owned();
        for (name, version) in apps {
            let app = format!(
                "[[apps]]\nname = \"{name}\"\ncwd = \"apps/{name}\"\ncommand = \"sh run.sh\"\nmax_restarts = 0\n\
                 update = {{ min_healthy_time = \"0s\" }}\n"
            );
            text.push_str(&app);
            let script = match *version {
                "bad" => "exit 3\n".to_owned(),
                "later" => "sleep 0.7\nexit 4\n".to_owned(),
                version => format!("# {version}\nexec sleep 1000\n"),
            };
            self.file(&format!("apps/{name}/run.sh"), &script);
        }
        self.file("ecosystem.toml", &text);
        let names: Vec<String> = apps.iter().map(|(name, version)| format!("{name} {version}")).collect();
        self.commit(&names.join(", "))
    }
}

pub fn add(sandbox: &Sandbox, origin: &Origin, more: &[&str]) -> Output {
    let words = ["source", "add", "shop", origin.url(), "--interval", "1h", "--dwell", "0s"];
    sandbox.pm(&[&words, more].concat())
}

/// Follows a repository whose first commit has these apps, deployed.
fn deployed(apps: &[(&str, &str)]) -> (Sandbox, Origin, String) {
    let sandbox = Sandbox::new();
    let origin = Origin::new(&sandbox);
    let commit = origin.apps(apps);
    add(&sandbox, &origin, &[]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    (sandbox, origin, commit)
}

pub fn row(sandbox: &Sandbox) -> Value {
    sandbox.pm(&["source", "status", "shop", "--json"]).ok().json()["sources"][0].clone()
}

fn journal(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.home().join("state/desired.journal")).unwrap()
}

fn folder_of(sandbox: &Sandbox, id: &str) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", sandbox.pid(id))).unwrap()
}

fn short(commit: &str) -> &str {
    &commit[..7]
}

#[test]
fn each_commit_is_deployed_and_only_what_differs_is_touched() {
    let (sandbox, origin, first) = deployed(&[("api", "1"), ("web", "1")]);
    assert!(folder_of(&sandbox, "api/0").ends_with(format!("releases/{first}/apps/api")));
    let (api, web) = (sandbox.pid("api/0"), sandbox.pid("web/0"));
    let second = origin.apps(&[("api", "1"), ("web", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok().says(&[&format!("deployed {}", short(&second))]);
    assert_eq!(sandbox.pid("api/0"), api, "nothing of it was changed");
    assert_ne!(sandbox.pid("web/0"), web);
    assert!(folder_of(&sandbox, "web/0").ends_with(format!("releases/{second}/apps/web")));
    // A commit that no app is made of restarts nothing, and one release is kept for as long as an app runs from it.
    let web = sandbox.pid("web/0");
    origin.file("README.md", "hello\n");
    let third = origin.commit("words");
    sandbox.pm(&["source", "sync", "shop"]).ok().says(&[&format!("deployed {}", short(&third))]);
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("web/0")), (api, web));
    assert_eq!(row(&sandbox)["applied"]["commit"], third.as_str());
    assert_eq!(row(&sandbox)["status"], "healthy");
    assert!(sandbox.home().join(format!("sources/shop/releases/{first}/apps/api/run.sh")).exists());
    sandbox.pm(&["history"]).ok().says(&[&format!("source {}", short(&second))]);
    let told = sandbox.pm(&["events", "-A"]).ok();
    told.says(&["apply by source shop", &format!("runs commit {} of the source shop", short(&second))]);
    // What runs belongs to the source: a file of a person is refused, and changes nothing.
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\n");
    sandbox.pm(&["apply"]).code(5).says(&["deployed by the source `shop`", "pm source suspend shop"]);
    assert_eq!(sandbox.pid("api/0"), api);
}

#[test]
fn a_look_that_finds_nothing_new_says_so_and_writes_nothing() {
    let (sandbox, _origin, commit) = deployed(&[("api", "1")]);
    let files = || {
        let state = sandbox.home().join("state");
        let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect::<Vec<_>>()
    };
    let of_source = || {
        let listed =
            Command::new("find").arg(sandbox.home().join("sources")).args(["-printf", "%p %T@ %C@\n"]).output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        assert!(listed.contains("repository.git"), "{listed}");
        listed
    };
    let (before, before_of_source) = (files(), of_source());
    let words = format!("up to date at {}", short(&commit));
    for _ in 0..3 {
        sandbox.pm(&["source", "sync", "shop"]).ok().says(&[&words]);
    }
    assert!(files() == before, "state and journal are byte for byte as they were");
    assert_eq!(of_source(), before_of_source, "nothing was made, written or renamed there");
    assert_eq!(row(&sandbox)["tick"]["end"]["words"], words.as_str());
    sandbox.pm(&["source", "list"]).ok().says(&["healthy", short(&commit), &words]);
}

#[test]
fn a_bad_commit_is_gone_back_from_and_not_tried_again() {
    let (sandbox, origin, first) = deployed(&[("api", "1"), ("web", "1")]);
    let api = sandbox.pid("api/0");
    sandbox.pm(&["source", "add", "shop", origin.url(), "--interval", "1h", "--dwell", "2s"]).ok();
    sandbox.pm(&["source", "sync", "shop"]).ok();
    for version in ["bad", "later"] {
        let bad = origin.apps(&[("api", "1"), ("web", version), ("extra", "1")]);
        let failed = sandbox.pm(&["source", "sync", "shop"]).code(6);
        failed.says(&[&format!("{} failed", short(&bad)), "web", "rolled back to generation", "--force"]);
        assert!(folder_of(&sandbox, "web/0").ends_with(format!("releases/{first}/apps/web")), "{version}");
        assert_eq!(sandbox.pid("api/0"), api, "{version}");
        assert!(sandbox.instance("extra/0").is_none(), "{version}: what only the bad commit had is gone");
        let before = journal(&sandbox);
        sandbox.pm(&["source", "sync", "shop"]).code(6).says(&["failed and is not tried again"]);
        assert!(journal(&sandbox) == before, "{version}: nothing was done");
        assert_eq!(row(&sandbox)["status"], "failed");
        assert_eq!(row(&sandbox)["applied"]["commit"], first.as_str());
        sandbox.pm(&["source", "sync", "shop", "--force"]).code(6);
    }
    let fixed = origin.apps(&[("api", "1"), ("web", "3")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert!(folder_of(&sandbox, "web/0").ends_with(format!("releases/{fixed}/apps/web")));
    assert_eq!((sandbox.pid("api/0"), row(&sandbox)["status"].as_str()), (api, Some("healthy")));
}

#[test]
fn a_rollback_by_a_person_stays_until_the_source_changes_the_app() {
    let (sandbox, origin, first) = deployed(&[("api", "1"), ("web", "1")]);
    let second = origin.apps(&[("api", "2"), ("web", "1")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    sandbox.pm(&["rollback", "-p", "shop"]).ok();
    let is_first = || folder_of(&sandbox, "api/0").ends_with(format!("releases/{first}/apps/api"));
    assert!(is_first());
    sandbox.pm(&["source", "sync", "shop"]).ok().says(&[&format!("up to date at {}", short(&second))]);
    // Another commit that does not touch it.
    origin.apps(&[("api", "2"), ("web", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert!(is_first(), "what was rolled back stays back");
    assert_eq!(row(&sandbox)["kept_back"][0], "api");
    origin.apps(&[("api", "3"), ("web", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert!(!is_first());
    assert!(row(&sandbox)["kept_back"].is_null());
}

#[test]
fn what_a_person_stopped_stays_stopped_until_the_source_changes_it() {
    let (sandbox, origin, _) = deployed(&[("api", "1"), ("web", "1")]);
    sandbox.pm(&["stop", "api"]).ok();
    origin.apps(&[("api", "1"), ("web", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    origin.apps(&[("api", "2"), ("web", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    sandbox.wait_phase("api/0", "running");
}

#[test]
fn a_commit_that_declares_nothing_deletes_nothing() {
    let (sandbox, origin, first) = deployed(&[("api", "1")]);
    let api = sandbox.pid("api/0");
    let cases: [(&str, Option<&str>, i32, &str); 4] = [
        ("ecosystem.toml", Some("project = \"shop\"\n[[apps]\n"), 65, "ecosystem.toml:2"),
        ("ecosystem.toml", Some("project = \"shop\"\napps = []\n"), 65, "declares no app"),
        ("ecosystem.toml", None, 65, "no ecosystem file"),
        (
            "ecosystem.toml",
            Some("project = \"other\"\n[[apps]]\nname = \"api\"\ncommand = \"sleep 9\"\n"),
            8,
            "names the project `other`",
        ),
    ];
    for (name, text, code, words) in cases {
        match text {
            Some(text) => origin.file(name, text),
            None => fs::remove_file(origin.folder.join(name)).unwrap(),
        }
        let commit = origin.commit("wrong");
        sandbox.pm(&["source", "sync", "shop"]).code(code).says(&[words, short(&commit)]);
        assert_eq!(sandbox.pid("api/0"), api, "{words}");
        sandbox.pm(&["source", "sync", "shop"]).code(code).says(&["not tried again"]);
    }
    assert_eq!(row(&sandbox)["applied"]["commit"], first.as_str());
    let words = ["source", "add", "shop", origin.url(), "--path", "deploy/none.toml", "--interval", "1h"];
    sandbox.pm(&words).ok();
    let head = origin.git(&["rev-parse", "HEAD"]);
    let failed = sandbox.pm(&["source", "wait", "shop", "--commit", &head, "--timeout", "20s"]);
    failed.code(6).says(&["the repository has no `deploy/none.toml`"]);
    assert_eq!(sandbox.pid("api/0"), api);
}

#[test]
fn a_branch_that_was_rewritten_is_not_deployed_by_itself() {
    let (sandbox, origin, first) = deployed(&[("api", "1")]);
    let second = origin.apps(&[("api", "2")]);
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let api = sandbox.pid("api/0");
    origin.git(&["reset", "--quiet", "--hard", &first]);
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&["rewritten or set back", short(&second), "--force"]);
    let rewritten = origin.apps(&[("api", "3")]);
    for _ in 0..2 {
        sandbox.pm(&["source", "sync", "shop"]).code(8).says(&[short(&rewritten), "rewritten or set back"]);
    }
    assert_eq!((sandbox.pid("api/0"), row(&sandbox)["status"].as_str()), (api, Some("stalled")));
    sandbox.pm(&["source", "sync", "shop", "--force"]).ok().says(&[short(&rewritten)]);
    assert!(folder_of(&sandbox, "api/0").ends_with(format!("releases/{rewritten}/apps/api")));
}

/// The same for the look that follows an add, for the first sync and for the next ones.
fn refused(sandbox: &Sandbox, source: &str, words: &[&str]) {
    for _ in 0..3 {
        sandbox.pm(&["source", "sync", source]).code(5).says(words);
    }
}

#[test]
fn the_second_source_of_a_project_is_refused_and_the_first_untouched() {
    let (sandbox, _origin, _) = deployed(&[("api", "1")]);
    let api = sandbox.pid("api/0");
    let other = Origin { folder: sandbox.path("other") };
    fs::create_dir_all(&other.folder).unwrap();
    other.git(&["init", "--quiet", "--initial-branch=main"]);
    other.apps(&[("api", "9"), ("more", "1")]);
    sandbox.pm(&["source", "add", "second", other.url(), "--interval", "1h"]).ok();
    refused(&sandbox, "second", &["is deployed by the source `shop`"]);
    assert_eq!(sandbox.pid("api/0"), api);
    assert!(sandbox.instance("more/0").is_none());
    // Nor does a source take over what a person has applied.
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let api = sandbox.pid("api/0");
    let origin = Origin::new(&sandbox);
    origin.apps(&[("api", "1")]);
    add(&sandbox, &origin, &[]).ok();
    refused(&sandbox, "shop", &["exists already"]);
    assert_eq!(sandbox.pid("api/0"), api);
}

#[test]
fn a_branch_is_looked_at_by_itself_until_it_is_suspended() {
    let (sandbox, origin, first) = deployed(&[("api", "1")]);
    let words = ["source", "add", "shop", origin.url(), "--interval", "1s", "--dwell", "0s"];
    sandbox.pm(&words).ok();
    let second = origin.apps(&[("api", "2")]);
    sandbox.pm(&["source", "wait", "shop", "--commit", short(&second), "--timeout", "20s"]).ok().says(&["is deployed"]);
    sandbox.pm(&["source", "suspend", "shop"]).ok();
    let ticks = row(&sandbox)["tick"]["number"].as_u64().unwrap();
    let third = origin.apps(&[("api", "3")]);
    sandbox.pm(&["source", "sync", "shop"]).code(8).says(&["suspended", "pm source resume shop"]);
    sandbox.pm(&["source", "wait", "shop", "--commit", short(&third), "--timeout", "2s"]).code(7);
    assert!(row(&sandbox)["tick"]["number"].as_u64().unwrap() <= ticks + 1);
    sandbox.pm(&["source", "resume", "shop"]).ok();
    sandbox.pm(&["source", "wait", "shop", "--commit", &third, "--timeout", "20s"]).ok();
    let bad = origin.apps(&[("api", "bad")]);
    sandbox.pm(&["source", "wait", "shop", "--commit", &bad, "--timeout", "20s"]).code(6).says(&["failed"]);
    sandbox.pm(&["source", "wait", "shop", "--commit", short(&first), "--timeout", "1s"]).code(3).says(&["superseded"]);
}

#[test]
fn a_repository_that_is_gone_leaves_what_runs_and_is_told() {
    let (sandbox, origin, first) = deployed(&[("api", "1")]);
    let api = sandbox.pid("api/0");
    let before = journal(&sandbox);
    fs::rename(&origin.folder, sandbox.path("moved")).unwrap();
    sandbox.pm(&["source", "sync", "shop"]).code(1).says(&["cannot ask"]);
    assert_eq!((row(&sandbox)["status"].as_str(), sandbox.pid("api/0")), (Some("unreachable"), api));
    fs::rename(sandbox.path("moved"), &origin.folder).unwrap();
    sandbox.pm(&["source", "sync", "shop"]).ok().says(&[&format!("up to date at {}", short(&first))]);
    assert!(journal(&sandbox) == before);
    sandbox.pm(&["source", "add", "shop", origin.url(), "--branch", "none", "--interval", "1h"]).ok();
    sandbox.pm(&["source", "sync", "shop"]).code(1).says(&["has no branch `none`"]);
    assert_eq!(sandbox.pid("api/0"), api);
}

#[test]
fn a_link_that_leaves_the_repository_is_refused() {
    let (sandbox, origin, _) = deployed(&[("api", "1")]);
    let api = sandbox.pid("api/0");
    for target in ["/etc/passwd", "../../../outside"] {
        let link = origin.folder.join("apps/api/link");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let commit = origin.commit("a link");
        sandbox.pm(&["source", "sync", "shop"]).code(65).says(&["leads out of the repository", short(&commit)]);
        assert!(!sandbox.home().join(format!("sources/shop/releases/{commit}")).exists());
    }
    assert_eq!(sandbox.pid("api/0"), api);
}

#[test]
fn a_token_in_a_url_is_shown_nowhere() {
    let sandbox = Sandbox::new();
    let token = "zq7xsourcetoken";
    let url = format!("http://bob:{token}@127.0.0.1:1/shop.git");
    let added = sandbox.pm(&["source", "add", "shop", &url, "--interval", "1h"]).ok();
    let synced = sandbox.pm(&["source", "sync", "shop"]).code(1);
    let mut all = vec![added, synced];
    for words in [&["source", "list"][..], &["source", "list", "--json"], &["source", "status", "shop"]] {
        all.push(sandbox.pm(words).ok().says(&["bob:***@127.0.0.1"]));
    }
    all.push(sandbox.pm(&["events", "-A"]).ok());
    for output in all {
        assert!(!output.stdout.contains(token) && !output.stderr.contains(token), "{output}");
    }
    let log = fs::read_to_string(sandbox.home().join("logs/daemon.log")).unwrap_or_default();
    assert!(!log.contains(token));
}

#[test]
fn a_source_is_removed_with_its_apps_or_without() {
    let (sandbox, _origin, _) = deployed(&[("api", "1")]);
    let api = sandbox.pid("api/0");
    sandbox.pm(&["source", "remove", "shop"]).code(8).says(&["--keep-apps", "--delete-apps"]);
    sandbox.pm(&["source", "remove", "shop", "--keep-apps"]).ok();
    assert_eq!(sandbox.pid("api/0"), api);
    sandbox.pm(&["source", "status", "shop"]).code(64).says(&["no source `shop`"]);
    let (sandbox, _origin, _) = deployed(&[("api", "1")]);
    sandbox.pm(&["source", "remove", "shop", "--delete-apps"]).ok();
    assert!(sandbox.list().is_empty());
    assert!(!sandbox.home().join("sources/shop").exists());
    sandbox.pm(&["source", "list"]).ok().says(&["no sources"]);
}

#[test]
fn a_sync_that_is_killed_anywhere_goes_on_and_applies_nothing_twice() {
    for (point, version) in [
        ("source.laid_out:1", "2"),
        ("source.began:1", "2"),
        ("source.accepted:1", "2"),
        ("source.proved:1", "2"),
        ("source.accepted:1", "bad"),
        ("source.returned:1", "bad"),
    ] {
        let sandbox = Sandbox::new();
        let origin = Origin::new(&sandbox);
        let first = origin.apps(&[("api", "1"), ("web", "1")]);
        add(&sandbox, &origin, &[]).ok();
        sandbox.pm(&["source", "sync", "shop"]).ok();
        let web = sandbox.pid("web/0");
        let second = origin.apps(&[("api", version), ("web", "1")]);
        // Every worker dies there, until the daemon is another one.
        kill_both_now(&sandbox);
        run(sandbox.command(&["source", "list"]).env("PM_KILLPOINT", point)).ok();
        wait_until(&format!("{point} {version}: the worker is killed"), SOON, || {
            row(&sandbox)["tick"]["end"]["words"].as_str().is_some_and(|words| words.contains("SIGKILL"))
        });
        kill_both_now(&sandbox);
        let is_bad = version == "bad";
        let (status, runs) = if is_bad { ("failed", &first) } else { ("healthy", &second) };
        wait_for(&format!("{point} {version}: the sync is finished"), SOON, || {
            let row = row(&sandbox);
            (row["under_way"].is_null() && row["attempted"] == second.as_str() && row["status"] == status).then_some(())
        });
        let folder = format!("releases/{runs}/apps/api");
        wait_until(&format!("{point} {version}: {runs} runs"), SOON, || {
            folder_of(&sandbox, "api/0").ends_with(&folder)
        });
        assert_eq!(sandbox.pid("web/0"), web, "{point}");
        let entries =
            sandbox.pm(&["history", "-p", "shop", "--json"]).ok().json()["entries"].as_array().unwrap().clone();
        let of_second = entries
            .iter()
            .filter(|entry| entry["provenance"]["commit"] == second.as_str() && entry["origin"] == "apply");
        assert_eq!(of_second.count(), 1, "{point} {version}: one apply of one commit");
    }
}

#[test]
fn a_daemon_that_dies_in_the_middle_of_a_sync_leaves_it_to_the_next_one() {
    let (sandbox, origin, _) = deployed(&[("api", "1")]);
    sandbox.pm(&["source", "add", "shop", origin.url(), "--interval", "1h", "--dwell", "2s"]).ok();
    let second = origin.apps(&[("api", "2")]);
    let waiting = sandbox.command(&["source", "sync", "shop", "--timeout", "30s"]).spawn().unwrap();
    wait_until("the commit is being proved", SOON, || {
        row(&sandbox)["tick"]["stage"].as_str().is_some_and(|stage| stage.contains("stay healthy"))
    });
    let api = sandbox.pid("api/0");
    sandbox.kill_daemon();
    wait_until("the next daemon has finished it", SOON, || row(&sandbox)["healthy"]["commit"] == second.as_str());
    assert_eq!(sandbox.pid("api/0"), api);
    // Who waits for it is answered by the next daemon.
    assert!(waiting.wait_with_output().unwrap().status.success());
}

#[test]
fn a_commit_that_touches_one_of_fifty_restarts_one() {
    let names: Vec<String> = (0..50).map(|number| format!("app{number:02}")).collect();
    let with = |changed: &str| -> Vec<(&str, &str)> {
        names.iter().map(|name| (name.as_str(), if name == changed { "2" } else { "1" })).collect()
    };
    let (sandbox, origin, _) = deployed(&with(""));
    let pids = |sandbox: &Sandbox| -> Vec<(String, Option<u32>)> {
        sandbox.list().into_iter().map(|instance| (instance.id, instance.pid)).collect()
    };
    let before = pids(&sandbox);
    origin.apps(&with("app17"));
    sandbox.pm(&["source", "sync", "shop"]).ok();
    let after = pids(&sandbox);
    let other: Vec<&String> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| &a.0).collect();
    assert_eq!(other, ["app17/0"]);
}
