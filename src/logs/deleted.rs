//! The default logs of apps that are deleted: which there are, and their removal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{AppId, AppName, Bytes, ProjectName, WallTime};
use crate::os;

/// What is left of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedLogs {
    /// The app.
    pub app: AppId,
    /// Its files: current ones, rotated ones, and those that hold their times.
    pub files: Vec<PathBuf>,
    /// Their length together.
    pub bytes: Bytes,
    /// When something was last written into one of them.
    pub written: WallTime,
}

/// Everything in the folder of default logs that belongs to no app for which `is_known`. Blocks on the disk.
pub fn deleted(logs: &Path, is_known: impl Fn(&AppId) -> bool) -> Vec<DeletedLogs> {
    let mut found: BTreeMap<AppId, DeletedLogs> = BTreeMap::new();
    for (folder, _) in os::list_folder(logs) {
        let Ok(project) = ProjectName::new(&folder) else { continue };
        for (name, _) in os::list_folder(&logs.join(&folder)) {
            let Some(app) = app_of(&name).map(|app| AppId::new(project.clone(), app)) else { continue };
            let path = logs.join(&folder).join(&name);
            // Not through a link: what it leads to is nobody's log.
            let Some(file) = fs::symlink_metadata(&path).ok().filter(|_| !is_known(&app)) else { continue };
            let one = found.entry(app.clone()).or_insert_with(|| DeletedLogs {
                app,
                files: Vec::new(),
                bytes: Bytes(0),
                written: WallTime(0),
            });
            one.files.push(path);
            one.bytes.0 += file.len();
            let age = file.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let written = age.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            one.written = one.written.max(WallTime(written));
        }
    }
    found.into_values().collect()
}

/// Removes these, but what has become known since. Blocks on the disk. Returns what was removed, and what could not be.
pub fn remove_deleted(all: Vec<DeletedLogs>, is_known: impl Fn(&AppId) -> bool) -> (Vec<DeletedLogs>, Vec<String>) {
    let (mut removed, mut troubles) = (Vec::new(), Vec::new());
    for mut one in all {
        let mut folders = BTreeSet::new();
        one.files.retain(|file| {
            // Asked for each file: an apply may have declared the app by now.
            if is_known(&one.app) {
                return false;
            }
            folders.extend(file.parent().map(Path::to_path_buf));
            match fs::remove_file(file) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => {
                    troubles.push(format!("cannot remove `{}`: {error}", file.display()));
                    false
                }
            }
        });
        for folder in folders {
            // Logs of other apps are still there, most often.
            let _ = fs::remove_dir(folder);
        }
        if !one.files.is_empty() {
            removed.push(one);
        }
    }
    (removed, troubles)
}

/// The app of a file in a project's folder: `api-out-0.log`, `api-out-0.log.3`, `.api-out-0.log.idx`.
fn app_of(file: &str) -> Option<AppName> {
    let log = file.strip_prefix('.').and_then(|rest| rest.strip_suffix(".idx")).unwrap_or(file);
    let (stem, segment) = log.rsplit_once(".log")?;
    let is_segment = |rest: &str| rest.strip_prefix('.').is_some_and(|number| number.parse::<u64>().is_ok());
    if !segment.is_empty() && !is_segment(segment) {
        return None;
    }
    let (rest, slot) = stem.rsplit_once('-')?;
    let (app, stream) = rest.rsplit_once('-')?;
    let is_log = ["out", "error"].contains(&stream) && slot.parse::<u32>().is_ok();
    AppName::new(app).ok().filter(|_| is_log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_logs_of_apps_that_nobody_knows_are_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        fs::create_dir(&shop).unwrap();
        let old =
            ["old-out-0.log", "old-out-0.log.12", ".old-out-0.log.idx", ".old-out-0.log.12.idx", "old-error-3.log"];
        let kept = ["new-out-0.log", "notes.txt", "old.log", "old-out-x.log", "old-out-0.log.gz", "old-in-0.log"];
        for name in old.iter().chain(&kept) {
            fs::write(shop.join(name), "12345").unwrap();
        }
        let is_new = |app: &AppId| app.name.as_str() == "new";
        let found = deleted(folder.path(), is_new);
        assert_eq!(found.iter().map(|one| one.app.to_string()).collect::<Vec<_>>(), ["shop:old"]);
        assert_eq!((found[0].files.len(), found[0].bytes), (old.len(), Bytes(25)));
        let (removed, troubles) = remove_deleted(found.clone(), |_| true);
        assert_eq!((removed, troubles), (Vec::new(), Vec::new()), "it is known by now");
        let (removed, troubles) = remove_deleted(found, is_new);
        assert_eq!((removed[0].files.len(), troubles), (old.len(), Vec::new()));
        let mut left: Vec<_> = os::list_folder(&shop).into_iter().map(|(name, _)| name).collect();
        left.sort();
        let mut expected = kept.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(app_of("a-b-out-1-out-0.log").unwrap().as_str(), "a-b-out-1");
    }
}
