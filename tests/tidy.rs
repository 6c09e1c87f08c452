//! The house rules, as tests: who may import whom, who is pure, what every file says about itself.
//!
//! Every message names the place, the rule and the page that explains it. A rule that is wrong is changed
//! here and in `docs/`, in the same commit; it is not worked around.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/ratchets.rs"]
mod ratchets;
#[path = "tidy/words.rs"]
mod words;

/// Rooms that decide: same arguments, same answer. Time and context are arguments.
const PURE: &[&str] = &["model", "rules", "ecosystem", "plan", "lifecycle", "cluster", "metrics", "pm2", "import"];

/// Ways to the kernel: modules of `std`, `libc` and `rustix`.
const KERNEL: &[&str] = &["fs", "net", "process", "env", "thread", "libc", "rustix"];

/// What stands in those modules and is only a value.
const PLAIN: &[&str] = &["process::ExitCode", "net::SocketAddr", "net::IpAddr", "net::Ipv4Addr", "net::Ipv6Addr"];

/// Who may go which way. `os` does what the other rooms ask it for, `anchor` is a process of its own; the rooms
/// whose matter is files open them themselves. May only shrink.
const MAY_TOUCH: &[(&str, &[&str])] = &[
    ("src/os/", KERNEL),
    ("src/anchor/", KERNEL),
    ("src/store/", &["fs"]),
    ("src/logs/", &["fs", "thread"]),
    ("src/logs/sys.rs", &["rustix"]),
    ("src/logs/file.rs", &["rustix"]),
    ("src/events/journal.rs", &["fs", "thread"]),
];

/// Lines of code that a file may have, tests not counted.
const LINES_MAX: usize = 500;

/// Files that are longer, with the length they may not exceed. May only shrink.
const LONG_FILES: &[(&str, usize)] = &[];

/// Names that say nothing: whatever is put there could be anywhere.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "core", "types", "base", "handler", "handlers",
];

/// The only files of tests that may sleep: between two looks at what they wait for, or between two faults.
const MAY_SLEEP: &[&str] = &["tests/e2e/support/wait.rs", "src/logs/pump_tests.rs", "src/logs/reader_tests.rs"];

#[test]
fn a_room_imports_only_what_the_table_in_the_architecture_says() {
    let table = import_table();
    let rooms: Vec<&str> = table.iter().map(|row| row.room.as_str()).collect();
    let mut wrong = String::new();
    for (at, row) in table.iter().enumerate() {
        for import in &row.imports {
            if !rooms[..at].contains(&import.as_str()) {
                let _ = writeln!(
                    wrong,
                    "docs/ARCHITECTURE.md: `{}` lists `{import}`, which does not stand above it. Data flows downwards through the table; turn the arrow round.",
                    row.room
                );
            }
        }
        let mut used = BTreeSet::new();
        for file in rust_files(&format!("src/{}", row.room)) {
            let code = Code::read(&file);
            let mut told = BTreeSet::new();
            for (line, path) in code.paths("crate") {
                let room = path.split("::").next().unwrap_or_default().to_owned();
                if room == row.room || room == "model" || !rooms.contains(&room.as_str()) {
                    continue;
                }
                if !row.imports.contains(&room) && told.insert((line, room.clone())) {
                    let _ = writeln!(
                        wrong,
                        "{}:{line}: `{}` uses `crate::{room}`, which the import table does not list. Which room should know this? See docs/ARCHITECTURE.md, \"Who may import whom\".",
                        name_of(&file),
                        row.room
                    );
                }
                used.insert(room);
            }
        }
        for unused in row.imports.difference(&used) {
            let _ = writeln!(
                wrong,
                "docs/ARCHITECTURE.md: the table lets `{}` import `{unused}`, but nothing there does. Take it out: a wall that is not needed open is closed.",
                row.room
            );
        }
    }
    assert_clean(&wrong);
}

#[test]
fn every_room_stands_in_the_table_and_in_lib() {
    let listed: BTreeSet<String> = import_table().into_iter().map(|row| row.room).collect();
    let folders: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, folders, "the import table of docs/ARCHITECTURE.md has one row per folder of src/");
}

#[test]
fn deciding_rooms_are_pure() {
    let mut wrong = String::new();
    for room in PURE {
        for file in rust_files(&format!("src/{room}")) {
            let code = Code::read(&file);
            let mut say = |line: usize, what: &str| {
                let _ = writeln!(
                    wrong,
                    "{}:{line}: `{what}` in a deciding room. Time and surroundings come in as arguments, so that a test can choose them. See docs/ARCHITECTURE.md, \"Rooms\".",
                    name_of(&file)
                );
            };
            for (line, path) in code.paths("std") {
                if is_kernel(&path) {
                    say(line, &format!("std::{path}"));
                }
                if ["time::SystemTime", "time::Instant"].contains(&path.as_str()) {
                    say(line, &format!("std::{path}"));
                }
            }
            for word in
                ["tokio::", "libc::", "rustix::", "SystemTime::now", "Instant::now", "Zoned::now", "Timestamp::now"]
            {
                code.lines_with(word).for_each(|line| say(line, word));
            }
        }
    }
    assert_clean(&wrong);
}

#[test]
fn the_actor_of_the_supervisor_knows_no_machine() {
    let mut wrong = String::new();
    for file in rust_files("src/supervisor/actor") {
        let code = Code::read(&file);
        let rooms = code.paths("crate").into_iter().filter(|(_, path)| {
            ["os", "anchor", "logs", "events"].contains(&path.split("::").next().unwrap_or_default())
        });
        let runtime = code.lines_with("tokio::").map(|line| (line, "tokio".to_owned()));
        for (line, path) in rooms.chain(runtime) {
            let _ = writeln!(
                wrong,
                "{}:{line}: `{path}`. Ask the host for it: what decides is run in tests on a pretended one. See docs/decisions/0018-the-supervisor-over-a-host.md.",
                name_of(&file)
            );
        }
    }
    assert_clean(&wrong);
}

#[test]
fn a_room_touches_the_kernel_only_where_it_may() {
    let mut wrong = String::new();
    let mut used = BTreeSet::new();
    for file in rust_files("src") {
        let (name, code) = (name_of(&file), Code::read(&file));
        let calls = ["libc", "rustix"]
            .into_iter()
            .flat_map(|name| code.paths(name).into_iter().map(move |(line, path)| (line, format!("{name}::{path}"))));
        for (line, path) in code.paths("std").into_iter().chain(calls).filter(|(_, path)| is_kernel(path)) {
            let way = path.split("::").next().unwrap_or_default();
            let allowed = MAY_TOUCH.iter().find(|(place, ways)| name.starts_with(place) && ways.contains(&way));
            match allowed {
                Some((place, _)) => {
                    used.insert(*place);
                }
                None => {
                    let _ = writeln!(
                        wrong,
                        "{name}:{line}: `{path}`. Ask `os` for it: a room that does not touch the kernel can be tested against a pretended one. See MAY_TOUCH in tests/tidy.rs."
                    );
                }
            }
        }
    }
    for (place, _) in MAY_TOUCH.iter().filter(|(place, _)| !used.contains(place)) {
        let _ = writeln!(wrong, "{place} no longer touches the kernel. Take it out of MAY_TOUCH in tests/tidy.rs.");
    }
    assert_clean(&wrong);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = String::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|folder| rust_files(folder)) {
        if !fs::read_to_string(&file).unwrap().starts_with("//! ") {
            let _ =
                writeln!(wrong, "{}: the first line says what the file is for: `//! <what> → <what>.`", name_of(&file));
        }
    }
    assert_clean(&wrong);
}

#[test]
fn every_door_says_in_out_never_walk() {
    let mut wrong = String::new();
    for row in import_table() {
        let door = format!("src/{}/mod.rs", row.room);
        let text = fs::read_to_string(root().join(&door)).unwrap();
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
        for word in ["In:", "Out:", "Never:", "Walk:"] {
            if !header.contains(word) {
                let _ = writeln!(
                    wrong,
                    "{door}: the header has no `{word}` A door says what comes in, what goes out, what never happens there, and which rooms come before and after. See src/model/mod.rs."
                );
            }
        }
    }
    assert_clean(&wrong);
}

#[test]
fn files_fit_a_reader() {
    let exempt: BTreeMap<&str, usize> = LONG_FILES.iter().copied().collect();
    let mut wrong = String::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|folder| rust_files(folder)) {
        let (name, lines) = (name_of(&file), Code::read(&file).lines.len());
        match exempt.get(name.as_str()) {
            None if lines > LINES_MAX => {
                let _ = writeln!(
                    wrong,
                    "{name}: {lines} lines without tests; {LINES_MAX} is the limit. Which two ideas live here?"
                );
            }
            Some(limit) if lines > *limit => {
                let _ = writeln!(
                    wrong,
                    "{name}: grew from {limit} to {lines} lines. An exempt file may only shrink; split it."
                );
            }
            Some(_) if lines <= LINES_MAX => {
                let _ = writeln!(
                    wrong,
                    "{name}: {lines} lines: short enough now. Take it out of LONG_FILES in tests/tidy.rs."
                );
            }
            _ => {}
        }
    }
    for name in exempt.keys().filter(|name| !root().join(name).exists()) {
        let _ = writeln!(wrong, "{name}: is gone. Take it out of LONG_FILES in tests/tidy.rs.");
    }
    assert_clean(&wrong);
}

#[test]
fn no_module_is_named_after_nothing() {
    let mut wrong = String::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|folder| rust_files(folder)) {
        let name = name_of(&file);
        let words = Path::new(&name).with_extension("");
        if let Some(word) = words.iter().filter_map(|part| part.to_str()).find(|part| EMPTY_NAMES.contains(part)) {
            let _ = writeln!(
                wrong,
                "{name}: `{word}` says nothing. Name the module after the question it answers: `order`, `adopt`, `wording`."
            );
        }
    }
    assert_clean(&wrong);
}

#[test]
fn no_test_sleeps_for_luck() {
    let mut wrong = String::new();
    for file in ["src", "tests"].iter().flat_map(|folder| rust_files(folder)) {
        let name = name_of(&file);
        if MAY_SLEEP.contains(&name.as_str()) || name == "tests/tidy.rs" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let from = if name.starts_with("tests/") || is_test_file(&file) {
            0
        } else {
            text.find("#[cfg(test)]\nmod ").unwrap_or(text.len())
        };
        let first = text[..from].lines().count() + 1;
        for (at, line) in text[from..].lines().enumerate().filter(|(_, line)| calls_sleep(line)) {
            let _ = writeln!(
                wrong,
                "{name}:{}: `{}`: a test waits for what it wants to see, with a deadline (`wait_until`), never for a time.",
                first + at,
                line.trim()
            );
        }
    }
    assert_clean(&wrong);
}

/// `sleep(…)`, and not a longer name that ends in it.
fn calls_sleep(line: &str) -> bool {
    let line = strip_comment(line);
    let is_call = |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
    line.match_indices("sleep(").any(|(at, _)| is_call(at))
}

// ---- the table in the document

/// One row: a room and what it may import besides `model`.
struct Row {
    room: String,
    imports: BTreeSet<String>,
}

/// The table under "Who may import whom": `| room | imports |`.
fn import_table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let from =
        text.find("\n## Who may import whom").expect("docs/ARCHITECTURE.md has a section `## Who may import whom`");
    let section = &text[from + 1..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let rows: Vec<Row> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            Row { room: quoted(cells[1]).remove(0), imports: quoted(cells[2]).into_iter().collect() }
        })
        .collect();
    assert!(rows.len() > 10, "docs/ARCHITECTURE.md: the import table has {} rows; was it reformatted?", rows.len());
    rows
}

/// The words between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

// ---- the code

/// The lines of a file without comments and without its test module.
struct Code {
    lines: Vec<String>,
}

impl Code {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        if is_test_file(file) {
            return Self { lines: Vec::new() };
        }
        let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        Self { lines: text[..end].lines().map(|line| strip_comment(line).to_owned()).collect() }
    }

    fn lines_with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_here = move |(at, line): (usize, &String)| line.contains(word).then_some(at + 1);
        self.lines.iter().enumerate().filter_map(is_here)
    }

    /// All paths below `start::`, groups taken apart: `use crate::{os::Clock, plan};` gives two.
    fn paths(&self, start: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let text = self.lines.join("\n");
        let start = format!("{start}::");
        for (at, _) in text.match_indices(&start) {
            let is_whole_word = !text[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
            if is_whole_word {
                let line = text[..at].matches('\n').count() + 1;
                expand(&text[at + start.len()..], "", &mut |path| found.push((line, path)));
            }
        }
        found
    }
}

/// Calls `tell` for every path of a use tree and returns the rest of the text.
fn expand<'a>(text: &'a str, prefix: &str, tell: &mut dyn FnMut(String)) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.trim_start().starts_with('}') && !rest.is_empty() {
            rest = expand(rest, prefix, tell);
            let end = rest.find([',', '}']).unwrap_or(rest.len());
            rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
        }
        return rest.trim_start().strip_prefix('}').unwrap_or_default();
    }
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(text.len());
    let path = if prefix.is_empty() { text[..end].to_owned() } else { format!("{prefix}::{}", &text[..end]) };
    match text[end..].strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => expand(rest, &path, tell),
        _ => {
            tell(path);
            &text[end..]
        }
    }
}

#[test]
fn use_trees_are_taken_apart() {
    let code = Code {
        lines: vec!["use crate::{os::{self, Clock}, plan};".into(), "let x = crate::rules::cron::next(1);".into()],
    };
    let paths: Vec<String> = code.paths("crate").into_iter().map(|(line, path)| format!("{line} {path}")).collect();
    assert_eq!(paths, ["1 os::self", "1 os::Clock", "1 plan", "2 rules::cron::next"]);
}

/// Whether a path leads to the kernel.
fn is_kernel(path: &str) -> bool {
    let leads_to = |modules: &[&str]| modules.iter().any(|module| starts_with_path(path, module));
    leads_to(KERNEL) && !leads_to(PLAIN)
}

fn starts_with_path(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// The line up to a comment; `//` inside a text such as an address does not begin one.
fn strip_comment(line: &str) -> &str {
    let is_comment = |at: &usize| !line[..*at].ends_with(':') && line[..*at].matches('"').count().is_multiple_of(2);
    let at = line.match_indices("//").map(|(at, _)| at).find(is_comment);
    &line[..at.unwrap_or(line.len())]
}

/// A file that its parent module declares under `#[cfg(test)]`, or that lies in a `tests` folder inside `src`.
fn is_test_file(file: &Path) -> bool {
    let folder = file.parent().unwrap();
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    let is_declared = |parent: &PathBuf| {
        let text = fs::read_to_string(parent).unwrap_or_default();
        text.contains(&format!("#[cfg(test)]\nmod {stem};"))
    };
    let name = name_of(file);
    name.starts_with("src/") && (name.contains("/tests/") || parents.iter().any(is_declared))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_clean(wrong: &str) {
    assert!(wrong.is_empty(), "\n\n{wrong}");
}
