//! A log is cut at its size, old segments are dropped, and no line is lost in between.

use std::fs;

use crate::support::{SOON, Sandbox, wait_until};

#[test]
fn a_log_never_takes_more_room_than_the_file_allows() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'seq 1000000; exec sleep 1000'\"\nlog_rotate = { size = \"1M\", keep = 3 }\n",
    );
    let segments = || -> Vec<(std::path::PathBuf, u64)> {
        let files = fs::read_dir(sandbox.home().join("logs/shop")).unwrap().flatten();
        let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("api-out-0.log"));
        logs.map(|file| (file.path(), file.metadata().map_or(0, |about| about.len()))).collect()
    };
    wait_until("the last line is in the current file", SOON, || {
        sandbox.log_text("api", "out", 0).ends_with(b"1000000\n")
    });
    wait_until("old segments are dropped", SOON, || segments().len() <= 4);
    let segments = segments();
    assert!(segments.len() > 1, "nothing was cut: {segments:?}");
    for (path, size) in &segments {
        assert!(*size <= 2 << 20, "{} has {size} bytes", path.display());
    }
    let kept: Vec<u64> = in_order(&segments).lines().skip(1).map(|line| line.parse().unwrap()).collect();
    let expected: Vec<u64> = (kept[0]..=1_000_000).collect();
    assert_eq!(kept, expected, "the kept lines are the newest ones, each once");
}

/// All segments as one text, oldest first, the current file last: a cut may go through the middle of a line.
fn in_order(segments: &[(std::path::PathBuf, u64)]) -> String {
    let number = |path: &std::path::Path| path.extension().and_then(|end| end.to_string_lossy().parse::<u64>().ok());
    let mut paths: Vec<_> = segments.iter().map(|(path, _)| path).collect();
    paths.sort_by_key(|path| number(path).unwrap_or(u64::MAX));
    paths.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_log_that_was_moved_or_emptied_by_hand_goes_on() {
    let sandbox =
        Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sh -c 'while :; do echo tick; sleep 0.05; done'\"\n");
    let log = sandbox.home().join("logs/shop/api-out-0.log");
    wait_until("there is a line", SOON, || fs::read(&log).is_ok_and(|text| !text.is_empty()));
    fs::rename(&log, sandbox.path("moved.log")).unwrap();
    wait_until("a new file is made", SOON, || fs::read(&log).is_ok_and(|text| !text.is_empty()));
    fs::File::create(&log).unwrap();
    wait_until("the emptied file is filled from its start", SOON, || {
        fs::read(&log).is_ok_and(|text| text.starts_with(b"tick\n"))
    });
}
