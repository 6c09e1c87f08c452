//! The way to a path: the folders and names that lead to it, through every link.
//!
//! Whoever changes one of them changes what the path stands for: a release link that is turned, a folder that is moved
//! aside for another one, a mounted volume whose files are links into a folder that is replaced as a whole.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::os::{self, NameKind};

/// Links on the way: as the kernel counts them.
const LINKS_MAX: usize = 40;

/// One step of a way. Its folders are real: no part of them is a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WayStep {
    /// Through a folder.
    Through(PathBuf),
    /// A name in a folder that is a link, or is not there: then the way ends here.
    Name(PathBuf, OsString),
    /// To a file in a folder: then the way ends here.
    File(PathBuf, OsString),
}

/// The steps to an absolute path, beginning at the top.
pub(super) fn way_to(path: &Path) -> Vec<WayStep> {
    let (mut steps, mut at, mut links) = (Vec::new(), PathBuf::from("/"), 0);
    let mut rest: VecDeque<OsString> = parts(path).collect();
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        match os::name_kind(&at.join(&part)) {
            Some(NameKind::Folder) => {
                at.push(&part);
                steps.push(WayStep::Through(at.clone()));
            }
            Some(NameKind::Link(target)) if links < LINKS_MAX => {
                links += 1;
                steps.push(WayStep::Name(at.clone(), part));
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Some(NameKind::Other) if rest.is_empty() => {
                steps.push(WayStep::File(at, part));
                return steps;
            }
            Some(NameKind::Link(_) | NameKind::Other) | None => {
                steps.push(WayStep::Name(at, part));
                return steps;
            }
        }
    }
    steps
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_goes_through_every_link_and_ends_where_nothing_is() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().canonicalize().unwrap();
        for folder in ["releases/1/src", "conf/v1"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(top.join("conf/v1/app.json"), "").unwrap();
        for (target, link) in [
            ("stable", "current"),
            ("releases/1", "stable"),
            ("v1", "conf/data"),
            ("data/app.json", "conf/app.json"),
            ("../conf/app.json", "releases/conf.json"),
            ("round", "round"),
        ] {
            symlink(target, top.join(link)).unwrap();
        }
        symlink(top.join("conf"), top.join("absolute")).unwrap();
        let above = way_to(&top);
        assert_eq!(above.last(), Some(&WayStep::Through(top.clone())));
        let through = |inside: &str| WayStep::Through(top.join(inside));
        let name = |folder: &str, name: &str| WayStep::Name(top.join(folder), name.into());
        let file = |folder: &str, name: &str| WayStep::File(top.join(folder), name.into());
        let to_conf = [name("conf", "app.json"), name("conf", "data"), through("conf/v1"), file("conf/v1", "app.json")];
        for (inside, expected) in [
            ("releases/1", vec![through("releases"), through("releases/1")]),
            (
                "current/src",
                vec![
                    name("", "current"),
                    name("", "stable"),
                    through("releases"),
                    through("releases/1"),
                    through("releases/1/src"),
                ],
            ),
            ("conf/app.json", [vec![through("conf")], to_conf.to_vec()].concat()),
            (
                "releases/conf.json",
                [vec![through("releases"), name("releases", "conf.json"), through("conf")], to_conf.to_vec()].concat(),
            ),
            ("gone/a/b", vec![name("", "gone")]),
            ("conf/v1/app.json/x", vec![through("conf"), through("conf/v1"), name("conf/v1", "app.json")]),
        ] {
            let steps = way_to(&top.join(inside));
            assert_eq!(steps[above.len()..], expected.iter().map(tidy).collect::<Vec<_>>(), "{inside}");
        }
        let absolute = way_to(&top.join("absolute/v1"));
        assert_eq!(absolute.last(), Some(&through("conf/v1")), "an absolute link begins at the top");
        let round = way_to(&top.join("round/x"));
        assert_eq!(round.len(), above.len() + LINKS_MAX + 1, "links in a circle end");
    }

    /// `top.join("")` ends with a slash, which is no part of it.
    fn tidy(step: &WayStep) -> WayStep {
        let plain = |path: &Path| path.components().collect::<PathBuf>();
        match step {
            WayStep::Through(folder) => WayStep::Through(plain(folder)),
            WayStep::Name(folder, name) => WayStep::Name(plain(folder), name.clone()),
            WayStep::File(folder, name) => WayStep::File(plain(folder), name.clone()),
        }
    }
}
