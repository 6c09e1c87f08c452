//! The rules of `.gitignore`, as `pm::rules` reads them, compared with git itself: random rules, one tree.
//!
//! Git is needed (`./test` installs it); without it this fails and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pm::rules::IgnoreRules;

/// Sets of rules that are tried.
const ROUNDS: u64 = 400;

/// Pieces of patterns: letters, everything with a meaning, and whole patterns as people write them.
const PIECES: &[&str] = &[
    "a",
    "b",
    "ab",
    "c",
    "x.js",
    "*.js",
    "*",
    "*",
    "**",
    "**",
    "***",
    "?",
    "/",
    "/",
    "/",
    "[a-c]",
    "[!a]",
    "[^b]",
    "[]a]",
    "[a",
    "[[:alpha:]]",
    "[[:digit:]]",
    "[\\]a]",
    "[a-]",
    "\\",
    "\\*",
    "\\ ",
    " ",
    "#",
    "!",
    "{a,b}",
    ".",
    "..",
    "é",
    "-",
    "\t",
    "\u{feff}",
    "\r",
    "**/",
    "/**",
    "a/",
    "b/**/c",
];

/// What is in the folders of the tree, down to three levels.
const FOLDERS: &[&str] = &["a", "b", "ab"];
const FILES: &[&str] =
    &["a", "b", "c", "x.js", "ab.js", "#a", "!b", "a b", "a ", "\\a", "[a", "{a,b}", "é", "1", "*", "]", "-", ".a"];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        if self.below(20) == 0 {
            text.push('\u{feff}');
        }
        for _ in 0..=self.below(4) {
            if self.below(4) == 0 {
                text.push('!');
            }
            for _ in 0..=self.below(4) {
                text.push_str(self.one(PIECES));
            }
            text.push_str(if self.below(10) == 0 { "\r\n" } else { "\n" });
        }
        if self.below(8) == 0 {
            text.pop();
        }
        text
    }
}

/// All paths of the tree, a folder before what is in it; `true` for folders.
fn paths() -> Vec<(PathBuf, bool)> {
    fn fill(folder: &Path, level: usize, paths: &mut Vec<(PathBuf, bool)>) {
        // Files and folders of one name do not fit into one folder.
        let folders: &[&str] = if level < 2 { FOLDERS } else { &[] };
        for name in FILES.iter().filter(|name| !folders.contains(name)) {
            paths.push((folder.join(name), false));
        }
        for name in folders {
            paths.push((folder.join(name), true));
            fill(&folder.join(name), level + 1, paths);
        }
    }
    let mut paths = Vec::new();
    fill(Path::new(""), 0, &mut paths);
    paths
}

fn git(top: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(top).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", top);
    git
}

/// What git leaves out.
fn by_git(top: &Path, paths: &[(PathBuf, bool)]) -> BTreeSet<PathBuf> {
    let mut child = git(top)
        .args(["check-ignore", "--stdin", "-z", "--no-index"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text: Vec<u8> =
        paths.iter().flat_map(|(path, _)| [path.as_os_str().as_encoded_bytes(), b"\0"].concat()).collect();
    let writer = std::thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(String::from_utf8(name.to_vec()).unwrap())).collect()
}

/// What `pm` leaves out: what the nearest rule that matches says, and everything in a folder that is left out.
fn by_pm(top: &Path, files: &[(&str, String)], paths: &[(PathBuf, bool)]) -> BTreeSet<PathBuf> {
    let rules: Vec<(PathBuf, IgnoreRules)> = files
        .iter()
        .map(|(file, text)| {
            let folder = file.strip_suffix(".gitignore").map_or(top.to_owned(), |folder| top.join(folder));
            (folder.clone(), IgnoreRules::parse(&folder, text))
        })
        .collect();
    let mut out = BTreeSet::new();
    for (path, is_folder) in paths {
        let whole = top.join(path);
        let is_in_one = path.ancestors().skip(1).any(|folder| out.contains(folder));
        let mut verdict = rules.iter().rev().filter(|(folder, _)| whole.starts_with(folder));
        if is_in_one || verdict.find_map(|(_, rules)| rules.verdict(&whole, *is_folder)).unwrap_or(false) {
            out.insert(path.clone());
        }
    }
    out
}

#[test]
fn random_rules_mean_what_they_mean_to_git() {
    let is_there = Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(is_there, "this test compares with `git check-ignore`: install git (./test does so)");
    let home = tempfile::tempdir().unwrap();
    let top = home.path().canonicalize().unwrap();
    let paths = paths();
    for (path, is_folder) in &paths {
        let path = top.join(path);
        if *is_folder { fs::create_dir(path).unwrap() } else { fs::write(path, "").unwrap() }
    }
    assert!(git(&top).args(["init", "-q"]).status().unwrap().success());
    let mut random = Random(7);
    let (mut wrong, mut left_out) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        // The later, the nearer.
        let files: Vec<(&str, String)> = [".git/info/exclude", ".gitignore", "a/.gitignore", "a/b/.gitignore"]
            .into_iter()
            .map(|file| {
                (file, if file == ".gitignore" || random.below(3) == 0 { random.text() } else { String::new() })
            })
            .collect();
        for (file, text) in &files {
            fs::write(top.join(file), text).unwrap();
        }
        let (git, pm) = (by_git(&top, &paths), by_pm(&top, &files, &paths));
        left_out += git.len();
        if git != pm {
            let rules: Vec<_> = files.iter().filter(|(_, text)| !text.is_empty()).collect();
            let (only_git, only_pm): (Vec<_>, Vec<_>) = (git.difference(&pm).collect(), pm.difference(&git).collect());
            wrong.push(format!(
                "round {round}: {rules:?}\n  only git: {:?}\n  only pm: {:?}",
                &only_git[..only_git.len().min(5)],
                &only_pm[..only_pm.len().min(5)]
            ));
        }
    }
    assert!(left_out > 10_000, "the rules name something: {left_out}");
    assert!(wrong.is_empty(), "{} of {ROUNDS} differ\n{}", wrong.len(), wrong.join("\n"));
}
