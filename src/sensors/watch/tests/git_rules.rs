//! What git leaves out is left out: repositories in repositories, worktrees, submodules, settings; also when they change.
//! The oracle is `git check-ignore`.

use std::path::Path;
use std::process::Command;

use super::{Project, judged};
use crate::sensors::watch::git::GitUser;
use crate::sensors::watch::tree::{Settled, Tree};

/// Git with nothing but the settings of the test.
fn git(project: &Project, folder: &Path, args: &[&str]) -> bool {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(folder)
        .env("HOME", project.path("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .expect("these tests compare with git: install it");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "git {args:?}: {output:?}");
    code == Some(0)
}

/// Each of these files is left out exactly if git leaves it out.
#[track_caller]
fn as_git_does(project: &Project, tree: &mut Tree, what: &str, files: &[&str]) -> usize {
    let mut left_out = 0;
    for (number, file) in files.iter().enumerate() {
        project.write(file, &format!("{what} {number}"));
        let path = project.path(file);
        let is_out = git(project, path.parent().unwrap(), &["check-ignore", "-q", path.to_str().unwrap()]);
        assert_eq!(judged(tree) == Settled::Nothing, is_out, "{what}: {file}");
        left_out += usize::from(is_out);
    }
    left_out
}

fn project(files: &[&str]) -> Project {
    let mut project = Project::new(files);
    project.write("home/x", "");
    project.git = GitUser::of(&[("HOME".to_owned(), project.path("home").to_string_lossy().into_owned())].into());
    project
}

#[test]
fn a_repository_in_another_one_has_its_own_rules() {
    let project = project(&["a.out", "in/a.out", "in/b.o", "in/deep/c.out", "in/deep/b.o", "vendor/x/a.js"]);
    project.write(".gitignore", "*.out\n/vendor\n");
    project.write("in/.gitignore", "*.o\n");
    for repository in ["", "in", "vendor/x"] {
        assert!(git(&project, &project.path(repository), &["init", "-q"]));
    }
    project.write("in/.git/info/exclude", "deep/c.*\n");
    let mut tree = project.open();
    let left_out =
        as_git_does(&project, &mut tree, "nested", &["a.out", "in/a.out", "in/b.o", "in/deep/c.out", "in/deep/b.o"]);
    assert_eq!(left_out, 4, "all but the one that only the outer rules name");
    // What the outer repository leaves out is not entered, whatever is in it.
    project.write("vendor/x/a.js", "new");
    assert_eq!(judged(&mut tree), Settled::Nothing);
}

#[test]
fn a_folder_that_becomes_a_repository_has_its_own_rules_from_then_on() {
    let project = project(&["a.out", "in/a.out"]);
    project.write(".gitignore", "*.out\n");
    assert!(git(&project, &project.root(), &["init", "-q"]));
    let mut tree = project.open();
    assert_eq!(as_git_does(&project, &mut tree, "before", &["a.out", "in/a.out"]), 2);
    assert!(git(&project, &project.path("in"), &["init", "-q"]));
    judged(&mut tree);
    assert_eq!(as_git_does(&project, &mut tree, "after", &["a.out", "in/a.out"]), 1);
    std::fs::remove_dir_all(project.path("in/.git")).unwrap();
    judged(&mut tree);
    assert_eq!(as_git_does(&project, &mut tree, "at the end", &["a.out", "in/a.out"]), 2);
}

#[test]
fn a_worktree_and_a_submodule_have_the_rules_of_their_repositories() {
    let mut project = project(&["main/a.js", "sub/a.js"]);
    for repository in ["main", "sub"] {
        let folder = project.path(repository);
        for args in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "x"]] {
            assert!(git(&project, &folder, args), "{args:?}");
        }
    }
    project.write("main/.git/info/exclude", "*.main\n");
    let sub = project.path("sub").to_string_lossy().into_owned();
    assert!(git(&project, &project.path("main"), &["submodule", "--quiet", "add", &sub, "module"]));
    project.write("main/.git/modules/module/info/exclude", "*.sub\n");
    let tree = project.path("tree").to_string_lossy().into_owned();
    assert!(git(&project, &project.path("main"), &["worktree", "add", "-q", &tree]));
    project.watch = vec!["tree", "main/module"];
    let mut tree = project.open();
    let files = ["tree/x.main", "tree/x.sub", "tree/deep/x.main", "main/module/x.main", "main/module/x.sub"];
    assert_eq!(as_git_does(&project, &mut tree, "exclude", &files), 3);
    project.write("main/.git/info/exclude", "*.other\n");
    judged(&mut tree);
    assert_eq!(as_git_does(&project, &mut tree, "another one", &["tree/x.main", "tree/x.other"]), 1);
}

#[test]
fn rules_outside_of_what_is_watched_are_followed_when_they_are_saved() {
    let mut project = project(&["apps/web/src/a.js", "apps/web/src/b.css", "apps/web/src/c.out"]);
    assert!(git(&project, &project.root(), &["init", "-q"]));
    project.watch = vec!["apps/web/src"];
    let mut tree = project.open();
    let files = ["apps/web/src/a.js", "apps/web/src/b.css", "apps/web/src/c.out"];
    assert_eq!(as_git_does(&project, &mut tree, "no rules", &files), 0);
    for (rules, text, left_out) in [
        (".gitignore", "*.css\n", 1),
        ("apps/.gitignore", "*.out\n", 2),
        ("apps/.gitignore", "!*.css\n", 0),
        (".git/info/exclude", "*.js\n*.css\n", 1),
        ("home/.config/git/ignore", "*.out\n", 2),
        ("home/.gitconfig", "[core]\n\texcludesFile = ~/left-out\n", 1),
        ("home/left-out", "*.out\n", 2),
        (".git/config", "[core]\n\texcludesFile = none\n", 1),
        ("apps/.gitignore", "", 2),
    ] {
        project.write(rules, text);
        judged(&mut tree);
        assert_eq!(as_git_does(&project, &mut tree, &format!("{rules} {text}"), &files), left_out, "{rules}: {text}");
    }
}
