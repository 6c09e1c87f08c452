//! What a stranger can put into the way of a file, and what comes of it.

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;

const APP: u32 = 12345;
const STRANGER: u32 = 23456;

fn app() -> Identity {
    Identity { uid: APP, gid: APP, groups: vec![APP] }
}

/// A folder that anybody can walk through, with folders of root, of an app's user and of a stranger.
struct Yard(TempDir);

impl Yard {
    fn new() -> Option<Self> {
        if user_id() != 0 {
            eprintln!("NOT RUN: only root can make files of others; nothing was tried");
            return None;
        }
        let yard = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(yard.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, uid, mode) in
            [("root", 0, 0o755), ("app", APP, 0o755), ("stranger", STRANGER, 0o755), ("all", 0, 0o777)]
        {
            DirBuilder::new().create(yard.path(name)).unwrap();
            fs::set_permissions(yard.path(name), fs::Permissions::from_mode(mode)).unwrap();
            chown(yard.path(name), Some(uid), Some(uid)).unwrap();
        }
        yard.file("root/secret", 0, "secret\n");
        Some(yard)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, uid: u32, text: &str) {
        fs::write(self.path(name), text).unwrap();
        chown(self.path(name), Some(uid), Some(uid)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn link(&self, name: &str, target: &str, uid: u32) {
        symlink(self.path(target), self.path(name)).unwrap();
        lchown(self.path(name), Some(uid), Some(uid)).unwrap();
    }

    fn append(&self, name: &str, owner: Option<&Identity>) -> io::Result<()> {
        let (folder, name) = Folder::find(&self.path(name), owner, Missing::IsMade)?;
        folder.open_to_append(&name)?.write_all(b"line\n")
    }

    fn read(&self, name: &str, owner: Option<&Identity>) -> io::Result<String> {
        let (folder, name) = Folder::find(&self.path(name), owner, Missing::Fails)?;
        io::read_to_string(folder.open_to_read(&name)?)
    }

    fn owner_of(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().uid()
    }
}

#[test]
fn nothing_that_a_stranger_puts_into_the_way_leads_to_a_file_of_root() {
    let Some(yard) = Yard::new() else { return };
    let app = app();
    for (folder, uid) in [("app", APP), ("stranger", STRANGER), ("all", STRANGER), ("all", APP)] {
        let name = |name: &str| format!("{folder}/by-{uid}-{name}");
        yard.link(&name("file-link"), "root/secret", uid);
        yard.link(&name("folder-link"), "root", uid);
        yard.link(&name("new-file"), "root/new", uid);
        yard.link(&name("new-folder"), "root/newer", uid);
        fs::hard_link(yard.path("root/secret"), yard.path(&name("hard-link"))).unwrap();
        for way in ["file-link", "folder-link/secret", "folder-link/new", "new-file", "new-folder/new", "hard-link"] {
            for owner in [Some(&app), None] {
                let way = name(way);
                assert!(yard.append(&way, owner).is_err(), "{way} {owner:?} was written");
                assert!(yard.read(&way, owner).is_err(), "{way} {owner:?} was read");
            }
        }
        fs::remove_file(yard.path(&name("hard-link"))).unwrap();
    }
    assert_eq!(fs::read_to_string(yard.path("root/secret")).unwrap(), "secret\n");
    assert_eq!(fs::read_dir(yard.path("root")).unwrap().count(), 1, "nothing new in root's folder");
}

#[test]
fn links_of_root_and_of_the_owner_are_followed_with_the_right_that_they_need() {
    let Some(yard) = Yard::new() else { return };
    let app = app();
    yard.link("root/link", "root/logs", 0);
    yard.append("root/link/a.log", Some(&app)).unwrap();
    assert_eq!((yard.owner_of("root/logs"), yard.owner_of("root/logs/a.log")), (APP, APP), "made by root for the app");
    yard.link("app/current", "app/releases", APP);
    yard.append("app/current/a.log", Some(&app)).unwrap();
    assert_eq!((yard.owner_of("app/releases"), yard.owner_of("app/releases/a.log")), (APP, APP));
    yard.append("root/b.log", Some(&app)).unwrap();
    assert_eq!(yard.owner_of("root/b.log"), APP);
    yard.append("root/b.log", Some(&app)).unwrap();
    assert_eq!(yard.read("root/b.log", Some(&app)).unwrap(), "line\nline\n");
    yard.link("root/c.log", "root/target", 0);
    yard.append("root/c.log", None).unwrap();
    assert_eq!(yard.owner_of("root/target"), 0);
    assert!(yard.append("all/d.log", Some(&app)).is_ok() && yard.append("all/e.log", None).is_ok());
    let (folder, name) = Folder::find(Path::new("/dev/null"), Some(&app), Missing::Fails).unwrap();
    folder.open_to_write(&name).unwrap().write_all(b"into nothing").unwrap();
}

#[test]
fn a_file_that_another_user_has_put_there_is_left_alone_and_a_fifo_holds_nobody_up() {
    let Some(yard) = Yard::new() else { return };
    let app = app();
    yard.file("all/a.log", STRANGER, "");
    fs::set_permissions(yard.path("all/a.log"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(yard.append("all/a.log", Some(&app)).is_err() && yard.append("all/a.log", None).is_err());
    mknodat(CWD, yard.path("all/fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    lchown(yard.path("all/fifo"), Some(STRANGER), Some(STRANGER)).unwrap();
    assert!(yard.append("all/fifo", Some(&app)).is_err() && yard.append("all/fifo", None).is_err());
    assert!(yard.read("all/fifo", None).is_err());
}

#[test]
fn names_are_changed_with_the_owners_rights_only() {
    let Some(yard) = Yard::new() else { return };
    yard.link("app/logs", "root", APP);
    yard.file("root/secret.1", 0, "");
    let app = app();
    let (folder, name) = Folder::find(&yard.path("app/logs/secret"), Some(&app), Missing::IsMade).unwrap();
    assert!(folder.rename(&name, OsStr::new("secret.2")).is_err());
    assert!(folder.remove(OsStr::new("secret.1")).is_err());
    assert!(yard.path("root/secret.1").exists() && yard.path("root/secret").exists());
    drop(folder);
    fs::write(yard.path("root/still-root"), "").unwrap();
    assert_eq!(yard.owner_of("root/still-root"), 0, "the thread has its own rights again");
}

#[test]
fn a_stranger_who_swaps_links_and_files_in_a_loop_never_wins() {
    let Some(yard) = Yard::new() else { return };
    let (app, is_over) = (app(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rights = FileRights::of(&app).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let _ = fs::remove_file(yard.path("app/a.log"));
                let _ = symlink(yard.path("root/secret"), yard.path("app/a.log"));
                let _ = fs::remove_file(yard.path("app/a.log"));
                let _ = fs::write(yard.path("app/a.log"), "");
                let _ = fs::remove_file(yard.path("app/logs"));
                let _ = symlink(yard.path("root"), yard.path("app/logs"));
                let _ = fs::remove_file(yard.path("app/logs"));
                let _ = fs::create_dir(yard.path("app/logs"));
                let _ = fs::remove_dir_all(yard.path("app/logs"));
            }
            drop(rights);
        });
        let mut written = 0;
        for _ in 0..1000 {
            for owner in [Some(&app), None] {
                written += u32::from(yard.append("app/a.log", owner).is_ok());
                let _ = yard.append("app/logs/b.log", owner);
                let _ = yard.append("app/logs/secret", owner);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(written > 0, "the file was there now and then");
    });
    assert_eq!(fs::read_to_string(yard.path("root/secret")).unwrap(), "secret\n");
    assert_eq!(fs::read_dir(yard.path("root")).unwrap().count(), 1, "nothing new in root's folder");
}
