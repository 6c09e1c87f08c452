//! Trees that no honest git makes: nothing outside of the release folder is touched, and nothing half is left.

use std::fs;

use pm::git::{GitTrouble, ReleaseState};

use crate::origin::Origin;

/// Deploys a commit and expects that it is refused as wrong itself, with nothing left behind.
fn refused(origin: &Origin, tree: &str) -> String {
    let commit = origin.commit_tree(tree);
    let error = origin.release(&commit).unwrap_err();
    assert!(error.trouble.is_of_commit(), "{error}: {:?}", error.trouble);
    assert_eq!(origin.releases(), Vec::<String>::new(), "{error}");
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    error.to_string()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let origin = Origin::new();
    let file = origin.raw_object("blob", b"[core]\n\tfsmonitor = touch /tmp/x\n");
    let names: [&[u8]; 8] =
        [b"..", b".", b".git", b".GIT", b"git~1", ".g\u{200c}it".as_bytes(), b"a/b", b"../../../escaped"];
    for name in names {
        refused(&origin, &origin.raw_tree(&[("100644", name, &file)]));
        let folder = origin.raw_tree(&[("100644", name, &file)]);
        refused(&origin, &origin.raw_tree(&[("40000", b"x", &folder)]));
        let inside = origin.raw_tree(&[("100644", b"config", &file)]);
        refused(&origin, &origin.raw_tree(&[("40000", name, &inside)]));
    }
    assert!(!origin.home.path().join("escaped").exists());
    refused(&origin, &origin.raw_tree(&[("100644", b"a", &file), ("100644", b"a", &file)]));
}

#[test]
fn links_that_leave_the_tree_are_refused() {
    let origin = Origin::new();
    let file = origin.raw_object("blob", b"x");
    let link = |text: &[u8]| origin.raw_object("blob", text);
    for text in [b"/etc/passwd".as_slice(), b"..", b"../../shared", b"a/../../..", b"loop"] {
        let tree = origin.raw_tree(&[("120000", b"loop", &link(text))]);
        let error = refused(&origin, &tree);
        assert!(error.contains("`loop`"), "{error}");
    }
    // A link, and a file that would be written through it.
    let folder = origin.raw_tree(&[("100644", b"file", &file)]);
    refused(&origin, &origin.raw_tree(&[("120000", b"a", &link(b"/tmp")), ("40000", b"a", &folder)]));
    refused(&origin, &origin.raw_tree(&[("120000", b"long", &link(&[b'x'; 5000]))]));
}

#[test]
fn harmless_strange_names_are_checked_out_as_they_are() {
    let origin = Origin::new();
    let file = origin.raw_object("blob", b"x");
    let names: [&[u8]; 5] = [b"-rf", b"a\nb", b"b\x1b[31m", b"c\"'$(touch x)", b"\xff\xfe"];
    let entries: Vec<(&str, &[u8], &str)> = names.iter().map(|name| ("100644", *name, file.as_str())).collect();
    let commit = origin.commit_tree(&origin.raw_tree(&entries));
    let release = origin.release(&commit).unwrap();
    assert_eq!(release.state, ReleaseState::Fresh);
    assert_eq!(fs::read_dir(&release.path).unwrap().count(), names.len());
    origin.open().seal(&commit).unwrap();
    assert_eq!(origin.open().prune(&[]).unwrap(), [commit]);
}

#[test]
fn attributes_and_device_modes_do_nothing() {
    let origin = Origin::new();
    origin.write(".gitattributes", "* filter=evil diff=evil merge=evil\nexported export-ignore\n*.txt ident\n");
    origin.write("a.txt", "$Id$ of a file\n");
    origin.write("exported", "x");
    let head = origin.commit("attributes");
    let release = origin.release(&head).unwrap();
    assert!(release.path.join("exported").exists(), "it is a checkout, not an archive");
    let file = origin.raw_object("blob", b"x");
    for mode in ["60644", "20666", "10644", "104755"] {
        let commit = origin.commit_tree(&origin.raw_tree(&[(mode, b"dev", &file)]));
        let made = origin.release(&commit);
        if let Ok(release) = made {
            let kind = fs::symlink_metadata(release.path.join("dev")).unwrap().file_type();
            assert!(kind.is_file() || kind.is_dir(), "{mode}: {kind:?}");
        }
    }
    assert_eq!(GitTrouble::Hostile.as_str(), "hostile_tree");
}
