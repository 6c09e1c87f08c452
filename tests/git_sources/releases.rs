//! Release folders: what is in them, who may change them, and how they go.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use pm::git::{GitTrouble, ReleaseNote, ReleaseOptions, ReleaseState};

use crate::origin::{Origin, PATIENCE, tree_of};

#[test]
fn a_release_is_made_once_built_in_and_sealed() {
    let origin = Origin::new();
    origin.write("run.sh", "#!/bin/sh\n");
    origin.git(&["add", "run.sh"]);
    origin.git(&["update-index", "--chmod=+x", "run.sh"]);
    origin.git(&["config", "core.fileMode", "false"]);
    std::os::unix::fs::symlink("src/main.js", origin.path().join("main")).unwrap();
    let head = origin.commit_file("src/main.js", "one\n");
    let shared = origin.source_folder().join("shared");
    fs::create_dir_all(&shared).unwrap();
    fs::write(shared.join(".env"), "SECRET=1").unwrap();
    fs::write(shared.join("run.sh"), "").unwrap();
    let release = origin.release(&head).unwrap();
    assert_eq!(release.state, ReleaseState::Fresh);
    assert_eq!(release.notes, [ReleaseNote::NotLinked("run.sh".into())]);
    // The build.
    fs::write(release.path.join("built"), "x").unwrap();
    let repository = origin.open();
    repository.seal(&head).unwrap();
    let expected = [
        format!(".env -> {}", shared.join(".env").display()),
        "/ 555".to_owned(),
        "built 444 \"x\"".to_owned(),
        "main -> src/main.js".to_owned(),
        "run.sh 555 \"#!/bin/sh\\n\"".to_owned(),
        "src/ 555".to_owned(),
        "src/main.js 444 \"one\\n\"".to_owned(),
    ];
    assert_eq!(tree_of(&release.path), expected);
    assert_eq!(fs::read_to_string(release.path.join(".env")).unwrap(), "SECRET=1");
    let again = repository.release(&head, &ReleaseOptions::default(), &|| false).unwrap();
    assert_eq!(again.state, ReleaseState::Sealed);
    assert_eq!(tree_of(&release.path), expected);
    assert_eq!(repository.releases().unwrap(), [head]);
}

#[test]
fn what_was_not_sealed_is_made_again_from_the_start() {
    let origin = Origin::new();
    let head = origin.commit_file("a", "1");
    let release = origin.release(&head).unwrap();
    fs::write(release.path.join("half-built"), "x").unwrap();
    fs::write(release.path.join("a"), "changed").unwrap();
    let again = origin.release(&head).unwrap();
    assert_eq!(again.state, ReleaseState::Fresh);
    assert!(!release.path.join("half-built").exists());
    assert_eq!(fs::read_to_string(release.path.join("a")).unwrap(), "1");
}

#[test]
fn old_releases_go_and_those_to_keep_stay() {
    let origin = Origin::new();
    let commits: Vec<_> = (0..4).map(|number| origin.commit_file("a/b", &number.to_string())).collect();
    for commit in &commits {
        origin.release(commit).unwrap();
        origin.open().seal(commit).unwrap();
    }
    let foreign = origin.source_folder().join("releases/of a person");
    fs::write(&foreign, "x").unwrap();
    let repository = origin.open();
    let mut gone = vec![commits[0].clone(), commits[2].clone()];
    gone.sort();
    assert_eq!(repository.prune(&[commits[1].clone(), commits[3].clone()]).unwrap(), gone);
    let mut kept = vec![commits[1].clone(), commits[3].clone()];
    kept.sort();
    assert_eq!(repository.releases().unwrap(), kept);
    assert_eq!(origin.releases().len(), 5, "two releases, their seals and what a person put there");
    assert!(repository.has(&commits[0]).unwrap(), "its history stays");
    assert_eq!(repository.prune(&kept).unwrap(), []);
}

#[test]
fn a_build_of_another_user_gets_the_folder_and_loses_it_when_sealed() {
    let origin = Origin::new();
    let head = origin.commit_file("a/b", "1");
    let release = origin.release(&head).unwrap();
    let repository = origin.open();
    let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
    let us = owner(&release.path);
    let given = repository.hand_over(&head, 65_534, 65_534);
    if us == 0 {
        given.unwrap();
        assert_eq!(owner(&release.path.join("a/b")), 65_534);
    } else {
        assert_eq!(given.unwrap_err().trouble, GitTrouble::Failed);
    }
    repository.seal(&head).unwrap();
    assert_eq!((owner(&release.path), owner(&release.path.join("a/b"))), (us, us));
}

#[test]
fn limits_submodules_and_pointers_refuse_a_commit() {
    let origin = Origin::new();
    let first = origin.commit_file("a", "12345");
    origin.write("film.mp4", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n");
    let pointer = origin.commit("a pointer");
    fs::remove_file(origin.path().join("film.mp4")).unwrap();
    origin.git(&["add", "-A"]);
    origin.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},vendor/lib")]);
    origin.git(&["commit", "-q", "-m", "a submodule"]);
    let submodule = origin.head();
    let repository = origin.open();
    repository.fetch(&origin.remote(), &submodule, PATIENCE, &|| false).unwrap();
    let release = |commit, options: &ReleaseOptions| repository.release(commit, options, &|| false);
    let plain = ReleaseOptions::default();
    let refused = |commit, options: &ReleaseOptions| {
        let error = release(commit, options).unwrap_err();
        assert!(error.trouble.is_of_commit() && !error.next_step().is_empty(), "{error}");
        assert_eq!(origin.releases(), Vec::<String>::new(), "{error}");
        (error.trouble, error.detail)
    };
    assert_eq!(refused(&pointer, &plain), (GitTrouble::LfsPointers, "film.mp4".into()));
    assert_eq!(refused(&submodule, &plain), (GitTrouble::Submodules, "vendor/lib".into()));
    assert_eq!(refused(&first, &ReleaseOptions { entries_max: 0, ..plain.clone() }).0, GitTrouble::TooLarge);
    assert_eq!(refused(&first, &ReleaseOptions { bytes_max: 4, ..plain.clone() }).0, GitTrouble::TooLarge);
    let easy = ReleaseOptions { leaves_submodules_empty: true, keeps_lfs_pointers: true, ..plain };
    assert_eq!(release(&pointer, &easy).unwrap().notes, [ReleaseNote::LfsPointer("film.mp4".into())]);
    let made = release(&submodule, &easy).unwrap();
    assert_eq!(made.notes, [ReleaseNote::EmptySubmodule("vendor/lib".into())]);
    assert_eq!(fs::read_dir(made.path.join("vendor/lib")).unwrap().count(), 0);
}

/// Puts a small tmpfs onto `folder`, for this thread and what it starts. False = not allowed here.
fn mount_small(folder: &Path) -> bool {
    fs::create_dir_all(folder).unwrap();
    let text = |text: &str| CString::new(text).unwrap();
    let (root, tmpfs, options) = (text("/"), text("tmpfs"), text("size=3m,mode=0700"));
    let folder = text(folder.to_str().unwrap());
    let (none, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: all pointers are to live C strings or null where mount(2) allows it; unshare(2) takes a number.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, root.as_ptr(), none, private, std::ptr::null()) == 0
            && libc::mount(tmpfs.as_ptr(), folder.as_ptr(), tmpfs.as_ptr(), 0, options.as_ptr().cast()) == 0
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_and_is_said() {
    let origin = Origin::new();
    let first = origin.commit_file("small", "1");
    if !mount_small(&origin.source_folder()) {
        assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0, "root may mount");
        eprintln!("NOT RUN: mounting a small file system needs root; ENOSPC was not tried");
        return;
    }
    let sealed = origin.release(&first).unwrap();
    origin.open().seal(&first).unwrap();
    let before = origin.releases();
    let repository = origin.open();
    // Packs to almost nothing, and needs 8 MB once it is checked out.
    let large = origin.commit_file("large", &"x".repeat(8 << 20));
    repository.fetch(&origin.remote(), &large, PATIENCE, &|| false).unwrap();
    let error = repository.release(&large, &ReleaseOptions::default(), &|| false).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::DiskFull, "{error}");
    assert_eq!(origin.releases(), before);
    // Does not pack.
    let letter = |at: u32| 33 + u8::try_from((at.wrapping_mul(at).wrapping_mul(0x9E37_79B9) >> 12) % 90).unwrap();
    let noise: String = (0..5_000_000).map(|at| char::from(letter(at))).collect();
    let with_noise = origin.commit_file("noise", &noise);
    let error = repository.fetch(&origin.remote(), &with_noise, PATIENCE, &|| false).unwrap_err();
    assert_eq!(error.trouble, GitTrouble::DiskFull, "{error}");
    // There is room again as soon as nothing half is left, and what was there still works.
    drop(repository);
    assert_eq!(fs::read_to_string(sealed.path.join("small")).unwrap(), "1");
    let next = {
        origin.git(&["reset", "-q", "--hard", first.as_str()]);
        origin.commit_file("small", "2")
    };
    assert_eq!(origin.release(&next).unwrap().state, ReleaseState::Fresh);
}
