//! Every line is written once and whole, however its bytes come and wherever the daemon dies.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::file::{Pour, Splice};
use super::super::index::IndexWriter;
use super::super::segments::by_path;
use super::*;
use crate::model::{LogForm, OnLogFull, WallTime};

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A pump's files, as a new daemon has them.
    fn daemon(&self) -> WrittenFiles {
        let pour: Box<dyn Pour> = Box::new(Splice);
        WrittenFiles::new(OpenFiles::new(pour, 3), Some(ExportJournal::open(&self.path("journal")).unwrap()))
    }

    fn target(&self, log: &str, files: &[(&str, LogForm)]) -> LogTarget {
        let export =
            |(name, form): &(&str, LogForm)| ExportFile { location: self.path(name).into(), form: form.clone() };
        LogTarget {
            instance: "shop:api/0".parse().unwrap(),
            location: self.path(log).into(),
            exports: files.iter().map(export).collect(),
            rotation: Rotation { size: Bytes(0), keep: 5 },
            on_full: OnLogFull::Drop,
        }
    }

    /// The log grows by these bytes, which came at this time.
    fn grow(&self, log: &str, bytes: &[u8], at: u64) {
        let path = self.path(log);
        let size = fs::metadata(&path).map_or(0, |found| found.len());
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut index = IndexWriter::open(&by_path::folder(&path), size).unwrap();
        index.note(size, WallTime(at), std::time::Instant::now());
        file.write_all(bytes).unwrap();
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap_or_default()).unwrap()
    }
}

fn stamped() -> LogForm {
    LogForm { log_timestamps: Some("%s".into()), ..LogForm::default() }
}

fn json() -> LogForm {
    LogForm { log_format: LogFormat::Json, log_timestamps: Some("%s".into()) }
}

/// Both in the journal and in the file: what a daemon leaves that dies before, in the middle of, and after a write, and
/// before each note.
#[derive(Clone, Copy, Debug)]
enum Death {
    Announced { written: usize },
    WrittenBoth,
    Noted,
}

/// Does what a daemon does up to the point where it dies: taken from the state before and the state after.
fn die(desk: &Desk, death: Death, step: impl FnOnce(&mut WrittenFiles), files: &[&str]) {
    for step in ["announced", "noted"] {
        let _ = fs::remove_file(desk.path("kept").with_extension(step));
    }
    let mut daemon = desk.daemon();
    // What it has finished for the one before it is not lost with it.
    let before: Vec<Vec<u8>> = files.iter().map(|file| fs::read(desk.path(file)).unwrap_or_default()).collect();
    daemon.journal.as_mut().unwrap().keep_for_tests = Some(desk.path("kept"));
    step(&mut daemon);
    drop(daemon);
    // The journal as it was when the last write had been announced, or when its position had been noted, too.
    let kept = |name: &str| desk.path("kept").with_extension(name);
    match death {
        Death::Announced { written } => {
            restore(&kept("announced"), &desk.path("journal"));
            for (file, before) in files.iter().zip(before) {
                let now = fs::read(desk.path(file)).unwrap_or_default();
                let whole = now.len().max(before.len());
                let left = (before.len() + written).min(whole);
                if desk.path(file).exists() {
                    fs::OpenOptions::new().write(true).open(desk.path(file)).unwrap().set_len(left as u64).unwrap();
                }
            }
        }
        Death::WrittenBoth => restore(&kept("announced"), &desk.path("journal")),
        Death::Noted => restore(&kept("noted"), &desk.path("journal")),
    }
}

fn restore(kept: &Path, journal: &Path) {
    if kept.exists() {
        fs::copy(kept, journal).unwrap();
    }
}

fn deaths() -> impl Strategy<Value = Option<Death>> {
    prop_oneof![
        3 => Just(None),
        2 => (0usize..60).prop_map(|written| Some(Death::Announced { written })),
        1 => Just(Some(Death::WrittenBoth)),
        1 => Just(Some(Death::Noted)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_written_once_and_whole(
        lines in prop::collection::vec("[a-c]{0,12}", 1..30),
        cuts in prop::collection::vec((1usize..40, deaths()), 1..40),
    ) {
        let text = lines.join("\n") + "\n";
        let desk = Desk::new();
        let target = desk.target("log", &[("stamped", stamped()), ("json", json()), ("plain", LogForm::default())]);
        let files = ["stamped", "json", "plain"];
        desk.daemon().begin_exports(&target);
        let (mut from, mut times) = (0, Vec::new());
        for (at, (bytes, death)) in cuts.iter().cycle().enumerate() {
            if from == text.len() {
                break;
            }
            let end = (from + bytes).min(text.len());
            let at = (at as u64 + 1) * 1000;
            times.extend((from..end).map(|_| at / 1000));
            let step = |daemon: &mut WrittenFiles| {
                daemon.begin_exports(&target);
                desk.grow("log", &text.as_bytes()[from..end], at);
                daemon.export(&target, Stream::Stdout, false).unwrap();
            };
            match death {
                None => step(&mut desk.daemon()),
                Some(death) => die(&desk, *death, step, &files),
            }
            from = end;
        }
        let mut daemon = desk.daemon();
        daemon.begin_exports(&target);
        daemon.export(&target, Stream::Stdout, false).unwrap();
        let mut offset = 0;
        let (mut expected, mut objects) = (String::new(), String::new());
        for line in &lines {
            let at = times[offset];
            writeln!(expected, "{at}: {line}").unwrap();
            writeln!(
                objects,
                "{{\"timestamp\":\"{at}\",\"app_name\":\"api\",\"process_id\":0,\"type\":\"out\",\"message\":\"{line}\"}}"
            )
            .unwrap();
            offset += line.len() + 1;
        }
        prop_assert_eq!(desk.text("plain"), text);
        prop_assert_eq!(desk.text("stamped"), expected);
        prop_assert_eq!(desk.text("json"), objects);
    }
}

#[test]
fn a_long_line_gets_one_time_and_others_wait_for_no_end_of_it() {
    let desk = Desk::new();
    let (one, two) = (desk.target("one", &[("all", stamped())]), desk.target("two", &[("all", stamped())]));
    let mut daemon = desk.daemon();
    daemon.begin_exports(&one);
    daemon.begin_exports(&two);
    let long = "x".repeat(LINE_HELD_BYTES);
    desk.grow("one", long.as_bytes(), 1000);
    daemon.export(&one, Stream::Stdout, false).unwrap();
    desk.grow("one", b"yy", 2000);
    daemon.export(&one, Stream::Stdout, true).unwrap();
    assert_eq!(desk.text("all"), format!("1: {long}yy"));
    desk.grow("two", b"other\n", 3000);
    daemon.export(&two, Stream::Stdout, false).unwrap();
    desk.grow("one", b"rest\nnext\n", 4000);
    daemon.export(&one, Stream::Stdout, false).unwrap();
    assert_eq!(desk.text("all"), format!("1: {long}yy\n3: other\n4: rest\n4: next\n"));
}

#[test]
fn what_is_held_is_written_at_the_end_and_nothing_is_added_to_it() {
    let desk = Desk::new();
    let target = desk.target("log", &[("stamped", stamped()), ("json", json())]);
    let mut daemon = desk.daemon();
    daemon.begin_exports(&target);
    desk.grow("log", b"first\nlast words", 1000);
    daemon.export(&target, Stream::Stdout, false).unwrap();
    assert_eq!(desk.text("stamped"), "1: first\n");
    daemon.export(&target, Stream::Stdout, true).unwrap();
    assert_eq!(desk.text("stamped"), "1: first\n1: last words");
    desk.grow("log", b"\nagain\n", 2000);
    daemon.end_exports(&target, Stream::Stdout).unwrap();
    assert_eq!(desk.text("stamped"), "1: first\n1: last words\n2: again\n");
    assert_eq!(desk.text("json").lines().count(), 3);
    // Begun again, it starts from the end.
    desk.grow("log", b"unseen\n", 3000);
    daemon.begin_exports(&target);
    desk.grow("log", b"seen\n", 4000);
    daemon.export(&target, Stream::Stdout, false).unwrap();
    assert!(desk.text("stamped").ends_with("again\n4: seen\n"));
}

#[test]
fn lines_are_found_across_files_that_were_cut_and_the_written_file_is_cut_between_lines() {
    let desk = Desk::new();
    let mut target = desk.target("log", &[("stamped", stamped())]);
    target.rotation = Rotation { size: Bytes(4096), keep: 100 };
    desk.daemon().begin_exports(&target);
    let mut expected = String::new();
    for round in 0..40u64 {
        // Each file of the log ends in the middle of a line.
        let text = format!("{}{round}\nbegin {round} ", if round == 0 { "" } else { "end " });
        desk.grow("log", text.as_bytes(), (round + 1) * 1000);
        writeln!(expected, "{}{round}", if round == 0 { "1: " } else { "end " }).unwrap();
        write!(expected, "{}: begin {round} ", round + 1).unwrap();
        by_path::folder(&desk.path("log")).cut(target.rotation).unwrap();
        if round % 3 == 0 {
            let mut daemon = desk.daemon();
            daemon.begin_exports(&target);
            daemon.export(&target, Stream::Stdout, false).unwrap();
        }
    }
    let whole: String = expected.split_inclusive('\n').take(40).collect();
    assert_eq!(desk.text("stamped"), whole);
    let mut daemon = desk.daemon();
    daemon.begin_exports(&target);
    for round in 0..40 {
        desk.grow("log", format!("{}\n", "y".repeat(500)).as_bytes(), round);
        daemon.export(&target, Stream::Stdout, false).unwrap();
    }
    let segments = by_path::numbers(&desk.path("stamped"));
    assert!(segments.len() >= 3, "{segments:?}");
    for number in segments {
        let text = fs::read_to_string(by_path::segment_path(&desk.path("stamped"), number)).unwrap();
        assert!(text.ends_with('\n'));
    }
}

#[test]
fn a_file_that_cannot_be_written_gets_everything_later_and_the_other_one_nothing_twice() {
    let desk = Desk::new();
    let target = desk.target("log", &[("good", stamped()), ("folder/bad", stamped())]);
    let mut daemon = desk.daemon();
    daemon.begin_exports(&target);
    fs::write(desk.path("folder"), "in the way").unwrap();
    for round in 1..4 {
        desk.grow("log", format!("{round}\n").as_bytes(), round * 1000);
        assert!(daemon.export(&target, Stream::Stdout, false).is_err());
        assert!(daemon.has_backlog(&target));
    }
    fs::remove_file(desk.path("folder")).unwrap();
    daemon.export(&target, Stream::Stdout, false).unwrap();
    assert!(!daemon.has_backlog(&target));
    for file in ["good", "folder/bad"] {
        assert_eq!(desk.text(file), "1: 1\n2: 2\n3: 3\n");
    }
}
