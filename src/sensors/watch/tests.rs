//! Real folders, changed as editors and tools change them → what a watcher makes of it.

mod git_rules;
mod links;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::git::GitUser;
use super::shared::SharedFolders;
use super::tree::{Settled, Tree, Watched};
use crate::model::{Identity, WatchOptions, WatchPolicy};
use crate::os;
use crate::rules::OwnFiles;

/// A project folder and the tree that watches it.
struct Project {
    folder: TempDir,
    watch: Vec<&'static str>,
    ignore: Vec<&'static str>,
    /// Where `pm` writes.
    own: Vec<&'static str>,
    options: WatchOptions,
    git: GitUser,
}

impl Project {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (watch, own) = (vec![""], vec!["home"]);
        let project =
            Self { folder, watch, ignore: Vec::new(), own, options: WatchOptions::default(), git: GitUser::default() };
        fs::create_dir(project.root()).unwrap();
        for file in files {
            project.write(file, "old");
        }
        project
    }

    /// Links resolved, as `ecosystem` gives it.
    fn root(&self) -> std::path::PathBuf {
        self.folder.path().canonicalize().unwrap().join("shop")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn watched(&self) -> Watched {
        let glob = |text: &&str| {
            let root = WatchPolicy::literal(&self.root());
            if text.is_empty() { root } else { format!("{root}/{text}") }
        };
        let watch = Some(self.watch.iter().map(glob).collect());
        let ignore_watch = self.ignore.iter().map(|text| (*text).to_owned()).collect();
        let policy = WatchPolicy { watch, ignore_watch, watch_options: self.options, ..WatchPolicy::default() };
        let own = OwnFiles::in_folders(self.own.iter().map(|name| self.path(name)).collect());
        Watched { policy, cwd: self.root(), own: Arc::new(own), git: self.git.clone() }
    }

    fn open(&self) -> Tree {
        // What was written just now would not be known: nobody can tell whether that was before or after.
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        for file in os::walk_files(&self.root(), 10_000) {
            if let Ok(file) = fs::File::options().write(true).open(file) {
                file.set_modified(long_ago).unwrap();
            }
        }
        let mut tree = Tree::open(self.watched(), SharedFolders::new(None));
        assert_eq!(tree.troubles, Vec::<String>::new());
        while tree.learn() {}
        tree
    }
}

/// What the tree makes of everything since the last time.
fn judged(tree: &mut Tree) -> Settled {
    if tree.absorb() { tree.settle() } else { Settled::Nothing }
}

fn changed(path: &str, others: u32) -> Settled {
    Settled::Changed { path: path.to_owned(), others }
}

/// One case: what is done, and what a watcher should make of it.
type Case = (&'static str, fn(&Project), Settled);

fn cases() -> Vec<Case> {
    vec![
        ("a write", |at| at.write("src/a.js", "new"), changed("src/a.js", 0)),
        ("the same bytes", |at| at.write("src/a.js", "old"), Settled::Nothing),
        (
            "an atomic save",
            |at| {
                at.write("src/a.js.x7", "new");
                fs::rename(at.path("src/a.js.x7"), at.path("src/a.js")).unwrap();
            },
            changed("src/a.js", 0),
        ),
        (
            "a save that moves the old file aside, with a backup and a swap file",
            |at| {
                at.write("src/.a.js.swp", "x");
                at.write("src/4913", "");
                fs::remove_file(at.path("src/4913")).unwrap();
                fs::rename(at.path("src/a.js"), at.path("src/a.js~")).unwrap();
                at.write("src/a.js", "new");
            },
            changed("src/a.js", 0),
        ),
        (
            "a temporary file that comes and goes",
            |at| {
                at.write("src/x", "");
                fs::remove_file(at.path("src/x")).unwrap();
            },
            Settled::Nothing,
        ),
        ("a deleted file", |at| fs::remove_file(at.path("src/a.js")).unwrap(), changed("src/a.js", 0)),
        (
            "folders that do not count",
            |at| {
                at.write("node_modules/x/y.js", "new");
                at.write(".git/index", "new");
                at.write("build/x", "new");
                at.write("src/generated/x.js", "new");
                at.write("home/logs/api.txt", "new");
            },
            Settled::Nothing,
        ),
        ("a new folder with a file in it", |at| at.write("src/new/deep/b.js", "1"), changed("src/new/deep/b.js", 0)),
        ("a new empty folder", |at| fs::create_dir(at.path("src/empty")).unwrap(), Settled::Nothing),
        (
            "a tree moved in",
            |at| {
                fs::create_dir_all(at.folder.path().join("else/deep")).unwrap();
                fs::write(at.folder.path().join("else/deep/b.js"), "1").unwrap();
                fs::rename(at.folder.path().join("else"), at.path("src/else")).unwrap();
            },
            changed("src/else/deep/b.js", 0),
        ),
        ("a tree deleted", |at| fs::remove_dir_all(at.path("lib")).unwrap(), changed("lib/deep/c.js", 0)),
        (
            "a mode",
            |at| {
                fs::set_permissions(at.path("src/a.js"), fs::Permissions::from_mode(0o755)).unwrap();
            },
            Settled::Nothing,
        ),
    ]
}

const FILES: [&str; 6] =
    ["src/a.js", "lib/deep/c.js", "node_modules/x/y.js", "build/x", "src/generated/x.js", ".git/HEAD"];

fn project() -> Project {
    let project = Project::new(&FILES);
    project.write(".gitignore", "/build\n");
    project.write("src/.gitignore", "generated/\n");
    project
}

#[test]
fn what_editors_and_tools_do_is_understood() {
    for (name, act, expected) in cases() {
        let project = project();
        let mut tree = project.open();
        act(&project);
        assert_eq!(judged(&mut tree), expected, "{name}");
        assert_eq!(judged(&mut tree), Settled::Nothing, "{name}: nothing comes later");
    }
}

#[test]
fn looking_finds_what_is_told_elsewhere() {
    for (name, act, expected) in cases() {
        let mut project = project();
        project.options.poll = true;
        let mut tree = project.open();
        act(&project);
        assert_eq!(judged(&mut tree), expected, "{name}");
    }
}

#[test]
fn what_does_not_count_is_never_registered() {
    let project = project();
    let tree = project.open();
    let inside = |path: &&Path| path.strip_prefix(project.root()).unwrap().to_string_lossy().into_owned();
    let folders: Vec<String> = tree.told_folders().iter().map(inside).collect();
    assert_eq!(folders, ["", "lib", "lib/deep", "src"]);
}

#[test]
fn a_moved_tree_is_watched_where_it_is_now() {
    let project = project();
    let mut tree = project.open();
    fs::rename(project.path("lib"), project.path("library")).unwrap();
    assert_eq!(judged(&mut tree), changed("lib", 1));
    project.write("library/deep/c.js", "new");
    assert_eq!(judged(&mut tree), changed("library/deep/c.js", 0));
    fs::rename(project.path("library"), project.folder.path().join("elsewhere")).unwrap();
    assert_eq!(judged(&mut tree), changed("library", 0));
    fs::write(project.folder.path().join("elsewhere/deep/c.js"), "newer").unwrap();
    assert_eq!(judged(&mut tree), Settled::Nothing);
}

#[test]
fn a_deleted_folder_waits_for_its_successor() {
    for is_parent in [false, true] {
        let mut project = project();
        project.watch = vec!["src"];
        let mut tree = project.open();
        fs::remove_dir_all(if is_parent { project.root() } else { project.path("src") }).unwrap();
        assert_eq!(judged(&mut tree), Settled::Gone);
        project.write("src/a.js", "new");
        let mut last = judged(&mut tree);
        // Several folders have to appear before the root does.
        for _ in 0..3 {
            last = if last == Settled::Nothing { judged(&mut tree) } else { last };
        }
        assert!(matches!(last, Settled::Changed { .. }), "{last:?}");
        project.write("src/a.js", "newer");
        assert_eq!(judged(&mut tree), changed("src/a.js", 0), "the new one is watched");
    }
}

#[test]
fn a_single_file_and_a_glob_are_watched_without_their_neighbours() {
    let mut project = project();
    project.write("conf.json", "old");
    project.watch = vec!["conf.json", "src/**/*.js"];
    let mut tree = project.open();
    project.write("other.json", "new");
    project.write("src/a.css", "new");
    assert_eq!(judged(&mut tree), Settled::Nothing);
    project.write("conf.json.new", "new");
    fs::rename(project.path("conf.json.new"), project.path("conf.json")).unwrap();
    assert_eq!(judged(&mut tree), changed("conf.json", 0));
    project.write("src/a.js", "new");
    assert_eq!(judged(&mut tree), changed("src/a.js", 0));
}

#[test]
fn new_rules_of_git_are_followed_at_once() {
    let project = project();
    let mut tree = project.open();
    project.write(".gitignore", "/lib\n");
    assert_eq!(judged(&mut tree), Settled::Nothing);
    project.write("lib/deep/c.js", "new");
    assert_eq!(judged(&mut tree), Settled::Nothing, "left out from now on");
    project.write("build/x", "new");
    assert_eq!(judged(&mut tree), changed("build/x", 0), "counts from now on");
}

/// A save and an apply together: whatever the apply changes of what is watched, the save is evaluated, by the new rules.
#[test]
fn other_rules_keep_what_was_seen_by_the_old_ones() {
    type Change = fn(&mut Project);
    let rules: [(&str, Change, Settled); 6] = [
        ("another app's logs", |at| at.own.push("elsewhere"), changed("src/a.js", 0)),
        ("something else to ignore", |at| at.ignore = vec!["lib"], changed("src/a.js", 0)),
        ("fewer roots", |at| at.watch = vec!["src"], changed("src/a.js", 0)),
        ("more roots", |at| at.watch.push("build"), changed("src/a.js", 0)),
        ("another way to notice", |at| at.options.poll = !at.options.poll, changed("src/a.js", 0)),
        ("what was saved does not count any more", |at| at.ignore = vec!["src"], Settled::Nothing),
    ];
    for (name, change, expected) in rules {
        for (poll, is_absorbed) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut project = project();
            project.options.poll = poll;
            let mut tree = project.open();
            project.write("src/a.js", "new");
            assert!(!is_absorbed || tree.absorb());
            change(&mut project);
            let is_to_be_judged = tree.follow(project.watched()).is_some();
            assert_eq!(is_to_be_judged, expected != Settled::Nothing, "{name}");
            assert_eq!(tree.settle(), expected, "{name}, {poll} {is_absorbed}");
            while tree.learn() {}
            project.write("src/a.js", "new");
            assert_eq!(judged(&mut tree), Settled::Nothing, "{name}: the same bytes, and nothing comes later");
            project.write("src/a.js", "newer");
            assert_eq!(judged(&mut tree), expected, "{name}: it goes on by the new rules");
        }
    }
}

#[test]
fn what_was_left_out_counts_by_rules_that_come_with_it() {
    let mut project = project();
    project.ignore = vec!["src/a.js"];
    let mut tree = project.open();
    project.write("src/a.js", "new");
    assert_eq!(judged(&mut tree), Settled::Nothing);
    project.ignore = Vec::new();
    assert!(tree.follow(project.watched()).is_some());
    assert_eq!(tree.settle(), changed("src/a.js", 0));
    // A checkout brings the file before the rules of git, or after them.
    for (number, is_first) in [(1, true), (2, false)] {
        project.write("src/.gitignore", "generated/\n*.gen\n");
        judged(&mut tree);
        let name = format!("src/{number}.gen");
        if is_first {
            project.write(&name, "new");
        }
        project.write("src/.gitignore", "generated/\n");
        if !is_first {
            project.write(&name, "new");
        }
        assert_eq!(judged(&mut tree), changed(&name, 0));
    }
}

/// While a large tree is registered anew, files and folders come into being in it.
#[test]
fn nothing_is_lost_while_the_rules_of_git_change() {
    const FILES: u32 = 400;
    let project = project();
    for number in 0..300 {
        project.write(&format!("src/large/{number}/x.js"), "old");
    }
    project.write("home/draft", "");
    let mut tree = project.open();
    let root = project.root();
    let writer = std::thread::spawn(move || {
        for number in 0..FILES {
            let folder = if number % 4 == 0 { format!("new/{number}/deep") } else { format!("large/{}", number % 300) };
            let folder = root.join("src").join(folder);
            fs::create_dir_all(&folder).unwrap();
            // In one move: a file that is seen while it is still empty has changed twice.
            fs::write(root.join("home/draft"), "new").unwrap();
            fs::rename(root.join("home/draft"), folder.join(format!("written-{number}.js"))).unwrap();
            if number % 10 == 0 {
                fs::write(root.join(".gitignore"), format!("/build\n/other-{number}\n")).unwrap();
            }
        }
    });
    let mut seen = 0;
    let mut is_over = false;
    while !is_over {
        // One more look after the last write.
        is_over = writer.is_finished();
        for _ in 0..3 {
            if let Settled::Changed { others, .. } = judged(&mut tree) {
                seen += others + 1;
            }
        }
    }
    writer.join().unwrap();
    assert_eq!(seen, FILES);
}

#[test]
fn a_link_that_is_turned_is_a_change() {
    let mut project = project();
    project.write("one/a.js", "1");
    project.write("two/a.js", "2");
    std::os::unix::fs::symlink("one", project.path("current")).unwrap();
    project.watch = vec!["current"];
    let mut tree = project.open();
    std::os::unix::fs::symlink("two", project.path("next")).unwrap();
    fs::rename(project.path("next"), project.path("current")).unwrap();
    assert!(matches!(judged(&mut tree), Settled::Changed { .. }));
    project.write("two/a.js", "new");
    assert_eq!(judged(&mut tree), changed("current/a.js", 0));
}

#[test]
fn links_to_folders_are_followed_when_asked_for() {
    for follow_symlinks in [false, true] {
        let mut project = project();
        fs::create_dir(project.folder.path().join("shared")).unwrap();
        fs::write(project.folder.path().join("shared/s.js"), "1").unwrap();
        std::os::unix::fs::symlink("../../shared", project.path("src/shared")).unwrap();
        std::os::unix::fs::symlink("..", project.path("src/round")).unwrap();
        project.options.follow_symlinks = follow_symlinks;
        let mut tree = project.open();
        fs::write(project.folder.path().join("shared/s.js"), "2").unwrap();
        let expected = if follow_symlinks { changed("src/shared/s.js", 0) } else { Settled::Nothing };
        assert_eq!(judged(&mut tree), expected);
    }
}

/// For root, who may look into everything, as somebody else.
fn as_ordinary_user<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let nobody = Identity { uid: 65_534, gid: 65_534, groups: Vec::new() };
    os::with_rights_of((os::user_id() == 0).then_some(&nobody), || Ok(work())).unwrap()
}

#[test]
fn a_folder_that_becomes_readable_is_watched_from_then_on() {
    let rights = |project: &Project, name: &str, mode: u32| {
        fs::set_permissions(project.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (watch, when_opened) in [("", changed("src/closed/b.js", 0)), ("src/closed", Settled::Nothing)] {
        let mut project = Project::new(&["src/a.js", "src/closed/b.js"]);
        project.watch = vec![watch];
        fs::set_permissions(project.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        rights(&project, "src/closed", 0o000);
        let mut tree = as_ordinary_user(|| Tree::open(project.watched(), SharedFolders::new(None)));
        assert_eq!(as_ordinary_user(|| judged(&mut tree)), Settled::Nothing);
        rights(&project, "src/a.js", 0o600);
        assert_eq!(as_ordinary_user(|| judged(&mut tree)), Settled::Nothing, "others' rights are no change");
        rights(&project, "src/closed", 0o755);
        assert_eq!(as_ordinary_user(|| judged(&mut tree)), when_opened, "{watch}");
        for round in 0..3 {
            project.write("src/closed/b.js", &round.to_string());
            assert_eq!(as_ordinary_user(|| judged(&mut tree)), changed("src/closed/b.js", 0), "{watch}");
        }
    }
}

#[test]
fn a_flood_of_changes_is_one_verdict_even_if_the_kernel_lost_some() {
    let project = project();
    let mut tree = project.open();
    for number in 0..3000 {
        project.write(&format!("src/many/{number}.js"), "new");
    }
    assert!(matches!(judged(&mut tree), Settled::Changed { others: 2999, .. }));
    let queue: usize = os::read_limited(Path::new("/proc/sys/fs/inotify/max_queued_events"), 64)
        .ok()
        .and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok())
        .unwrap_or(16_384);
    if queue > 50_000 {
        return;
    }
    for round in 0..=queue / 2 {
        project.write(if round % 2 == 0 { "src/a.js" } else { "lib/deep/c.js" }, &round.to_string());
    }
    assert!(matches!(judged(&mut tree), Settled::Changed { .. }));
    project.write("src/a.js", "and it goes on");
    assert_eq!(judged(&mut tree), changed("src/a.js", 0));
}
