//! What is ours is nobody else's; and where we may not write, we say so.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, run};

fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_else_can_read_the_state_or_talk_to_the_daemon() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    assert_eq!(mode(&sandbox.home()), 0o700, "PM_HOME");
    let paths = everything_in(&sandbox.home());
    let sockets: Vec<&PathBuf> =
        paths.iter().filter(|path| fs::symlink_metadata(path).unwrap().file_type().is_socket()).collect();
    assert!(!sockets.is_empty(), "the daemon listens nowhere: {paths:#?}");
    for socket in sockets {
        assert_eq!(mode(socket), 0o600, "{}", socket.display());
        assert_eq!(mode(socket.parent().unwrap()), 0o700, "{}", socket.parent().unwrap().display());
    }
    for path in paths.iter().filter(|path| path.starts_with(sandbox.home().join("state")) && path.is_file()) {
        assert_eq!(mode(path) & 0o077, 0, "{} holds what apps are given", path.display());
    }
}

#[test]
fn a_home_that_cannot_be_made_is_named() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let file = sandbox.file("not-a-folder", "");
    let home = file.join("home");
    for args in [&["list"][..], &["apply"]] {
        let output = run(sandbox.command(args).env("PM_HOME", &home));
        assert!([1, 69].contains(&output.status), "{output}");
        output.says(&["not-a-folder"]);
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let sandbox = Sandbox::new();
    let file = sandbox.ecosystem("");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        eprintln!("NOT RUN: root may read everything");
        return;
    }
    sandbox.pm(&["apply"]).code(65).says(&["ecosystem.toml", "Permission denied"]);
}
