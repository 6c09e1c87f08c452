//! Links in a release to what git ignores: settings, uploads, whatever outlives a release.

use std::io;
use std::path::{Path, PathBuf};

use crate::os::{self, NameKind};

use super::ReleaseNote;

/// Deepest folder of `shared` that is looked into.
const DEPTH_MAX: usize = 16;
/// Most entries of `shared`.
const ENTRIES_MAX: usize = 10_000;

/// Links each entry of `shared` into the release where the release has nothing. Where both have a folder, the entries in
/// it are linked; where the release has anything else, it stays and is noted.
pub(super) fn link_shared(shared: &Path, release: &Path, notes: &mut Vec<ReleaseNote>) -> io::Result<()> {
    let mut open = vec![(shared.to_owned(), release.to_owned(), PathBuf::new(), DEPTH_MAX)];
    let mut looked_at = 0;
    while let Some((shared, release, inside, depth)) = open.pop() {
        for entry in os::list_entries(&shared) {
            looked_at += 1;
            if looked_at > ENTRIES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "more than 10000 entries in the shared folder",
                ));
            }
            let (from, to, inside) = (shared.join(&entry.name), release.join(&entry.name), inside.join(&entry.name));
            match os::name_kind(&to) {
                None => os::make_link(&from, &to)?,
                Some(NameKind::Folder) if entry.is_folder && depth > 0 => open.push((from, to, inside, depth - 1)),
                Some(_) => notes.push(ReleaseNote::NotLinked(inside.display().to_string())),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_the_release_has_stays_and_all_else_is_linked() {
        let home = tempfile::tempdir().unwrap();
        let (shared, release) = (home.path().join("shared"), home.path().join("release"));
        for folder in ["shared/config/deep", "shared/uploads", "release/config", "release/real", "shared/linked"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for file in
            ["shared/.env", "shared/config/local.toml", "shared/real", "shared/linked/x", "release/config/app.toml"]
        {
            fs::write(home.path().join(file), file).unwrap();
        }
        os::make_link(Path::new("config"), &release.join("linked")).unwrap();
        let mut notes = Vec::new();
        link_shared(&shared, &release, &mut notes).unwrap();
        notes.sort_by_key(|note| format!("{note:?}"));
        let not_linked = |path: &str| ReleaseNote::NotLinked(path.to_owned());
        assert_eq!(notes, [not_linked("linked"), not_linked("real")]);
        for path in [".env", "uploads", "config/local.toml", "config/deep"] {
            assert_eq!(fs::read_link(release.join(path)).unwrap(), shared.join(path), "{path}");
        }
        assert!(!release.join("config/x").exists(), "a link of the repository is not followed");
        assert_eq!(fs::read_to_string(release.join("config/app.toml")).unwrap(), "release/config/app.toml");
    }
}
