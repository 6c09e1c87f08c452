//! Which changed paths count.

mod burst;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use burst::{BurstState, Bursts};

use super::ignore::IgnoreRules;
use crate::model::{LogPolicy, Template, WatchPolicy};

/// Folders in which tools keep what they make or fetch: version control, packages, builds, caches, editors.
const USUAL_FOLDERS: [&str; 30] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    ".bzr",
    "node_modules",
    "bower_components",
    "target",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    ".cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".parcel-cache",
    ".turbo",
    ".next",
    ".nuxt",
    ".svelte-kit",
    ".angular",
    ".gradle",
    ".terraform",
    ".bundle",
    ".idea",
    ".vscode",
    ".direnv",
];

/// Files that come and go around the real ones: what editors, programs and systems leave beside them.
const PASSING_FILES: [&str; 25] = [
    "*~",
    ".#*",
    "\\#*#",
    "4913",
    "*.sw[a-z]",
    ".*.sw[a-z]",
    ".*.un~",
    "*.bak",
    "*.orig",
    "*.tmp",
    "*.part",
    "*.crswap",
    "*___jb_tmp___",
    "*___jb_old___",
    ".goutputstream-*",
    "*.kate-swp",
    ".DS_Store",
    "Thumbs.db",
    "*.pyc",
    "*.log",
    "*.pid",
    "*.sock",
    "*-journal",
    "*-wal",
    "*-shm",
];

/// Where watching begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRoot {
    /// A folder or a file.
    pub path: PathBuf,
    /// What has to match below it; `None` = everything counts.
    glob: Option<String>,
}

/// What `pm` itself writes: it must never make an app restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFiles {
    /// Whole folders.
    folders: Vec<PathBuf>,
    /// Globs of log files that lie elsewhere.
    globs: Vec<String>,
}

impl OwnFiles {
    /// Everything in these folders.
    pub fn in_folders(folders: Vec<PathBuf>) -> Self {
        Self { folders, globs: Vec::new() }
    }

    /// Adds the log files of an app: whatever the slot, with their older segments and indexes.
    pub fn add_logs(&mut self, policy: &LogPolicy) {
        for template in [&policy.out_file, &policy.error_file, &policy.log_file].into_iter().flatten() {
            let glob = glob_of(template);
            let (folder, name) = glob.rsplit_once('/').unwrap_or(("", &glob));
            for glob in [glob.clone(), format!("{glob}.*"), format!("{folder}/.{name}*.idx")] {
                if !self.globs.contains(&glob) {
                    self.globs.push(glob);
                }
            }
        }
    }

    fn has(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder))
            || self.globs.iter().any(|glob| fast_glob::glob_match(glob, path.as_os_str().as_encoded_bytes()))
    }
}

/// A path with `*` where instances differ.
fn glob_of(template: &Template) -> String {
    let mut glob = String::new();
    let mut rest = template.source();
    while let Some(at) = rest.find('$') {
        glob.push_str(&WatchPolicy::literal(Path::new(&rest[..at])));
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            glob.push('$');
            rest = tail;
        } else if let Some((_, tail)) = rest.strip_prefix('{').and_then(|tail| tail.split_once('}')) {
            glob.push('*');
            rest = tail;
        }
    }
    glob + &WatchPolicy::literal(Path::new(rest))
}

/// Which paths count for one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRules {
    roots: Vec<WatchRoot>,
    asked: IgnoreRules,
    /// Those of them that name a place outside of the app's folder.
    asked_elsewhere: IgnoreRules,
    usual_folders: IgnoreRules,
    passing_files: IgnoreRules,
    own: Arc<OwnFiles>,
}

impl WatchRules {
    /// The rules of a policy. `cwd` is what `ignore_watch` is relative to.
    pub fn new(policy: &WatchPolicy, cwd: &Path, own: Arc<OwnFiles>) -> Self {
        let root = |glob: &String| {
            let (path, glob) = WatchPolicy::split(glob);
            WatchRoot { path, glob }
        };
        let everywhere = Path::new("/");
        let asked = || policy.ignore_watch.iter().map(String::as_str);
        let (elsewhere, here): (Vec<&str>, Vec<&str>) = asked().partition(|pattern| pattern.contains("//"));
        // One slash less, and they are relative to the root.
        let elsewhere: Vec<String> = elsewhere.iter().map(|pattern| pattern.replacen("//", "/", 1)).collect();
        Self {
            roots: policy.watch.iter().flatten().map(root).collect(),
            asked: IgnoreRules::new(cwd, here),
            asked_elsewhere: IgnoreRules::new(everywhere, elsewhere.iter().map(String::as_str)),
            usual_folders: IgnoreRules::new(everywhere, USUAL_FOLDERS),
            passing_files: IgnoreRules::new(everywhere, PASSING_FILES),
            own,
        }
    }

    /// Where watching begins.
    pub fn roots(&self) -> &[WatchRoot] {
        &self.roots
    }

    /// Whether a path is left out, and with a folder everything in it. `files` are the `.gitignore` rules that
    /// hold there, the nearest first. The first word that is said counts: `pm`'s own files, `ignore_watch`,
    /// `.gitignore`, what is usual. A folder or file that is watched by name is never left out.
    pub fn is_ignored<'a>(
        &self,
        path: &Path,
        is_folder: bool,
        files: impl IntoIterator<Item = &'a IgnoreRules>,
    ) -> bool {
        if self.own.has(path) {
            return true;
        }
        if self.roots.iter().any(|root| root.path == path) {
            return false;
        }
        let usual = if is_folder { &self.usual_folders } else { &self.passing_files };
        self.asked
            .verdict(path, is_folder)
            .or_else(|| self.asked_elsewhere.verdict(path, is_folder))
            .or_else(|| files.into_iter().find_map(|rules| rules.verdict(path, is_folder)).filter(|is_out| *is_out))
            .or_else(|| usual.verdict(path, is_folder))
            .unwrap_or(false)
    }

    /// Whether a file that is not left out belongs to what is watched.
    pub fn is_wanted(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| match (&root.glob, path.strip_prefix(&root.path)) {
            (None, Ok(_)) => true,
            (Some(glob), Ok(inside)) => fast_glob::glob_match(glob, inside.as_os_str().as_encoded_bytes()),
            (_, Err(_)) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(watch: &[&str], ignore: &[&str]) -> WatchRules {
        let policy = WatchPolicy {
            watch: Some(watch.iter().map(|text| (*text).to_owned()).collect()),
            ignore_watch: ignore.iter().map(|text| (*text).to_owned()).collect(),
            ..WatchPolicy::default()
        };
        let mut own = OwnFiles::in_folders(vec!["/srv/shop/.pm".into()]);
        let logs = LogPolicy {
            out_file: Some(Template::prepared("/srv/shop/out/api-${PM_INSTANCE}.txt".into())),
            ..LogPolicy::default()
        };
        own.add_logs(&logs);
        WatchRules::new(&policy, Path::new("/srv/shop"), Arc::new(own))
    }

    #[test]
    fn what_never_counts_is_known_without_being_told() {
        let rules = rules(&["/srv/shop"], &[]);
        for (path, is_folder, is_out) in [
            ("src", true, false),
            ("src/server.js", false, false),
            (".env", false, false),
            ("Makefile", false, false),
            ("node_modules", true, true),
            ("packages/a/node_modules", true, true),
            ("target", true, true),
            ("target", false, false),
            (".git", true, true),
            ("src/__pycache__", true, true),
            ("src/server.js~", false, true),
            ("src/.server.js.swp", false, true),
            ("src/.#server.js", false, true),
            ("src/#server.js#", false, true),
            ("src/4913", false, true),
            ("debug.log", false, true),
            ("shop.db-wal", false, true),
            (".pm", true, true),
            (".pm/logs/api-out-0.txt", false, true),
            ("out/api-3.txt", false, true),
            ("out/api-3.txt.12", false, true),
            ("out/.api-3.txt.idx", false, true),
            ("out/apis.txt", false, false),
        ] {
            assert_eq!(rules.is_ignored(&Path::new("/srv/shop").join(path), is_folder, []), is_out, "{path}");
        }
    }

    #[test]
    fn the_person_is_heard_before_git_and_git_before_habit() {
        let rules = rules(&["/srv/shop", "/srv/shop/dist"], &["tmp", "/public/*.js", "!vendor", "!node_modules"]);
        let git = IgnoreRules::parse(Path::new("/srv/shop"), "dist\nvendor\ncoverage\n!target\n");
        for (path, is_folder, is_out) in [
            ("tmp", true, true),
            ("public/a.js", false, true),
            ("public/a.css", false, false),
            ("vendor", true, false),
            ("node_modules", true, false),
            ("coverage", true, true),
            ("dist", true, false),
            ("target", true, true),
        ] {
            assert_eq!(rules.is_ignored(&Path::new("/srv/shop").join(path), is_folder, [&git]), is_out, "{path}");
        }
    }

    #[test]
    fn a_pattern_for_another_folder_counts_there() {
        let rules = rules(&["/srv/shop", "/srv/shared"], &["//srv/shared/tmp", "/srv", "tmp.js"]);
        for (path, is_out) in [
            ("/srv/shared/tmp", true),
            ("/srv/shared/src", false),
            ("/srv/shop/srv", true),
            ("/srv/shop/tmp.js", true),
            ("/srv/shared/tmp.js", false),
        ] {
            assert_eq!(rules.is_ignored(Path::new(path), true, []), is_out, "{path}");
        }
    }

    #[test]
    fn only_what_a_glob_names_is_wanted() {
        let rules = rules(&["/srv/shop/src/**/*.{js,ts}", "/srv/shop/conf.json"], &[]);
        for (path, is_wanted) in [
            ("src/a.js", true),
            ("src/x/y/a.ts", true),
            ("src/a.css", false),
            ("conf.json", true),
            ("other.json", false),
            ("a.js", false),
        ] {
            assert_eq!(rules.is_wanted(&Path::new("/srv/shop").join(path)), is_wanted, "{path}");
        }
        assert_eq!(rules.roots()[0].path, Path::new("/srv/shop/src"));
    }
}
