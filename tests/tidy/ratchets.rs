//! Sizes that may only shrink: what is over a limit today stands in a list with its size, and gets no larger.
//!
//! A limit on lines alone makes large objects in small slices. These look at the objects. Numbers and reasons:
//! docs/CONTRIBUTING.md, "Sizes that only shrink".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Code, PURE, assert_clean, import_table, is_test_file, name_of, root, rust_files};

/// A limit, and what is over it: name and size. A size may be lowered, never raised; no name may be added.
struct Ratchet {
    /// What is counted.
    what: &'static str,
    /// How many there may be.
    max: usize,
    /// The name of the list, to be found in this file.
    list: &'static str,
    over: &'static [(&'static str, usize)],
    /// What to do instead.
    advice: &'static str,
}

const METHODS: Ratchet = Ratchet {
    what: "methods over all files",
    max: 40,
    list: "METHODS",
    over: &[("reconciler::Loop", 42)],
    advice: "Which part of its fields do some of them share? That part is a type of its own.",
};

const FIELDS: Ratchet = Ratchet {
    what: "fields",
    max: 14,
    list: "FIELDS",
    over: &[
        ("anchor::Anchor", 23),
        ("anchor::Header", 20),
        ("logs::Worker", 16),
        ("model::App", 21),
        ("model::LiveInstance", 15),
        ("model::Run", 20),
        ("os::Prepared", 16),
        ("plan::Rolling", 16),
        ("reconciler::Loop", 19),
        ("wire::Row", 29),
    ],
    advice: "Fields that are used together are a struct of their own.",
};

const BOOLS: Ratchet = Ratchet {
    what: "fields of type bool",
    max: 2,
    list: "BOOLS",
    over: &[
        ("anchor::Anchor", 7),
        ("cli::Logs", 5),
        ("cli::OptionArgs", 5),
        ("cli::Screen", 6),
        ("cli::WaitArgs", 3),
        ("logs::Flow", 3),
        ("model::ApplyOptions", 6),
        ("plan::Job", 3),
        ("plan::Rolling", 6),
        ("plan::Slots", 7),
        ("rules::IgnoreRule", 3),
        ("wire::Row", 4),
    ],
    advice: "Yes and no in several places are states: an enum says which of them can be.",
};

const FILES: Ratchet = Ratchet {
    what: "files without its tests and its sub-rooms",
    max: 20,
    list: "FILES",
    over: &[("src/cli/commands", 32), ("src/ecosystem", 29), ("src/model", 23), ("src/os", 25), ("src/os/linux", 30)],
    advice: "Files about one matter become a sub-room with a door (`mod.rs`) of its own.",
};

/// Rooms without a unit test of their own.
const UNTESTED: &[&str] = &["daemon", "reconciler"];

const CYCLES: Ratchet = Ratchet {
    what: "files that import each other in a circle",
    max: 0,
    list: "CYCLES",
    over: &[
        ("src/anchor", 8),
        ("src/cli", 4),
        ("src/logs", 4),
        ("src/os", 4),
        ("src/plan", 7),
        ("src/reconciler", 2),
        ("src/sensors", 7),
    ],
    advice: "What both need stands in a third file below them.",
};

const ONE_WORD: Ratchet = Ratchet {
    what: "doc comments of one word",
    max: 0,
    list: "ONE_WORD",
    over: &[],
    advice: "Say what the name does not (unit, source, what happens then), or leave it out where `missing_docs` does.",
};

const SHARED_NAMES: Ratchet = Ratchet {
    what: "rooms that define a type of this name",
    max: 1,
    list: "SHARED_NAMES",
    over: &[
        ("Answer", 3),
        ("BootError", 2),
        ("Clock", 2),
        ("Daemon", 3),
        ("Damage", 2),
        ("Document", 2),
        ("EditRequest", 2),
        ("Ending", 2),
        ("Entry", 6),
        ("Events", 2),
        ("Failed", 2),
        ("Field", 3),
        ("Finding", 2),
        ("Findings", 2),
        ("Folder", 2),
        ("Follower", 2),
        ("Found", 3),
        ("Held", 2),
        ("Hooks", 2),
        ("Host", 2),
        ("Keep", 2),
        ("Keys", 2),
        ("Kind", 2),
        ("Listeners", 2),
        ("Loop", 2),
        ("Messages", 2),
        ("Open", 2),
        ("Outlet", 2),
        ("Pair", 2),
        ("Parent", 2),
        ("Piece", 2),
        ("Pipes", 2),
        ("Place", 3),
        ("Plan", 2),
        ("Ready", 2),
        ("Record", 2),
        ("Rest", 2),
        ("Rollout", 2),
        ("Room", 2),
        ("Row", 2),
        ("Run", 2),
        ("Scene", 2),
        ("Scope", 2),
        ("Seen", 2),
        ("Span", 2),
        ("Start", 2),
        ("StartError", 2),
        ("Taken", 3),
        ("Target", 2),
        ("Trail", 2),
        ("Unreadable", 2),
        ("Verdict", 2),
        ("View", 2),
        ("Walk", 2),
        ("Why", 3),
        ("Work", 2),
        ("Worker", 2),
    ],
    advice: "A reader who searches for it finds the wrong one: say in the name whose it is.",
};

impl Ratchet {
    /// Holds what was counted against the limit and the list. `found` has everything, also what is below.
    fn check(&self, found: &BTreeMap<String, (usize, String)>) {
        let Self { what, max, list, advice, .. } = self;
        let over: BTreeMap<&str, usize> = self.over.iter().copied().collect();
        let mut wrong = String::new();
        for (name, (count, place)) in found {
            let rule = match over.get(name.as_str()) {
                None if count > max => format!("has {count} {what}; {max} is the limit. {advice}"),
                Some(limit) if count > limit => {
                    format!("grew from {limit} to {count} {what}. It may only shrink. {advice}")
                }
                Some(_) if count <= max => {
                    format!("has {count} {what}: few enough now. Take it out of {list} in tests/tidy/ratchets.rs.")
                }
                _ => continue,
            };
            let _ = writeln!(wrong, "{place}: {name} {rule} See docs/CONTRIBUTING.md, \"Sizes that only shrink\".");
        }
        for name in over.keys().filter(|name| !found.contains_key(**name)) {
            let _ = writeln!(wrong, "{name} is gone. Take it out of {list} in tests/tidy/ratchets.rs.");
        }
        assert_clean(&wrong);
    }
}

#[test]
fn a_type_has_methods_that_a_reader_can_hold() {
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in rust_files("src") {
        let mut own = None;
        for (at, line) in Code::read(&file).lines.iter().enumerate() {
            if let Some(head) = line.strip_prefix("impl") {
                let name = type_of_impl(head);
                own = name.map(|name| format!("{}::{name}", room_of(&file)));
            } else if line.starts_with('}') {
                own = None;
            } else if let Some(own) = own.as_ref().filter(|_| is_method(line)) {
                let place = || format!("{}:{}", name_of(&file), at + 1);
                found.entry(own.clone()).or_insert_with(|| (0, place())).0 += 1;
            }
        }
    }
    METHODS.check(&found);
}

/// The type of an inherent `impl`; what a trait asks for is not counted.
fn type_of_impl(head: &str) -> Option<&str> {
    let is_start = head.starts_with([' ', '<']) && !head.contains(" for ");
    let head = match head.strip_prefix('<') {
        Some(rest) => rest.split_once("> ")?.1,
        None => head.trim_start(),
    };
    let end = head.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(head.len());
    is_start.then_some(&head[..end])
}

/// A function at the indentation of an `impl`.
fn is_method(line: &str) -> bool {
    let Some(line) = line.strip_prefix("    ").filter(|line| !line.starts_with(' ')) else { return false };
    let before = line.split_once("fn ").map(|(before, _)| before);
    before.is_some_and(|before| {
        before.is_empty()
            || before.starts_with("pub")
            || before.starts_with("async")
            || before.starts_with("const")
            || before.starts_with("unsafe")
    })
}

#[test]
fn a_struct_has_fields_that_a_reader_can_hold() {
    let fields = |field: &str| !field.is_empty();
    FIELDS.check(&structs(fields));
}

#[test]
fn a_struct_is_not_a_bundle_of_bools() {
    BOOLS.check(&structs(|field| field.ends_with(": bool")));
}

/// How many fields of each struct are of a kind; names are `room::Struct`.
fn structs(is_counted: impl Fn(&str) -> bool) -> BTreeMap<String, (usize, String)> {
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in rust_files("src") {
        let mut inside: Option<String> = None;
        for (at, line) in Code::read(&file).lines.iter().enumerate() {
            let line = line.trim_end();
            if let Some(name) = &inside {
                if line.starts_with('}') {
                    inside = None;
                } else if field(line).is_some_and(&is_counted)
                    && let Some((count, _)) = found.get_mut(name)
                {
                    *count += 1;
                }
                continue;
            }
            let head = line.strip_prefix("pub").map_or(line, |rest| rest.split_once("struct ").map_or("", |_| rest));
            if let Some((before, rest)) = head.split_once("struct ")
                && (before.is_empty() || before.starts_with([' ', '(']))
                && line.ends_with('{')
            {
                let end = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
                let name = format!("{}::{}", room_of(&file), &rest[..end]);
                found.insert(name.clone(), (0, format!("{}:{}", name_of(&file), at + 1)));
                inside = Some(name);
            }
        }
    }
    found
}

/// `name: Type` of a line inside a struct.
fn field(line: &str) -> Option<&str> {
    let line = line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '#', '}', ')']))?;
    let line = line.trim_end_matches(',');
    line.contains(": ").then_some(line)
}

#[test]
fn a_room_has_files_that_a_reader_can_hold() {
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut wrong = String::new();
    for file in rust_files("src").into_iter().filter(|file| !is_test_file(file)) {
        let folder = file.parent().unwrap();
        let has_door = folder.join("mod.rs").exists() || folder.with_extension("rs").exists();
        if !has_door && folder != root().join("src") {
            let _ = writeln!(
                wrong,
                "{}: a folder without a door (`mod.rs`). See docs/ARCHITECTURE.md, \"Rooms\".",
                name_of(folder)
            );
        }
        found.entry(name_of(folder)).or_insert_with(|| (0, name_of(folder))).0 += 1;
    }
    assert_clean(&wrong);
    FILES.check(&found);
}

#[test]
fn every_room_that_decides_has_unit_tests() {
    let mut wrong = String::new();
    for row in import_table() {
        let files = rust_files(&format!("src/{}", row.room));
        let tests: usize = files.iter().map(|file| tests_in(&fs::read_to_string(file).unwrap())).sum();
        let room = row.room.as_str();
        if tests == 0 && (PURE.contains(&room) || !UNTESTED.contains(&room)) {
            let _ = writeln!(
                wrong,
                "src/{room}: no unit test. What it decides is shown in a table of cases beside it. See docs/CONTRIBUTING.md, \"Sizes that only shrink\"."
            );
        }
        if tests > 0 && UNTESTED.contains(&room) {
            let _ = writeln!(
                wrong,
                "src/{room} has {tests} unit tests. Take it out of UNTESTED in tests/tidy/ratchets.rs."
            );
        }
    }
    assert_clean(&wrong);
}

/// How many tests a text has.
fn tests_in(text: &str) -> usize {
    let is_test = |line: &&str| line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test");
    text.lines().filter(is_test).count()
}

#[test]
fn files_of_a_room_do_not_import_each_other_in_a_circle() {
    let mut found = BTreeMap::new();
    for row in import_table() {
        let room = format!("src/{}", row.room);
        let files: Vec<_> = rust_files(&room).into_iter().filter(|file| !is_test_file(file)).collect();
        let modules: Vec<Vec<String>> = files.iter().map(|file| module_of(file)).collect();
        let known: BTreeSet<Vec<String>> = modules.iter().cloned().collect();
        let imports: Vec<BTreeSet<usize>> = files
            .iter()
            .zip(&modules)
            .map(|(file, own)| {
                let targets = imports_of(file, own, &known);
                (0..files.len()).filter(|at| targets.contains(&modules[*at])).collect()
            })
            .collect();
        let reach: Vec<BTreeSet<usize>> = (0..files.len()).map(|from| reachable(from, &imports)).collect();
        let circle: Vec<String> =
            (0..files.len()).filter(|at| reach[*at].contains(at)).map(|at| name_of(&files[at])).collect();
        found.insert(room, (circle.len(), circle.join(", ")));
    }
    CYCLES.check(&found);
}

/// `src/plan/jobs/run.rs` → plan, jobs, run; the door of a folder is the folder.
fn module_of(file: &Path) -> Vec<String> {
    let name = name_of(file);
    let name = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').map(str::to_owned).collect()
}

/// The files that a file names in its paths. What a file and those above or below it in the tree have with each other
/// is not counted: a door names its rooms, and they its words.
fn imports_of(file: &Path, own: &[String], known: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let code = Code::read(file);
    let mut absolute: Vec<Vec<String>> = Vec::new();
    let split = |path: String| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    absolute.extend(code.paths("crate").into_iter().map(|(_, path)| split(path)));
    for (_, path) in code.paths("super") {
        let path = split(path);
        let more = path.iter().take_while(|part| *part == "super").count();
        let above = own.len().saturating_sub(1 + more);
        absolute.push(own[..above].iter().cloned().chain(path.into_iter().skip(more)).collect());
    }
    let longest =
        |path: Vec<String>| (1..=path.len()).rev().map(|end| path[..end].to_vec()).find(|path| known.contains(path));
    absolute
        .into_iter()
        .filter_map(longest)
        .filter(|target| !target.starts_with(own) && !own.starts_with(target))
        .collect()
}

/// What is reached from a file over one import or more.
fn reachable(from: usize, imports: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = imports[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if reached.insert(at) {
            next.extend(&imports[at]);
        }
    }
    reached
}

#[test]
fn a_doc_comment_says_more_than_a_word() {
    let mut found = BTreeMap::new();
    for row in import_table() {
        let mut places = Vec::new();
        for file in rust_files(&format!("src/{}", row.room)) {
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let is_doc = |at: Option<&&str>| at.is_some_and(|line| line.starts_with("///"));
            for (at, line) in lines.iter().enumerate() {
                let word = line.strip_prefix("/// ").map_or("", |text| text.trim_end_matches('.'));
                let is_word = !word.is_empty() && word.chars().all(char::is_alphanumeric);
                if is_word && !is_doc(lines.get(at + 1)) && !is_doc(at.checked_sub(1).and_then(|at| lines.get(at))) {
                    places.push(format!("{}:{}", name_of(&file), at + 1));
                }
            }
        }
        found.insert(format!("src/{}", row.room), (places.len(), places.join(", ")));
    }
    ONE_WORD.check(&found);
}

#[test]
fn a_type_name_belongs_to_one_room() {
    let rooms = super::words::rooms_of_types().into_iter();
    let found = rooms.map(|(name, rooms)| {
        let all: Vec<String> = rooms.into_iter().collect();
        (name, (all.len(), format!("src/{{{}}}", all.join(","))))
    });
    SHARED_NAMES.check(&found.collect());
}

/// The first folder below `src`.
pub(super) fn room_of(file: &Path) -> String {
    let name = name_of(file);
    name.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs").to_owned()
}
