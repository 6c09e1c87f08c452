//! Links and folders on the way to what is watched: whatever is turned, moved or replaced is noticed once, and what is there
//! then is watched.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Project, changed, judged};
use crate::model::WatchOptions;
use crate::sensors::watch::tree::{Settled, Tree};

/// One form of it.
struct Form {
    name: &'static str,
    /// Files, with what is in them, and links (target first), which come first.
    links: &'static [(&'static str, &'static str)],
    files: &'static [&'static str],
    watch: &'static [&'static str],
    follow_symlinks: bool,
    act: fn(&Project),
    /// The path that is named; `None`: nothing has changed.
    named: Option<&'static str>,
    /// A file that is written afterwards, and how that is named.
    then: (&'static str, &'static str),
    /// A file that is not watched any more.
    no_more: Option<&'static str>,
}

const FORM: Form = Form {
    name: "",
    links: &[],
    files: &[],
    watch: &[""],
    follow_symlinks: false,
    act: |_| {},
    named: None,
    then: ("", ""),
    no_more: None,
};

impl Project {
    fn link(&self, target: &str, link: &str) {
        fs::create_dir_all(self.path(link).parent().unwrap()).unwrap();
        symlink(target, self.path(link)).unwrap();
    }

    /// As `ln -sfn` with a rename, and as deployments do it.
    fn turn(&self, target: &str, link: &str) {
        self.link(target, "home/next");
        self.rename("home/next", link);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

const RELEASES: &[&str] = &["releases/1/src/a.js", "releases/2/src/a.js"];

fn above_the_root() -> Vec<Form> {
    let current = Form {
        files: RELEASES,
        links: &[("releases/1", "current")],
        watch: &["current/src"],
        named: Some("current/src"),
        then: ("releases/2/src/a.js", "current/src/a.js"),
        no_more: Some("releases/1/src/a.js"),
        ..FORM
    };
    vec![
        Form { name: "a link is turned", act: |at| at.turn("releases/2", "current"), ..current },
        Form {
            name: "a link is removed and made again",
            act: |at| {
                fs::remove_file(at.path("current")).unwrap();
                at.link("releases/2", "current");
            },
            ..current
        },
        Form {
            name: "a link behind a link is turned",
            links: &[("stable", "current"), ("releases/1", "stable")],
            act: |at| at.turn("releases/2", "stable"),
            ..current
        },
        Form {
            name: "the root is a link itself",
            links: &[("releases/1/src", "current")],
            watch: &["current"],
            act: |at| at.turn("releases/2/src", "current"),
            named: Some("current"),
            then: ("releases/2/src/a.js", "current/a.js"),
            ..current
        },
        Form {
            name: "a folder is moved aside for another one",
            files: &["app/src/a.js", "next/src/a.js"],
            links: &[],
            watch: &["app/src"],
            act: |at| {
                at.rename("app", "old");
                at.rename("next", "app");
            },
            named: Some("app/src"),
            then: ("app/src/a.js", "app/src/a.js"),
            no_more: Some("old/src/a.js"),
            ..FORM
        },
        Form {
            name: "the folder that a link leads to is moved aside for another one",
            act: |at| {
                at.rename("releases/1", "releases/0");
                at.rename("releases/2", "releases/1");
            },
            then: ("releases/1/src/a.js", "current/src/a.js"),
            no_more: Some("releases/0/src/a.js"),
            ..current
        },
        Form {
            name: "a link that leads nowhere gets its folder",
            links: &[("releases/3", "current")],
            act: |at| at.write("releases/3/src/a.js", "new"),
            then: ("releases/3/src/a.js", "current/src/a.js"),
            ..current
        },
    ]
}

fn renewed(at: &Project, text: &str) {
    at.write("conf/..v2/c.json", text);
    at.turn("..v2", "conf/..data");
    fs::remove_dir_all(at.path("conf/..v1")).unwrap();
}

fn files_that_are_links() -> Vec<Form> {
    let one = Form {
        files: &["real/v1/c.json", "real/v2/c.json"],
        links: &[("real/v1/c.json", "c.json")],
        watch: &["c.json"],
        named: Some("c.json"),
        then: ("real/v1/c.json", "c.json"),
        ..FORM
    };
    // As a volume of Kubernetes has them.
    let volume = Form {
        files: &["conf/..v1/c.json"],
        links: &[("..v1", "conf/..data"), ("..data/c.json", "conf/c.json")],
        watch: &["conf/c.json"],
        named: Some("conf/c.json"),
        then: ("conf/..v2/c.json", "conf/c.json"),
        ..FORM
    };
    vec![
        Form { name: "the file is written", act: |at| at.write("real/v1/c.json", "new"), ..one },
        Form {
            name: "the file is replaced",
            act: |at| {
                at.write("real/v1/new", "new");
                at.rename("real/v1/new", "real/v1/c.json");
            },
            ..one
        },
        Form {
            name: "the link is turned",
            act: |at| {
                at.write("home/x", "new");
                at.rename("home/x", "real/v2/c.json");
                at.turn("real/v2/c.json", "c.json");
            },
            then: ("real/v2/c.json", "c.json"),
            no_more: Some("real/v1/c.json"),
            ..one
        },
        Form {
            name: "a link behind the link is turned",
            links: &[("now/c.json", "c.json"), ("real/v1", "now")],
            files: &["real/v1/c.json"],
            act: |at| {
                at.write("real/v2/c.json", "new");
                at.turn("real/v2", "now");
            },
            then: ("real/v2/c.json", "c.json"),
            no_more: Some("real/v1/c.json"),
            ..one
        },
        Form { name: "the volume is renewed", act: |at| renewed(at, "new"), ..volume },
        Form { name: "the volume is renewed with the same bytes", act: |at| renewed(at, "old"), named: None, ..volume },
        Form { name: "the file comes later", files: &["real/x"], act: |at| at.write("real/v1/c.json", "new"), ..one },
    ]
}

fn links_in_watched_folders() -> Vec<Form> {
    let one = Form {
        files: &["real/v1/c.json", "real/v2/c.json"],
        watch: &["src"],
        named: Some("src/c.json"),
        then: ("real/v1/c.json", "src/c.json"),
        ..FORM
    };
    vec![
        Form {
            name: "the link is in a watched folder",
            links: &[("../real/v1/c.json", "src/c.json")],
            watch: &["src"],
            act: |at| at.write("real/v1/c.json", "new"),
            named: Some("src/c.json"),
            then: ("real/v1/c.json", "src/c.json"),
            ..one
        },
        Form {
            name: "the link comes into a watched folder later",
            files: &["real/v1/c.json", "src/a.js"],
            links: &[],
            watch: &["src"],
            act: |at| at.link("../real/v1/c.json", "src/c.json"),
            named: Some("src/c.json"),
            then: ("real/v1/c.json", "src/c.json"),
            ..one
        },
        Form {
            name: "the link and its file are in one watched folder",
            files: &["src/a.js"],
            links: &[("a.js", "src/b.js")],
            watch: &["src"],
            act: |at| at.write("src/a.js", "new"),
            named: Some("src/a.js"),
            then: ("src/a.js", "src/a.js"),
            ..one
        },
    ]
}

fn two_ways_into_one_folder() -> Vec<Form> {
    let both = Form {
        files: &["src/one/a.js"],
        links: &[("one", "src/two")],
        watch: &["src"],
        follow_symlinks: true,
        act: |at| at.write("src/one/a.js", "new"),
        named: Some("src/one/a.js"),
        then: ("src/one/a.js", "src/one/a.js"),
        ..FORM
    };
    vec![
        Form { name: "a folder and a link to it", ..both },
        Form {
            name: "the link is removed",
            act: |at| fs::remove_file(at.path("src/two")).unwrap(),
            named: Some("src/two"),
            ..both
        },
        Form {
            name: "two links to one folder, and one is removed",
            files: &["ext/a.js", "src/x"],
            links: &[("../ext", "src/one"), ("../ext", "src/two")],
            act: |at| fs::remove_file(at.path("src/one")).unwrap(),
            named: Some("src/one"),
            then: ("ext/a.js", "src/two/a.js"),
            ..both
        },
        Form {
            name: "two links to one folder, and the other one is removed",
            files: &["ext/a.js", "src/x"],
            links: &[("../ext", "src/one"), ("../ext", "src/two")],
            act: |at| fs::remove_file(at.path("src/two")).unwrap(),
            named: Some("src/two"),
            then: ("ext/a.js", "src/one/a.js"),
            ..both
        },
        Form { name: "a link to the folder around it", links: &[("..", "src/one/round")], ..both },
        Form {
            name: "two roots",
            files: &["one/a.js"],
            links: &[("one", "two")],
            watch: &["one", "two"],
            follow_symlinks: false,
            act: |at| at.write("one/a.js", "new"),
            named: Some("one/a.js"),
            then: ("two/a.js", "one/a.js"),
            ..both
        },
        Form {
            name: "two roots with globs of their own",
            files: &["one/a.js", "one/a.css"],
            links: &[("one", "two")],
            watch: &["one/*.js", "two/*.css"],
            follow_symlinks: false,
            act: |at| at.write("one/a.css", "new"),
            named: Some("two/a.css"),
            then: ("one/a.js", "one/a.js"),
            ..both
        },
    ]
}

fn forms() -> Vec<Form> {
    let all = [above_the_root(), files_that_are_links(), links_in_watched_folders(), two_ways_into_one_folder()];
    all.into_iter().flatten().collect()
}

fn opened(form: &Form, poll: bool) -> (Project, Tree) {
    let mut project = Project::new(form.files);
    project.write("home/x", "");
    for (target, link) in form.links {
        project.link(target, link);
    }
    // What is told apart by its contents holds something of its own.
    for file in form.files.iter().filter(|file| **file == "releases/2/src/a.js" || **file == "next/src/a.js") {
        project.write(file, "other");
    }
    project.watch = form.watch.to_vec();
    project.options = WatchOptions { poll, follow_symlinks: form.follow_symlinks, ..WatchOptions::default() };
    let tree = project.open();
    (project, tree)
}

#[test]
fn whatever_changes_on_the_way_is_noticed_once() {
    let mut wrong = Vec::new();
    for form in forms() {
        let (project, mut tree) = opened(&form, false);
        let mut expect = |what: &str, expected: Settled, tree: &mut Tree| {
            let (first, second) = (judged(tree), judged(tree));
            if first != expected || second != Settled::Nothing {
                wrong.push(format!("{}: {what}: {first:?} instead of {expected:?}, then {second:?}", form.name));
            }
        };
        expect("at first", Settled::Nothing, &mut tree);
        (form.act)(&project);
        expect("it is done", form.named.map_or(Settled::Nothing, |path| changed(path, 0)), &mut tree);
        project.write(form.then.0, "newer");
        expect("a write afterwards", changed(form.then.1, 0), &mut tree);
        if let Some(file) = form.no_more {
            project.write(file, "newest");
            expect("a write where it was", Settled::Nothing, &mut tree);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn looking_again_finds_the_same() {
    for form in forms() {
        let (project, mut tree) = opened(&form, true);
        (form.act)(&project);
        let is_noticed = matches!(judged(&mut tree), Settled::Changed { .. });
        // A link to a folder is none of the files that are looked at; what was reached by it is.
        if form.named.is_none_or(|path| !path.starts_with("src/") || path.contains('.')) {
            assert_eq!(is_noticed, form.named.is_some(), "{}", form.name);
        }
        assert_eq!(judged(&mut tree), Settled::Nothing, "{}: once", form.name);
        project.write(form.then.0, "newer");
        assert!(matches!(judged(&mut tree), Settled::Changed { .. }), "{}: afterwards", form.name);
    }
}

/// A release after another one, with saves in between, noticed one by one.
#[test]
fn release_after_release_is_noticed() {
    let mut project = Project::new(&["releases/0/src/a.js"]);
    project.write("home/x", "");
    project.link("releases/0", "current");
    project.watch = vec!["current/src"];
    let mut tree = project.open();
    for number in 1..10 {
        project.write(&format!("releases/{number}/src/a.js"), "new");
        assert_eq!(judged(&mut tree), Settled::Nothing, "{number}: not released yet");
        project.turn(&format!("releases/{number}"), "current");
        assert_eq!(judged(&mut tree), changed("current/src", 0), "{number}");
        project.write("current/src/a.js", &format!("saved {number}"));
        assert_eq!(judged(&mut tree), changed("current/src/a.js", 0), "{number}");
        fs::remove_dir_all(project.path(&format!("releases/{}", number - 1))).unwrap();
        assert_eq!(judged(&mut tree), Settled::Nothing, "{number}: the old one is removed");
    }
}

#[test]
fn new_rules_are_no_change_of_a_root_behind_a_link() {
    let mut project = Project::new(&["releases/0/src/a.js"]);
    project.link("releases/0", "current");
    project.watch = vec!["current/src"];
    let mut tree = project.open();
    project.write("current/src/.gitignore", "*.css\n");
    assert_eq!(judged(&mut tree), Settled::Nothing);
}

/// What was followed once is not kept for ever, and a link that was turned thousands of times is still followed.
#[test]
fn a_link_that_is_turned_again_and_again_is_followed_to_the_end() {
    let mut project = Project::new(&["src/a.js", "ext/0/c.json", "ext/1/c.json", "ext/2/c.json"]);
    project.write("home/x", "");
    project.link("../ext/0/c.json", "src/c.json");
    project.watch = vec!["src"];
    let mut tree = project.open();
    for round in 0..1_100 {
        project.turn(&format!("../ext/{}/c.json", round % 3), "src/c.json");
        if round % 10 == 0 {
            judged(&mut tree);
        }
    }
    judged(&mut tree);
    for round in 0..1_100 {
        project.turn(&format!("../ext/{}/c.json", round % 3), "src/c.json");
        judged(&mut tree);
    }
    project.write("ext/1/c.json", "new");
    assert_eq!(judged(&mut tree), changed("src/c.json", 0));
}
