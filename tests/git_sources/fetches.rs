//! Heads, fetches, ancestry, and what a commit says and holds.

use std::cell::Cell;
use std::fs;

use pm::git::{ChangeKind, GitTrouble, RemoteUrl, Repository, TrackedRef, remote_head};
use pm::model::Millis;

use crate::origin::{Origin, PATIENCE, remote, tree_of};

#[test]
fn the_head_of_what_is_wanted_is_read_without_a_trace() {
    let origin = Origin::new();
    let first = origin.commit_file("a", "1");
    origin.git(&["tag", "light"]);
    origin.git(&["tag", "-a", "-m", "x", "v1"]);
    let second = origin.commit_file("a", "2");
    origin.git(&["branch", "other/refs/heads/main", "HEAD~1"]);
    let before = tree_of(&origin.path());
    let mut remote = origin.remote();
    let file_url = format!("file://{}", origin.path().display());
    for (wanted, commit) in [
        (TrackedRef::Default, &second),
        (TrackedRef::Branch("main".into()), &second),
        (TrackedRef::Branch("other/refs/heads/main".into()), &first),
        (TrackedRef::Tag("light".into()), &first),
        (TrackedRef::Tag("v1".into()), &first),
        (TrackedRef::Commit(first.clone()), &first),
    ] {
        remote.wanted = wanted;
        assert_eq!(remote_head(&remote, PATIENCE).as_ref(), Ok(commit), "{:?}", remote.wanted);
        remote.url = RemoteUrl::parse(&file_url).unwrap();
    }
    for wanted in [TrackedRef::Branch("none".into()), TrackedRef::Tag("main".into()), TrackedRef::Branch("-x".into())] {
        remote.wanted = wanted;
        let error = remote_head(&remote, PATIENCE).unwrap_err();
        assert_eq!(error.trouble, GitTrouble::NoSuchRef, "{error}");
    }
    assert_eq!(tree_of(&origin.path()), before);
    assert!(!origin.source_folder().exists());
}

#[test]
fn an_empty_repository_has_no_head_and_no_folder_is_no_repository() {
    let origin = Origin::new();
    assert_eq!(remote_head(&origin.remote(), PATIENCE).unwrap_err().trouble, GitTrouble::NoSuchRef);
    let nothing = remote("/nowhere/at/all");
    let error = remote_head(&nothing, PATIENCE).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::NoRepository, "{error}");
    let head = origin.commit_file("a", "1");
    let error = origin.open().fetch(&nothing, &head, PATIENCE, &|| false).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::NoRepository, "{error}");
}

#[test]
fn a_commit_is_fetched_with_its_history_and_says_what_it_is() {
    let origin = Origin::new();
    let first = origin.commit_file("a", "1");
    let second = origin.commit("Fix \u{1b}[31mred\u{202e} things");
    let repository = origin.open();
    assert!(!repository.has(&first).unwrap());
    repository.fetch(&origin.remote(), &second, PATIENCE, &|| false).unwrap();
    assert!(repository.has(&first).unwrap(), "with its history");
    let info = repository.describe(&second).unwrap();
    assert_eq!((info.subject.as_str(), info.author.as_str()), ("Fix [31mred things", "Ann"));
    assert!(info.committed_at.0 > 1_600_000_000_000);
    // What is there needs no remote.
    repository.fetch(&remote("/nowhere"), &first, PATIENCE, &|| false).unwrap();
}

#[test]
fn a_fast_forward_is_told_from_a_rewritten_branch() {
    let origin = Origin::new();
    let first = origin.commit_file("a", "1");
    let second = origin.commit_file("a", "2");
    let repository = origin.open();
    repository.fetch(&origin.remote(), &second, PATIENCE, &|| false).unwrap();
    origin.git(&["reset", "-q", "--hard", first.as_str()]);
    let other = origin.commit_file("a", "3");
    // Forced back and elsewhere: the fetch does not refuse, the answer about ancestry tells.
    repository.fetch(&origin.remote(), &other, PATIENCE, &|| false).unwrap();
    let is_ancestor = |old, new| repository.is_ancestor(old, new).unwrap();
    assert!(is_ancestor(&first, &second) && is_ancestor(&first, &other) && is_ancestor(&other, &other));
    assert!(!is_ancestor(&second, &other) && !is_ancestor(&second, &first));
    let unknown = pm::git::CommitId::parse(&"1".repeat(40)).unwrap();
    assert!(!is_ancestor(&unknown, &other), "all history is here, so that it is not in it");
    assert_eq!(repository.is_ancestor(&other, &unknown).unwrap_err().trouble, GitTrouble::CommitGone);
    assert_eq!(repository.describe(&unknown).unwrap_err().trouble, GitTrouble::CommitGone);
    let gone = repository.fetch(&origin.remote(), &unknown, PATIENCE, &|| false).unwrap_err();
    assert_eq!(gone.trouble, GitTrouble::CommitGone, "{gone}");
}

#[test]
fn a_pinned_commit_is_fetched_by_its_name() {
    let origin = Origin::new();
    let first = origin.commit_file("a", "1");
    origin.commit_file("a", "2");
    let mut remote = origin.remote();
    remote.wanted = TrackedRef::Commit(first.clone());
    let repository = origin.open();
    repository.fetch(&remote, &first, PATIENCE, &|| false).unwrap();
    assert!(repository.has(&first).unwrap());
}

#[test]
fn a_newer_wish_ends_a_fetch_and_a_second_sync_is_refused() {
    let origin = Origin::new();
    let head = origin.commit_file("a", "1");
    // A server that takes the connection and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    let repository = origin.open();
    assert_eq!(Repository::open(&origin.source_folder()).unwrap_err().trouble, GitTrouble::InUse);
    let asked = Cell::new(0);
    let is_superseded = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let error = repository.fetch(&remote(&url), &head, PATIENCE, &is_superseded).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::Superseded, "{error}");
    let error = repository.fetch(&remote(&url), &head, Millis(300), &|| false).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::TimedOut, "{error}");
    drop(repository);
    origin.open();
}

#[test]
fn settings_of_a_local_repository_run_nothing() {
    let origin = Origin::new();
    let head = origin.commit_file("a", "1");
    let trap = origin.home.path().join("trap");
    let run = format!("touch {}; cat", trap.display());
    for key in
        ["uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "filter.x.smudge", "filter.lfs.process"]
    {
        origin.git(&["config", key, &run]);
    }
    let hook = origin.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{run}\n")).unwrap();
    origin.release(&head).unwrap();
    assert!(!trap.exists());
}

#[test]
fn contents_are_named_by_path_and_changes_are_listed() {
    let origin = Origin::new();
    for app in 0..50 {
        origin.write(&format!("apps/{app}/main.js"), &format!("// {app}"));
    }
    origin.write("odd\n\u{1b}name", "x");
    let first = origin.commit("first");
    origin.write("apps/7/main.js", "// changed");
    origin.write("apps/8/new.js", "");
    fs::remove_file(origin.path().join("odd\n\u{1b}name")).unwrap();
    let second = origin.commit("second");
    let repository = origin.open();
    repository.fetch(&origin.remote(), &second, PATIENCE, &|| false).unwrap();
    let paths: Vec<String> =
        (0..50).map(|app| format!("apps/{app}")).chain(["**/*.js".to_owned(), "none".to_owned()]).collect();
    let (old, new) =
        (repository.content_digests(&first, &paths).unwrap(), repository.content_digests(&second, &paths).unwrap());
    let differ: Vec<&str> = paths.iter().filter(|path| old[*path] != new[*path]).map(String::as_str).collect();
    assert_eq!(differ, ["apps/7", "apps/8", "**/*.js"]);
    let changes = repository.changed_paths(&first, &second).unwrap();
    let told: Vec<(&str, ChangeKind)> =
        changes.paths.iter().map(|change| (change.path.as_str(), change.kind)).collect();
    let expected = [
        ("apps/7/main.js", ChangeKind::Modified),
        ("apps/8/new.js", ChangeKind::Added),
        ("oddname", ChangeKind::Deleted),
    ];
    assert_eq!((told.as_slice(), changes.is_cut), (expected.as_slice(), false));
}
