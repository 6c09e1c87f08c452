//! What users see of logs: the last lines and new ones, each once.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::index::IndexWriter;
use super::segments::by_path;
use super::*;
use crate::model::{Bytes, Rotation};

fn source(path: &Path) -> Source {
    Source { instance: "shop:api/0".parse().unwrap(), stream: Stream::Stdout, location: path.to_owned().into() }
}

/// Appends as the pump does; an entry in the index goes first.
fn append(log: &Path, text: &[u8], at: u64) {
    let mut file = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let end = file.metadata().unwrap().len();
    IndexWriter::open(&by_path::folder(log), end).unwrap().note(end, WallTime(at), Instant::now());
    file.write_all(text).unwrap();
}

fn cut(log: &Path) {
    by_path::folder(log).cut(Rotation { size: Bytes(1), keep: 100 }).unwrap();
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

fn last(log: &Path, lines: usize, since: Option<u64>) -> Vec<String> {
    texts(&read(&[source(log)], &LogQuery { lines, since: since.map(WallTime), ..LogQuery::default() }).lines)
}

#[test]
fn lines_of_a_later_process_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, b"one\n", 100);
    cut(&log);
    append(&log, b"two\n", 200);
    append(&log, b"three\n", 300);
    for (since, until, expected) in [
        (None, 100, &[][..]),
        (None, 200, &["one"]),
        (None, 201, &["one", "two"]),
        (Some(150), 300, &["two"]),
        (Some(200), 200, &[]),
        (None, 999, &["one", "two", "three"]),
    ] {
        let query =
            LogQuery { lines: 9, since: since.map(WallTime), until: Some(WallTime(until)), ..LogQuery::default() };
        assert_eq!(texts(&read(&[source(&log)], &query).lines), expected, "{since:?} to {until}");
    }
}

#[test]
fn the_last_lines_are_found_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    assert_eq!(last(&log, 10, None), [""; 0], "no file, no lines");
    append(&log, b"one\ntwo\nthr", 100);
    cut(&log);
    append(&log, b"ee\nfour\n", 200);
    cut(&log);
    assert_eq!(last(&log, 2, None), ["three", "four"], "the current file is missing after a cut");
    append(&log, b"five\nsix", 300);
    for (lines, expected) in [
        (0, &[][..]),
        (1, &["six"]),
        (2, &["five", "six"]),
        (4, &["three", "four", "five", "six"]),
        (99, &["one", "two", "three", "four", "five", "six"]),
    ] {
        assert_eq!(last(&log, lines, None), expected, "{lines}");
    }
}

#[test]
fn since_leaves_out_what_came_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, b"one\ntwo\n", 100);
    append(&log, b"three\n", 150);
    cut(&log);
    append(&log, b"four\n", 200);
    append(&log, b"five\nunfinished", 300);
    for (since, expected) in [
        (0, &["one", "two", "three", "four", "five", "unfinished"][..]),
        (101, &["three", "four", "five", "unfinished"]),
        (200, &["four", "five", "unfinished"]),
        (300, &["five", "unfinished"]),
        (301, &[]),
    ] {
        assert_eq!(last(&log, 100, Some(since)), expected, "{since}");
    }
}

#[test]
fn several_logs_are_merged_in_time_order() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.log"), folder.path().join("b.log"));
    append(&a, b"a1\n", 100);
    append(&b, b"b1\n", 150);
    append(&a, b"a2\n", 200);
    append(&b, b"b2\n", 200);
    append(&b, b"set back\n", 120);
    append(&a, b"a3\n", 300);
    let sources = [source(&a), source(&b)];
    let lines = read(&sources, &LogQuery { lines: 5, ..LogQuery::default() }).lines;
    assert_eq!(texts(&lines), ["b1", "a2", "b2", "set back", "a3"]);
}

#[test]
fn a_line_of_ten_megabytes_costs_no_more_than_a_piece() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, &vec![b'x'; 10 << 20], 100);
    let lines = read(&[source(&log)], &LogQuery { lines: 1, ..LogQuery::default() }).lines;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].text.len() <= lines::LINE_BYTES_MAX);
    append(&log, b"\nend\n", 200);
    assert_eq!(last(&log, 1, None), ["end"]);
}

#[test]
fn following_begins_behind_the_history_and_holds_back_unfinished_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, b"one\ntwo\nth", 100);
    let (history, mut follower) = follow(&[source(&log)], &LogQuery { lines: 1, ..LogQuery::default() });
    assert_eq!(texts(&history.lines), ["two"]);
    assert!(follower.poll().is_empty() && follower.is_holding());
    append(&log, b"ree\n", 200);
    assert_eq!(texts(&follower.poll()), ["three"]);
    assert!(!follower.is_holding());
    append(&log, b"password: ", 300);
    assert!(follower.poll().is_empty());
    let asked = Instant::now();
    let shown = loop {
        let lines = follower.poll();
        if !lines.is_empty() {
            break lines;
        }
        assert!(asked.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((texts(&shown), shown[0].at), (vec!["password: ".to_owned()], WallTime(300)));
}

#[test]
fn what_many_new_logs_have_said_is_answered_up_to_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<Source> = (0..3).map(|number| source(&folder.path().join(format!("{number}.log")))).collect();
    for (number, source) in (0..).zip(&sources) {
        append(&source.location.path, "line\n".repeat(6000).as_bytes(), 100 + number);
    }
    let lines = Follower::default().add(sources, WallTime(0));
    assert_eq!(lines.len(), 10_000);
    assert_eq!((lines[0].at, lines[9_999].at), (WallTime(101), WallTime(102)), "the oldest are left out");
}

#[test]
fn a_log_that_appears_later_or_is_emptied_or_replaced_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let (_, mut follower) = follow(&[source(&log)], &LogQuery::default());
    assert!(follower.poll().is_empty());
    append(&log, b"first\n", 100);
    assert_eq!(texts(&follower.poll()), ["first"]);
    OpenOptions::new().write(true).truncate(true).open(&log).unwrap();
    append(&log, b"2nd\n", 200);
    assert_eq!(texts(&follower.poll()), ["2nd"]);
    append(&log, b"third\n", 250);
    fs::remove_file(&log).unwrap();
    append(&log, b"fourth\n", 300);
    assert_eq!(texts(&follower.poll()), ["third", "fourth"]);
    follower.remove(&source(&log));
    append(&log, b"fifth\n", 400);
    assert_eq!(texts(&follower.add(vec![source(&log)], WallTime(400))), ["fifth"]);
    append(&log, b"sixth\n", 500);
    let renamed = Source { stream: Stream::Stderr, ..source(&log) };
    assert_eq!(follower.add(vec![renamed], WallTime(0)), [], "what was shown is not shown again");
    let lines = follower.poll();
    assert_eq!((texts(&lines), lines[0].stream), (vec!["sixth".into()], Stream::Stderr));
}

#[test]
fn a_reader_that_fell_far_behind_is_told_how_much_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, b"seen\n", 100);
    let (_, mut follower) = follow(&[source(&log)], &LogQuery::default());
    let flood: Vec<u8> = (0..1_000_000).flat_map(|n| format!("line {n:07}\n").into_bytes()).collect();
    append(&log, &flood, 200);
    let mut seen = Vec::new();
    loop {
        let lines = follower.poll();
        if lines.is_empty() {
            break;
        }
        assert!(lines.len() < 100_000, "bounded");
        seen.extend(texts(&lines));
    }
    let skipped = follower.take_skipped_bytes();
    assert!(skipped > 10 << 20, "{skipped}");
    assert_eq!(seen.last().unwrap(), "line 0999999");
    assert!(seen.iter().all(|line| line.len() == 12), "no half lines");
    assert!((skipped + seen.len() as u64 * 13).abs_diff(flood.len() as u64) < 13);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_line_is_lost_or_doubled_between_history_and_following(
        steps in proptest::collection::vec((0u8..6, 0usize..40), 1..60),
        begin_at in 0usize..60,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let mut written = Vec::new();
        let mut seen = Vec::new();
        let mut follower = None;
        for (number, (step, length)) in steps.iter().enumerate() {
            if number == begin_at.min(steps.len() - 1) {
                let (history, one) = follow(&[source(&log)], &LogQuery { lines: 1000, ..LogQuery::default() });
                seen.extend(history.lines);
                follower = Some(one);
            }
            match step {
                0 if log.exists() => cut(&log),
                1 => seen.extend(follower.iter_mut().flat_map(Follower::poll)),
                2 => {
                    let part = "p".repeat(*length); // without an end
                    append(&log, part.as_bytes(), number as u64);
                    written.extend(part.into_bytes());
                }
                _ => {
                    let line = format!("{number}-{}\n", "x".repeat(*length));
                    append(&log, line.as_bytes(), number as u64);
                    written.extend(line.into_bytes());
                }
            }
        }
        append(&log, b"end\n", 1000);
        written.extend(b"end\n");
        seen.extend(follower.iter_mut().flat_map(Follower::poll));
        let expected: Vec<String> = String::from_utf8(written).unwrap().lines().map(str::to_owned).collect();
        prop_assert_eq!(texts(&seen), expected);
    }
}

#[test]
fn following_a_pump_that_cuts_all_the_time_shows_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let log: PathBuf = folder.path().join("a.log");
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let key = StreamKey { row: 0, stream: Stream::Stdout };
    let (reader, mut writer) = std::io::pipe().unwrap();
    let target = LogTarget {
        instance: "shop:api/0".parse().unwrap(),
        location: log.clone().into(),
        exports: Vec::new(),
        rotation: Rotation { size: Bytes(20_000), keep: 10_000 },
        on_full: OnLogFull::Block,
    };
    pump.attach(key, OwnedFd::from(reader), target, None);
    let (_, mut follower) = follow(&[source(&log)], &LogQuery::default());
    let app = std::thread::spawn(move || (0..100_000).for_each(|n| writeln!(writer, "{n}").unwrap()));
    let mut next = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    while next < 100_000 {
        assert!(Instant::now() < deadline, "waited in vain for {next}, {} skipped", follower.take_skipped_bytes());
        for line in follower.poll() {
            assert_eq!(String::from_utf8(line.text).unwrap(), next.to_string());
            next += 1;
        }
    }
    app.join().unwrap();
    assert!(by_path::numbers(&log).len() > 3);
}
