//! All combinations of folder, defect and calling user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};

use super::super::this_process::user_id;
use super::*;

/// What the answer is, without its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Fine,
    Owner,
    Writable,
    NoFolder,
}

/// `above/home/state`, each of them private and owned by `owner`: by somebody who is not root, whoever runs the test.
struct Homes {
    folder: tempfile::TempDir,
    owner: u32,
}

impl Homes {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owner = if user_id() == 0 { 4711 } else { user_id() };
        fs::create_dir_all(folder.path().join("above/home/state")).unwrap();
        let homes = Self { folder, owner };
        for name in ["above", "above/home", "above/home/state"] {
            homes.own(name);
            homes.mode(name, 0o700);
        }
        homes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn own(&self, name: &str) {
        if user_id() == 0 {
            lchown(self.path(name), Some(self.owner), Some(self.owner)).unwrap();
        }
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn verdict(&self, name: &str, trusted: Trusted) -> Verdict {
        match private_folder(&self.path(name), trusted) {
            Ok(()) => Verdict::Fine,
            Err(Distrust::Owner { .. }) => Verdict::Owner,
            Err(Distrust::Writable { .. }) => Verdict::Writable,
            Err(Distrust::Unusable { source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::NotADirectory);
                Verdict::NoFolder
            }
        }
    }
}

const HOME: &str = "above/home/state";

#[test]
fn every_folder_with_every_defect_is_found_for_everybody() {
    let owner = Homes::new().owner;
    let (theirs, strangers, roots) = (owner, owner + 1, 0);
    let modes = [
        // A folder on the way, and the last one.
        (0o700, Verdict::Fine, Verdict::Fine),
        (0o755, Verdict::Fine, Verdict::Fine),
        (0o777, Verdict::Writable, Verdict::Writable),
        (0o702, Verdict::Writable, Verdict::Writable),
        (0o720, Verdict::Writable, Verdict::Writable),
        (0o1777, Verdict::Fine, Verdict::Writable),
    ];
    for (mode, on_the_way, last) in modes {
        for (defective, expected) in [("above", on_the_way), ("above/home", on_the_way), (HOME, last)] {
            let homes = Homes::new();
            homes.mode(defective, mode);
            for (us, insisted, expected) in [
                (theirs, None, expected),
                (strangers, None, Verdict::Owner),
                (strangers, Some((strangers, strangers)), Verdict::Owner),
                (roots, None, Verdict::Owner),
                (roots, Some((theirs, theirs)), expected),
            ] {
                // A folder of our own group of which nobody else is a member may be written by the group.
                let is_private = mode == 0o720 && defective != HOME && {
                    let group = fs::metadata(homes.path(defective)).unwrap().gid();
                    is_private_group(group, owner)
                };
                let expected = if is_private && expected == Verdict::Writable { Verdict::Fine } else { expected };
                let found = homes.verdict(HOME, Trusted { us, insisted });
                assert_eq!(found, expected, "{defective} {mode:o} for {us}, insisted on {insisted:?}");
            }
        }
    }
}

#[test]
fn a_folder_of_root_is_fine_for_everybody_and_one_of_others_for_nobody() {
    if user_id() != 0 {
        // What belongs to others is made by root only; `/` is root's for everybody.
        assert!(private_folder(Path::new("/"), Trusted { us: user_id(), insisted: None }).is_ok());
        return;
    }
    for defective in ["above", "above/home", HOME] {
        let homes = Homes::new();
        let us = Trusted { us: homes.owner, insisted: None };
        chown(homes.path(defective), Some(0), Some(0)).unwrap();
        assert_eq!(homes.verdict(HOME, us), Verdict::Fine, "{defective} of root");
        chown(homes.path(defective), Some(homes.owner + 1), None).unwrap();
        assert_eq!(homes.verdict(HOME, us), Verdict::Owner, "{defective} of somebody else");
    }
}

#[test]
fn a_link_counts_as_what_its_owner_is_and_its_target_is_looked_at_all_the_same() {
    let homes = Homes::new();
    let us = Trusted { us: homes.owner, insisted: None };
    symlink("above/home", homes.path("relative")).unwrap();
    symlink(homes.path("above"), homes.path("absolute")).unwrap();
    symlink("around", homes.path("around")).unwrap();
    fs::write(homes.path("file"), "").unwrap();
    for name in ["relative", "absolute", "around"] {
        homes.own(name);
    }
    assert_eq!(homes.verdict("relative/state", us), Verdict::Fine);
    assert_eq!(homes.verdict("absolute/../above/home/state", us), Verdict::Fine);
    assert_eq!(homes.verdict("file", us), Verdict::NoFolder);
    assert_eq!(homes.verdict("file/state", us), Verdict::NoFolder);
    let loops = private_folder(&homes.path("around"), us).unwrap_err();
    assert!(
        matches!(&loops, Distrust::Unusable { source, .. } if source.raw_os_error() == Some(libc::ELOOP)),
        "{loops}"
    );

    homes.mode("above", 0o777);
    assert_eq!(homes.verdict("relative/state", us), Verdict::Writable);
    homes.mode("above", 0o700);
    if user_id() == 0 {
        lchown(homes.path("relative"), Some(homes.owner + 1), None).unwrap();
        assert_eq!(homes.verdict("relative/state", us), Verdict::Owner);
    }
}

#[test]
fn what_is_missing_is_made_private_below_folders_that_are_fine_only() {
    let homes = Homes::new();
    let us = Trusted { us: user_id(), insisted: Some((homes.owner, homes.owner)) };
    assert_eq!(homes.verdict("above/home/new/run", us), Verdict::Fine);
    for name in ["above/home/new", "above/home/new/run"] {
        assert_eq!(fs::metadata(homes.path(name)).unwrap().mode() & 0o7777, 0o700, "{name}");
    }
    homes.mode("above", 0o777);
    assert_eq!(homes.verdict("above/other/run", us), Verdict::Writable);
    assert!(!homes.path("above/other").exists());
}
