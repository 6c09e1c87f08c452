//! What must never happen to a line on its way from a pipe to a file.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::file::{Pour, Splice};
use super::flow::Patience;
use super::lines::LINE_BYTES_MAX;
use super::segments::by_path;
use super::*;
use crate::model::{Bytes, Rotation};

const OUT: StreamKey = StreamKey { row: 0, stream: Stream::Stdout };
const ERR: StreamKey = StreamKey { row: 0, stream: Stream::Stderr };

/// A folder with FIFOs and logs.
struct Yard {
    folder: TempDir,
}

impl Yard {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// The FIFO of that name as an app or the pump holds it: a description of its own.
    fn fifo(&self, name: &str) -> OwnedFd {
        let path = self.folder.path().join(name);
        if !path.exists() {
            let path = CString::new(path.as_os_str().as_bytes()).unwrap();
            // SAFETY: a terminated path.
            assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        }
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap().into()
    }

    /// The same, blocking, for writing.
    fn writer(&self, name: &str) -> File {
        drop(self.fifo(name));
        OpenOptions::new().read(true).write(true).open(self.folder.path().join(name)).unwrap()
    }

    fn target(&self, name: &str) -> LogTarget {
        LogTarget {
            instance: "shop:api/0".parse().unwrap(),
            location: self.log(name).into(),
            exports: Vec::new(),
            rotation: Rotation { size: Bytes(0), keep: 5 },
            on_full: OnLogFull::Drop,
        }
    }
}

/// The whole log: full segments in order, then the current file.
fn whole(log: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for number in by_path::numbers(log) {
        text.extend(fs::read(by_path::segment_path(log, number)).unwrap());
    }
    text.extend(fs::read(log).unwrap_or_default());
    text
}

fn drained(pump: &Pump, keys: &[StreamKey]) {
    pump.drain(keys.to_vec()).blocking_recv().unwrap();
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn numbered(lines: usize) -> Vec<u8> {
    (0..lines).flat_map(|n| format!("line {n:09} {}\n", "x".repeat(n % 90)).into_bytes()).collect()
}

/// No `assert_eq!`: it would print megabytes.
fn assert_same(found: &[u8], expected: &[u8]) {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert!(found == expected, "{} bytes for {}, first difference at {differs:?}", found.len(), expected.len());
}

#[test]
fn whoever_follows_hears_of_what_a_drain_or_an_end_brought() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let mut grown = pump.advanced();
    for round in 0..200 {
        pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
        grown.borrow_and_update();
        yard.writer("out").write_all(b"last words\n").unwrap();
        if round % 2 == 0 {
            drained(&pump, &[OUT]);
        } else {
            pump.detach(OUT);
            drained(&pump, &[]);
        }
        assert!(grown.has_changed().unwrap(), "round {round}");
    }
}

#[test]
fn what_comes_after_a_mark_is_told_from_what_came_before() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let source = Source {
        instance: "shop:api/0".parse().unwrap(),
        stream: Stream::Stdout,
        location: yard.log("out.log").into(),
    };
    let mut out = yard.writer("out");
    for round in 0..30 {
        writeln!(out, "old {round}").unwrap();
        pump.begin_process(vec![OUT], Before::Another).wait_for_later_times(Duration::from_secs(9));
        let since = sys::wall_now();
        writeln!(out, "new {round}").unwrap();
        drained(&pump, &[OUT]);
        let lines =
            read(std::slice::from_ref(&source), &LogQuery { lines: 100, since: Some(since), ..LogQuery::default() })
                .lines;
        let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
        assert_eq!(texts, [format!("new {round}")]);
        let before = LogQuery { lines: 1, until: Some(since), ..LogQuery::default() };
        let lines = read(std::slice::from_ref(&source), &before).lines;
        assert_eq!(String::from_utf8_lossy(&lines[0].text), format!("old {round}"));
    }
}

/// What each process says, a pause for its successor, and that only what the one before the last said is found: lines
/// without their end, more than a pipe takes at once, nothing at all, words of hooks, across files that are cut.
#[test]
fn each_process_has_a_part_of_its_own_in_the_log() {
    let long = "x".repeat(150_000);
    let flood = "one line of many\n".repeat(9000);
    let speeches = ["one\ntwo\n", "no end", "", "a\nb", &long, "c\n", &flood, "", "", "d\n", "hook\ne\n", "f\n"];
    for size in [0, 2000, 60_000] {
        let yard = Yard::new();
        let pump = Pump::start(256, None, |_| {}).unwrap();
        let mut target = yard.target("out.log");
        target.rotation = Rotation { size: Bytes(size), keep: 100 };
        pump.attach(OUT, yard.fifo("out"), target, None);
        let source = Source {
            instance: "shop:api/0".parse().unwrap(),
            stream: Stream::Stdout,
            location: yard.log("out.log").into(),
        };
        let mut out = yard.writer("out");
        let mut before = None;
        for speech in speeches {
            pump.begin_process(vec![OUT], Before::Another).wait(Duration::from_secs(9));
            let (first, rest) = speech.split_once("hook\n").map_or(("", speech), |(_, rest)| ("hook\n", rest));
            out.write_all(first.as_bytes()).unwrap();
            if !first.is_empty() {
                pump.begin_process(vec![OUT], Before::ItsHook).wait(Duration::from_secs(9));
            }
            out.write_all(rest.as_bytes()).unwrap();
            drained(&pump, &[OUT]);
            if let Some(before) = before.replace(speech) {
                let query = LogQuery { lines: 10_000, is_previous: true, ..LogQuery::default() };
                let reading = read(std::slice::from_ref(&source), &query);
                let filter = LineFilter::new(&LineWords { pattern: Some(String::new()), ..LineWords::default() });
                let searched =
                    search(std::slice::from_ref(&source), &query, &filter.unwrap().unwrap(), &AtomicBool::new(false));
                for found in [reading, searched] {
                    let found: String = found
                        .lines
                        .iter()
                        .map(|line| String::from_utf8_lossy(&line.text).into_owned() + "\n")
                        .collect();
                    let pieces = before.lines().flat_map(|line| line.as_bytes().chunks(LINE_BYTES_MAX));
                    let wanted: String =
                        pieces.map(|piece| String::from_utf8_lossy(piece).into_owned() + "\n").collect();
                    assert_eq!(found, wanted, "after {speech:.20?}, cut at {size}");
                }
            }
        }
    }
}

#[test]
fn a_flood_from_a_shell_arrives_whole_and_an_app_that_is_silent_gets_no_file() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    pump.attach(ERR, yard.fifo("err"), yard.target("err.log"), None);
    let mut shell = Command::new("sh");
    shell.args(["-c", "seq 1 3000000"]).stdin(Stdio::null()).stdout(yard.writer("out")).stderr(yard.writer("err"));
    assert!(shell.status().unwrap().success());
    drained(&pump, &[OUT, ERR]);
    let expected: Vec<u8> = (1..=3_000_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    assert_same(&whole(&yard.log("out.log")), &expected);
    assert!(!yard.log("err.log").exists());
}

#[test]
fn bytes_pass_unchanged_whatever_they_are() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let mut bytes: Vec<u8> = vec![0, 0xff, 0xfe, b'\n', 0xc3, 0x28, b'\r', b'\n', 0];
    bytes.extend(std::iter::repeat_n(b'y', 10 << 20)); // one line of 10 MB
    bytes.extend(b"\nno end");
    yard.writer("out").write_all(&bytes).unwrap();
    drained(&pump, &[OUT]);
    assert_same(&whole(&yard.log("out.log")), &bytes);
}

#[test]
fn pumps_that_come_and_go_lose_and_double_nothing() {
    let yard = Yard::new();
    let expected = numbered(200_000);
    let keeper = yard.fifo("out"); // as the anchor holds it
    let mut writer = yard.writer("out");
    let text = expected.clone();
    let app = std::thread::spawn(move || text.chunks(777).for_each(|part| writer.write_all(part).unwrap()));
    let mut rounds = 0;
    while !app.is_finished() || sys::waiting_bytes(keeper.as_fd()) > 0 {
        let pump = Pump::start(256, None, |_| {}).unwrap();
        pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
        std::thread::sleep(Duration::from_millis(1 + rounds % 4));
        if rounds % 2 == 0 {
            let _ = pump.shutdown().blocking_recv();
        } else {
            let grown = pump.advanced();
            drop(pump);
            wait_until("the thread of a dropped pump ends", || grown.has_changed().is_err());
        }
        rounds += 1;
    }
    app.join().unwrap();
    assert!(rounds > 2);
    assert_same(&whole(&yard.log("out.log")), &expected);
}

#[test]
fn cutting_under_a_writer_loses_nothing_and_holds_the_limit_by_one_batch() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let mut target = yard.target("out.log");
    target.rotation = Rotation { size: Bytes(100_000), keep: 1000 };
    pump.attach(OUT, yard.fifo("out"), target, None);
    let expected = numbered(100_000);
    let mut writer = yard.writer("out");
    expected.chunks(1000).for_each(|part| writer.write_all(part).unwrap());
    drained(&pump, &[OUT]);
    assert_same(&whole(&yard.log("out.log")), &expected);
    let numbers = by_path::numbers(&yard.log("out.log"));
    assert!(numbers.len() > 3, "{numbers:?}");
    for number in numbers {
        let bytes = fs::metadata(by_path::segment_path(&yard.log("out.log"), number)).unwrap().len();
        assert!((100_000..100_000 + (1 << 20)).contains(&bytes), "{bytes}");
    }
}

#[test]
fn a_log_that_is_deleted_moved_or_emptied_is_continued_where_people_look() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let log = yard.log("out.log");
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let mut writer = yard.writer("out");
    let mut say = |text: &str| {
        writer.write_all(text.as_bytes()).unwrap();
        drained(&pump, &[OUT]);
    };
    say("one\n");
    fs::remove_file(&log).unwrap();
    say("two\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "two\n");
    fs::rename(&log, yard.log("elsewhere")).unwrap();
    say("three\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "three\n");
    OpenOptions::new().write(true).truncate(true).open(&log).unwrap();
    say("four\n");
    assert_eq!(fs::read(&log).unwrap(), b"four\n", "no hole where the old text was");
    fs::remove_dir_all(log.parent().unwrap()).unwrap();
    say("five\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "five\n");
}

#[test]
fn two_streams_may_share_a_file_and_a_renamed_app_writes_under_its_new_name() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("all.log"), None);
    pump.attach(ERR, yard.fifo("err"), yard.target("all.log"), None);
    let (mut out, mut err) = (yard.writer("out"), yard.writer("err"));
    for round in 0..50 {
        writeln!(out, "out {round}").unwrap();
        writeln!(err, "err {round}").unwrap();
    }
    drained(&pump, &[OUT, ERR]);
    assert_eq!(fs::read_to_string(yard.log("all.log")).unwrap().lines().count(), 100);
    pump.retarget(OUT, yard.target("new.log"));
    drained(&pump, &[OUT]); // so that the thread has taken note of it
    writeln!(out, "after").unwrap();
    drained(&pump, &[OUT]);
    assert_eq!(fs::read_to_string(yard.log("new.log")).unwrap(), "after\n");
}

#[test]
fn detaching_takes_along_what_is_in_the_pipe() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    yard.writer("out"); // an app that is gone; the pipe is kept by the next line
    let keeper = yard.fifo("out");
    yard.writer("out").write_all(b"last words").unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    pump.detach(OUT);
    wait_until("the pipe is empty", || sys::waiting_bytes(keeper.as_fd()) == 0);
    drained(&pump, &[OUT]);
    assert_eq!(fs::read(yard.log("out.log")).unwrap(), b"last words");
}

#[test]
fn a_pipe_without_writers_is_closed_and_does_not_spin() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    let watched = reader.try_clone().unwrap();
    pump.attach(OUT, OwnedFd::from(reader), yard.target("out.log"), None);
    writer.write_all(b"bye\n").unwrap();
    drop(writer);
    wait_until("the log is there", || fs::read(yard.log("out.log")).is_ok_and(|text| text == b"bye\n"));
    drained(&pump, &[OUT]);
    drop(watched);
}

/// A disk whose state the test decides.
#[derive(Clone, Default)]
struct FullDisk {
    is_full: Arc<AtomicBool>,
    /// Logs that are never full.
    spared: Arc<Mutex<Option<u64>>>,
}

impl Pour for FullDisk {
    fn pour(&self, pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize> {
        use std::os::unix::fs::MetadataExt;
        let inode = File::from(file.try_clone_to_owned()?).metadata()?.ino();
        let is_spared = *self.spared.lock().unwrap() == Some(inode);
        if self.is_full.load(Ordering::SeqCst) && !is_spared {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Splice.pour(pipe, file, at, max)
    }
}

fn pump_on(disk: &FullDisk, drop_after_ms: u64) -> (Pump, Receiver<Notice>) {
    let patience = Patience {
        drop_after: Duration::from_millis(drop_after_ms),
        retry_first: Duration::from_millis(5),
        retry_max: Duration::from_millis(20),
        ..Patience::default()
    };
    let (told, notices) = channel();
    let pump =
        Pump::start_with(patience, Box::new(disk.clone()), (256, None), move |notice| told.send(notice).unwrap())
            .unwrap();
    (pump, notices)
}

#[test]
fn on_a_full_disk_the_app_waits_and_no_line_is_lost() {
    let yard = Yard::new();
    let disk = FullDisk::default();
    let (pump, notices) = pump_on(&disk, 60_000);
    let mut target = yard.target("out.log");
    target.on_full = OnLogFull::Block;
    pump.attach(OUT, yard.fifo("out"), target, None);
    pump.attach(ERR, yard.fifo("err"), yard.target("err.log"), None);
    let (mut out, mut err) = (yard.writer("out"), yard.writer("err"));
    err.write_all(b"here\n").unwrap();
    drained(&pump, &[ERR]);
    *disk.spared.lock().unwrap() =
        Some(std::os::unix::fs::MetadataExt::ino(&fs::metadata(yard.log("err.log")).unwrap()));
    disk.is_full.store(true, Ordering::SeqCst);
    let expected = numbered(20_000);
    let text = expected.clone();
    let app = std::thread::spawn(move || out.write_all(&text).unwrap());
    let first = notices.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(matches!(&first, Notice::DiskFull { message, .. } if message.contains("out.log")), "{first:?}");
    err.write_all(b"others do not suffer\n").unwrap();
    drained(&pump, &[ERR]);
    assert!(!app.is_finished(), "a pipe cannot hold that much");
    disk.is_full.store(false, Ordering::SeqCst);
    app.join().unwrap();
    drained(&pump, &[OUT]);
    assert_same(&whole(&yard.log("out.log")), &expected);
    assert_eq!(fs::read(yard.log("err.log")).unwrap(), b"here\nothers do not suffer\n");
    assert!(notices.try_recv().is_err(), "told once");
}

#[test]
fn after_its_patience_output_is_dropped_and_counted_to_the_byte() {
    let yard = Yard::new();
    let disk = FullDisk::default();
    let (pump, notices) = pump_on(&disk, 30);
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let mut out = yard.writer("out");
    out.write_all(b"before\n").unwrap();
    drained(&pump, &[OUT]);
    disk.is_full.store(true, Ordering::SeqCst);
    let lost = numbered(50_000);
    out.write_all(&lost).unwrap(); // ends only because bytes are thrown away
    drained(&pump, &[OUT]);
    disk.is_full.store(false, Ordering::SeqCst);
    // Until the next try of the file, output still goes into nothing: it counts as dropped too.
    let (mut dropped, mut said_after) = (None, 0);
    wait_until("the dropped bytes are told", || {
        out.write_all(b"after\n").unwrap();
        said_after += 1;
        dropped = notices.try_iter().find_map(|notice| match notice {
            Notice::Dropped { bytes, .. } => Some(bytes),
            _ => None,
        });
        dropped.is_some()
    });
    drained(&pump, &[OUT]);
    let text = fs::read(yard.log("out.log")).unwrap();
    assert!(text.starts_with(b"before\nafter\n"));
    let written = text.len() as u64;
    assert_eq!(dropped.unwrap() + written, 7 + lost.len() as u64 + 6 * said_after);
}

/// Has room as soon as two segments are gone.
struct Tight(PathBuf);
impl Pour for Tight {
    fn pour(&self, pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize> {
        if by_path::numbers(&self.0).len() > 1 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Splice.pour(pipe, file, at, max)
    }
}

#[test]
fn a_full_disk_takes_the_logs_own_old_segments_first() {
    let yard = Yard::new();
    let log = yard.log("out.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    for number in 1..=3 {
        fs::write(by_path::segment_path(&log, number), "old").unwrap();
    }
    let (told, notices) = channel();
    let tight = Box::new(Tight(log.clone()));
    let pump =
        Pump::start_with(Patience::default(), tight, (256, None), move |notice| told.send(notice).unwrap()).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    yard.writer("out").write_all(b"new\n").unwrap();
    drained(&pump, &[OUT]);
    assert_eq!(by_path::numbers(&log), [3]);
    assert_eq!(fs::read(&log).unwrap(), b"new\n");
    assert!(notices.try_recv().is_err(), "nobody had to wait");
}

#[test]
fn a_log_that_cannot_be_opened_is_told_and_dev_null_can_be_one() {
    let yard = Yard::new();
    let (told, notices) = channel();
    let pump = Pump::start(256, None, move |notice| told.send(notice).unwrap()).unwrap();
    let mut target = yard.target("out.log");
    fs::create_dir_all(&target.location.path).unwrap(); // a folder
    pump.attach(OUT, yard.fifo("out"), target.clone(), None);
    let mut out = yard.writer("out");
    out.write_all(b"lost?\n").unwrap();
    let first = notices.recv_timeout(Duration::from_secs(5)).unwrap();
    let Notice::Trouble { message, .. } = &first else { panic!("{first:?}") };
    for part in ["cannot open `", "out.log`", "Is a directory", "`out_file`"] {
        assert!(message.contains(part), "{message}");
    }
    target.location = yard.log("other.log").into();
    pump.retarget(OUT, target.clone());
    drained(&pump, &[OUT]);
    assert_eq!(fs::read(yard.log("other.log")).unwrap(), b"lost?\n");
    target.location = PathBuf::from("/dev/null").into();
    pump.retarget(OUT, target);
    out.write_all(b"into nothing\n").unwrap();
    drained(&pump, &[OUT]);
    assert!(notices.try_recv().is_err());
}

#[test]
fn more_logs_than_may_be_open_are_all_written() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let keys: Vec<StreamKey> = (0..300).map(|row| StreamKey { row, stream: Stream::Stdout }).collect();
    let mut writers = Vec::new();
    for key in &keys {
        let name = format!("{}", key.row);
        pump.attach(*key, yard.fifo(&name), yard.target(&name), None);
        writers.push(yard.writer(&name));
    }
    for round in 0..3 {
        for writer in &mut writers {
            writeln!(writer, "{round}").unwrap();
        }
        drained(&pump, &keys);
    }
    for key in &keys {
        assert_eq!(fs::read(yard.log(&key.row.to_string())).unwrap(), b"0\n1\n2\n");
    }
}

#[test]
fn a_line_after_a_flood_wakes_the_pump_again() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let mut out = yard.writer("out");
    let mut expected = Vec::new();
    for round in 0..3 {
        let flood = numbered(100_000);
        out.write_all(&flood).unwrap();
        expected.extend(&flood);
        let until = expected.len() as u64;
        wait_until("the flood is in the log", || fs::metadata(yard.log("out.log")).is_ok_and(|m| m.len() == until));
        std::thread::sleep(Duration::from_millis(20)); // the pipe is quiet for longer than any pause
        let line = format!("line after flood {round}\n");
        out.write_all(line.as_bytes()).unwrap();
        expected.extend(line.as_bytes());
        let until = expected.len() as u64;
        wait_until("the line is in the log", || fs::metadata(yard.log("out.log")).is_ok_and(|m| m.len() == until));
    }
    assert_same(&whole(&yard.log("out.log")), &expected);
}

#[test]
fn a_flood_that_meets_a_full_disk_is_whole_once_there_is_room() {
    let yard = Yard::new();
    let disk = FullDisk::default();
    let (pump, notices) = pump_on(&disk, 60_000);
    let mut target = yard.target("out.log");
    target.on_full = OnLogFull::Block;
    pump.attach(OUT, yard.fifo("out"), target, None);
    let mut out = yard.writer("out");
    let expected = numbered(400_000);
    let text = expected.clone();
    let app = std::thread::spawn(move || out.write_all(&text).unwrap());
    for _ in 0..3 {
        let size = || fs::metadata(yard.log("out.log")).map_or(0, |found| found.len());
        let before = size();
        wait_until("the flood goes on", || size() > before || app.is_finished());
        disk.is_full.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30)); // some tries fail
        disk.is_full.store(false, Ordering::SeqCst);
    }
    app.join().unwrap();
    drained(&pump, &[OUT]);
    assert_same(&whole(&yard.log("out.log")), &expected);
    assert!(notices.try_iter().all(|notice| matches!(notice, Notice::DiskFull { .. })));
}

#[test]
fn others_wait_less_than_a_second_behind_floods() {
    let yard = Yard::new();
    let pump = Pump::start(256, None, |_| {}).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (1..=3)
        .map(|row| {
            let name = format!("flood{row}");
            let mut target = yard.target(&name);
            target.rotation = Rotation { size: Bytes(4 << 20), keep: 1 };
            pump.attach(StreamKey { row, stream: Stream::Stdout }, yard.fifo(&name), target, None);
            let (mut writer, is_over) = (yard.writer(&name), is_over.clone());
            std::thread::spawn(move || {
                let text = numbered(1000);
                while !is_over.load(Ordering::SeqCst) {
                    writer.write_all(&text).unwrap();
                }
            })
        })
        .collect();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    let mut out = yard.writer("out");
    for round in 1..=20u64 {
        let asked = Instant::now();
        out.write_all(b"x\n").unwrap();
        wait_until("the line is in the log", || fs::metadata(yard.log("out.log")).is_ok_and(|m| m.len() == 2 * round));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    is_over.store(true, Ordering::SeqCst);
    for flood in floods {
        flood.join().unwrap();
    }
}

#[test]
fn once_there_is_room_a_quiet_app_is_heard_within_the_second() {
    let yard = Yard::new();
    let disk = FullDisk::default();
    let patience = Patience { drop_after: Duration::from_millis(300), ..Patience::default() };
    let (told, notices) = channel();
    let pump =
        Pump::start_with(patience, Box::new(disk.clone()), (256, None), move |notice| told.send(notice).unwrap())
            .unwrap();
    pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), None);
    pump.attach(ERR, yard.fifo("err"), yard.target("err.log"), None);
    let (mut out, mut err) = (yard.writer("out"), yard.writer("err"));
    disk.is_full.store(true, Ordering::SeqCst);
    for (round, pause) in (0..).zip([100, 300, 50, 700, 200, 200, 900, 200]) {
        writeln!(out, "lost {round}").unwrap();
        writeln!(err, "lost {round}").unwrap();
        std::thread::sleep(Duration::from_millis(pause));
    }
    disk.is_full.store(false, Ordering::SeqCst);
    let since = Instant::now();
    wait_until("both logs go on", || {
        std::thread::sleep(Duration::from_millis(200));
        writeln!(out, "found").unwrap();
        writeln!(err, "found").unwrap();
        [yard.log("out.log"), yard.log("err.log")].iter().all(|log| fs::read(log).is_ok_and(|text| !text.is_empty()))
    });
    assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
    drained(&pump, &[OUT, ERR]);
    let dropped = notices.try_iter().filter(|notice| matches!(notice, Notice::Dropped { .. })).count();
    assert_eq!(dropped, 2, "told once per stream");
    assert!(fs::read_to_string(yard.log("out.log")).unwrap().lines().all(|line| line == "found"));
}

/// Takes so many bytes and no more.
#[derive(Clone)]
struct SmallDisk(Arc<Mutex<usize>>);

impl Pour for SmallDisk {
    fn pour(&self, pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize> {
        let mut room = self.0.lock().unwrap();
        if *room == 0 {
            return Err(io::Error::from_raw_os_error(libc::EDQUOT));
        }
        let taken = Splice.pour(pipe, file, at, max.min(*room))?;
        *room -= taken;
        Ok(taken)
    }
}

#[test]
fn a_gap_lies_between_two_lines_and_is_on_record_until_it_is_told() {
    for room in [1000, 1005, 1017, 1029] {
        let yard = Yard::new();
        let disk = SmallDisk(Arc::new(Mutex::new(room)));
        let patience = Patience { drop_after: Duration::ZERO, ..Patience::default() };
        let (told, notices) = channel();
        let pump =
            Pump::start_with(patience, Box::new(disk.clone()), (256, None), move |notice| told.send(notice).unwrap())
                .unwrap();
        let record: &AtomicU64 = Box::leak(Box::default());
        pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), Some(record));
        let mut out = yard.writer("out");
        let mut written = Vec::new();
        let mut say = |count: usize| {
            for _ in 0..count {
                let line = format!("line {:09}", written.len());
                // In two parts: the pump may find half a line.
                out.write_all(&line.as_bytes()[..7]).unwrap();
                out.write_all(&line.as_bytes()[7..]).unwrap();
                out.write_all(b"\n").unwrap();
                written.push(line);
            }
        };
        say(20_000);
        drained(&pump, &[OUT]);
        let on_record = record.load(Ordering::SeqCst);
        assert_ne!(on_record, 0);
        // The daemon is killed, and the disk has room again: the next one takes over.
        let next_record: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(on_record)));
        let _ = pump.shutdown().blocking_recv();
        let (told, next_notices) = channel();
        let pump = Pump::start(256, None, move |notice| told.send(notice).unwrap()).unwrap();
        pump.attach(OUT, yard.fifo("out"), yard.target("out.log"), Some(next_record));
        let Notice::Dropped { bytes, .. } = next_notices.recv_timeout(Duration::from_secs(5)).unwrap() else {
            panic!("something else was told")
        };
        assert_eq!(bytes, on_record >> 2);
        say(100);
        drained(&pump, &[OUT]);
        assert_eq!(next_record.load(Ordering::SeqCst), 0, "the gap is over");
        let text = fs::read_to_string(yard.log("out.log")).unwrap();
        let strange: Vec<&str> = text.lines().filter(|line| !written.iter().any(|whole| whole == line)).collect();
        let half = usize::from(room % 15 != 0);
        assert_eq!(strange.len(), half, "only the line in which the gap begins: {strange:?}");
        assert!(text.ends_with(&format!("{}\n", written[written.len() - 1])));
        assert!(text.lines().count() >= 100 + room / 15);
        drop(notices);
    }
}
