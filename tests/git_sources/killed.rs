//! `kill -9` at every named place and in the middle of the work: the next sync ends as if nothing had been.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;

use pm::git::{CommitId, ReleaseOptions, ReleaseState, Repository, remote_head};

use crate::origin::{Origin, PATIENCE, remote, tree_of, wait_until};

const FOLDER: &str = "PM_TRIAL_FOLDER";
const URL: &str = "PM_TRIAL_URL";

/// One sync: fetch, check out, "build", seal, remove the others.
fn sync(folder: &Path, url: &str) -> CommitId {
    let remote = remote(url);
    let head = remote_head(&remote, PATIENCE).unwrap();
    let repository = Repository::open(folder).unwrap();
    repository.fetch(&remote, &head, PATIENCE, &|| false).unwrap();
    let release = repository.release(&head, &ReleaseOptions::default(), &|| false).unwrap();
    if release.state == ReleaseState::Fresh {
        fs::write(release.path.join("built"), "x").unwrap();
        repository.seal(&head).unwrap();
    }
    repository.prune(std::slice::from_ref(&head)).unwrap();
    head
}

/// Run by the other tests in a process of its own, which dies.
#[test]
#[ignore = "the process that the other tests kill"]
fn the_victim() {
    static HITS: AtomicU64 = AtomicU64::new(0);
    let (Ok(folder), Ok(url)) = (std::env::var(FOLDER), std::env::var(URL)) else { return };
    pm::os::arm_killpoints(&HITS);
    sync(Path::new(&folder), &url);
}

fn victim(origin: &Origin, place: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "killed::the_victim", "--test-threads=1"]);
    command.env(FOLDER, origin.source_folder()).env(URL, origin.path());
    if let Some(place) = place {
        command.env("PM_KILLPOINT", format!("{place}:1"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Every place in the source of the room.
fn places() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/git");
    let texts = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let places = texts.flat_map(|text| {
        let names: Vec<String> =
            text.split("killpoint(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
        names
    });
    places.collect()
}

/// After the next sync there is exactly the newest release, whole and sealed.
fn check(origin: &Origin, what: &str) {
    let head = sync(&origin.source_folder(), origin.path().to_str().unwrap());
    assert_eq!(head, origin.head(), "{what}");
    assert_eq!(origin.releases(), [format!(".{head}.sealed"), head.to_string()], "{what}");
    let release = origin.source_folder().join("releases").join(head.as_str());
    let files = tree_of(&release);
    let number = fs::read_dir(origin.path()).unwrap().count(); // `.git` here, `built` there
    assert_eq!(files.len(), number + 1, "{what}: {files:?}");
    assert!(files.iter().all(|line| line.contains(" 444 ") || line.ends_with("/ 555")), "{what}: {files:?}");
    let repository = origin.source_folder().join("repository.git");
    let fsck =
        Command::new("git").arg("--git-dir").arg(&repository).args(["fsck", "--strict", "--no-dangling"]).output();
    assert!(fsck.unwrap().status.success(), "{what}");
}

#[test]
fn dying_at_any_place_leaves_nothing_that_the_next_sync_cannot_use() {
    let places = places();
    assert!(places.len() >= 8, "{places:?}");
    for place in &places {
        let origin = Origin::new();
        // There is something to remove: the release of an older commit.
        if place != "git_repository_made" {
            origin.commit_file("a", "1");
            sync(&origin.source_folder(), origin.path().to_str().unwrap());
        }
        origin.commit_file("a", "2");
        let status = victim(&origin, Some(place)).wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{place} was not reached: {status:?}");
        check(&origin, place);
    }
}

#[test]
fn dying_while_git_works_leaves_nothing_that_the_next_sync_cannot_use() {
    let origin = Origin::new();
    for number in 0..400 {
        origin.write(&format!("file{number}"), &format!("{number} {}", "x".repeat(2000)));
    }
    let releases = origin.source_folder().join("releases");
    let entries = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
    for (round, files) in [1, 40, 150, 390].into_iter().enumerate() {
        origin.write("round", &round.to_string());
        let head = origin.commit("round");
        let mut victim = victim(&origin, None);
        let temporary = releases.join(format!(".{head}.tmp"));
        let mut has_ended = false;
        wait_until("git has written some files", || {
            has_ended = victim.try_wait().unwrap().is_some();
            has_ended || entries(&temporary) >= files || releases.join(head.as_str()).exists()
        });
        if !has_ended {
            victim.kill().unwrap();
            victim.wait().unwrap();
        }
        check(&origin, &format!("killed after {files} files"));
    }
}
