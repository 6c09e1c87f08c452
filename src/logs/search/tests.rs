//! What is found is what a loop over all lines would find.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::logs::Older;
use crate::model::{InstanceId, Stream};

fn words(pattern: &str) -> LineWords {
    LineWords { pattern: Some(pattern.to_owned()), ..LineWords::default() }
}

fn source(path: &Path) -> Source {
    let instance: InstanceId = "shop:api/0".parse().unwrap();
    Source { instance, stream: Stream::Stdout, location: path.to_owned().into() }
}

/// The texts of the lines that are found.
fn found(path: &Path, words: &LineWords, lines: usize) -> (Vec<String>, Reading) {
    let filter = LineFilter::new(words).unwrap().unwrap();
    let query = LogQuery { lines, ..LogQuery::default() };
    let reading = search(&[source(path)], &query, &filter, &AtomicBool::new(false));
    let texts = reading.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned());
    (texts.collect(), reading)
}

fn in_text(text: &str, words: &LineWords, lines: usize) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    fs::write(&log, text).unwrap();
    found(&log, words, lines).0
}

#[test]
fn lines_match_as_with_grep() {
    let text = "one\nTwo two\nthree\n\ngr\u{fc}n three\nlast without end";
    for (words, expected) in [
        (words("t"), vec!["Two two", "three", "gr\u{fc}n three", "last without end"]),
        (words("^t"), vec!["three"]),
        (words("two$"), vec!["Two two"]),
        (words("^$"), vec![""]),
        (words("e\nT"), vec![]),
        (words(r"one\s+Two|gr\u{fc}n"), vec!["gr\u{fc}n three"]),
        (words("\u{fc}"), vec!["gr\u{fc}n three"]),
        (LineWords { ignores_case: true, ..words("^T") }, vec!["Two two", "three"]),
        (LineWords { is_inverted: true, ..words("t") }, vec!["one", ""]),
        (LineWords { around: (1, 0), ..words("^three") }, vec!["Two two", "three"]),
        (LineWords { around: (0, 2), ..words("one") }, vec!["one", "Two two", "three"]),
        (
            LineWords { around: (1, 1), ..words("two|end") },
            vec!["one", "Two two", "three", "gr\u{fc}n three", "last without end"],
        ),
    ] {
        assert_eq!(in_text(text, &words, 100), expected, "{words:?}");
    }
    assert_eq!(in_text(text, &words("t"), 2), ["gr\u{fc}n three", "last without end"], "the newest");
}

#[test]
fn levels_and_fields_are_read_from_json_and_from_words() {
    let lines = [
        r#"{"level":30,"msg":"up","req":{"method":"GET","id":7}}"#,
        r#"{"level":"error","msg":"down","req":{"method":"POST"}}"#,
        r#"{"severity":"WARNING","req.method":"PUT"}"#,
        r#"time=1 level=warn msg="a b" code=5"#,
        "2026-12-01 03:00:00,123 ERROR [main] it broke",
        "[WARN] careful",
        "INFORMATION about an error",
        "\u{1b}[2m2026-12-01T03:00:00Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m app::mod: careful",
        "2026/12/01 10:00:00 [error] 12#12: refused",
        "error: broken",
        "no error here",
        "plain",
        r#"{"level":"odd"}"#,
        "{broken",
    ];
    let text = lines.join("\n") + "\n";
    let at = |expected: &[usize]| expected.iter().map(|at| lines[*at].to_owned()).collect::<Vec<_>>();
    let level = |word: &str| LineWords { level: Some(word.to_owned()), ..LineWords::default() };
    let field = |name: &str, text: &str| LineWords { fields: vec![(name.into(), text.into())], ..LineWords::default() };
    for (words, expected) in [
        (level("warn"), at(&[1, 2, 3, 4, 5, 7, 8, 9])),
        (level("ERROR"), at(&[1, 4, 8, 9])),
        (level("info"), at(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
        (field("req.method", "GET"), at(&[0])),
        (field("req.method", "PUT"), at(&[2])),
        (field("req.id", "7"), at(&[0])),
        (field("code", "5"), at(&[3])),
        (field("msg", "a b"), at(&[3])),
        (LineWords { level: Some("info".into()), ..field("req.method", "POST") }, at(&[1])),
    ] {
        assert_eq!(in_text(&text, &words, 100), expected, "{words:?}");
    }
}

#[test]
fn what_is_no_filter_is_told() {
    assert!(LineFilter::new(&LineWords::default()).unwrap().is_none());
    let problem = LineFilter::new(&words("a(")).unwrap_err().to_string();
    assert!(problem.starts_with("`a(` is not a regular expression: ") && !problem.contains('\n'), "{problem}");
    let huge = LineFilter::new(&words("(((a{100}){100}){100})")).unwrap_err().to_string();
    assert!(huge.contains("is not a regular expression"), "{huge}");
    let level = LineFilter::new(&LineWords { level: Some("loud".into()), ..LineWords::default() }).unwrap_err();
    assert!(level.to_string().contains("`loud` is not a level"), "{level}");
}

#[test]
fn a_search_goes_through_all_files_of_a_log_and_ends_when_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    fs::write(folder.path().join("a.log.1"), "x 1\ny\nx be").unwrap();
    fs::write(folder.path().join("a.log.2"), "gun\nx 3\n").unwrap();
    fs::write(&log, "y\nx 4\nx 5").unwrap();
    let (texts, reading) = found(&log, &words("x"), 100);
    assert_eq!(
        (texts, reading.older),
        (vec!["x 1".into(), "x begun".into(), "x 3".into(), "x 4".into(), "x 5".to_owned()], Older::None)
    );
    let (texts, reading) = found(&log, &words("x"), 2);
    assert_eq!((texts.as_slice(), reading.older), (["x 4".to_owned(), "x 5".to_owned()].as_slice(), Older::More));
    let filter = LineFilter::new(&words("x")).unwrap().unwrap();
    let query = LogQuery { lines: 10, ..LogQuery::default() };
    assert!(search(&[source(&log)], &query, &filter, &AtomicBool::new(true)).lines.is_empty());

    let (reading, mut follower) = search_and_follow(&[source(&log)], &query, &filter, &AtomicBool::new(false));
    assert_eq!(reading.lines.len(), 4, "the last line has no end yet");
    fs::write(&log, "y\nx 4\nx 5 and its end\nz\n").unwrap();
    let texts: Vec<Vec<u8>> = follower.poll().into_iter().map(|line| line.text).collect();
    assert_eq!(texts, [b"x 5 and its end".to_vec(), b"z".to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Blocks, files and pieces of long lines do not show.
    #[test]
    fn every_search_finds_what_a_loop_over_lines_finds(
        lines in proptest::collection::vec(("[abx]{0,6}", 0usize..40), 0..60),
        cuts in proptest::collection::vec(0usize..3000, 0..3),
        pattern in proptest::sample::select(vec!["a", "bx", "x[^a]", "a[^b]*x", "^b", "x$", "(ab)+", r"\s", "^$", "c*", "[^b]+"]),
        wanted in 1usize..80,
    ) {
        let text: String = lines.iter().map(|(line, times)| line.repeat(*times) + "\n").collect();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for (number, cut) in cuts.iter().enumerate() {
            fs::write(folder.path().join(format!("a.log.{}", number + 1)), &text[from..*cut]).unwrap();
            from = *cut;
        }
        fs::write(&log, &text[from..]).unwrap();
        let filter = LineFilter::new(&words(pattern)).unwrap().unwrap();
        let all: Vec<String> = text.lines().filter(|line| filter.wants(line.as_bytes())).map(str::to_owned).collect();
        let (texts, reading) = found(&log, &words(pattern), wanted);
        prop_assert_eq!(&texts[..], &all[all.len().saturating_sub(wanted)..]);
        prop_assert_eq!(reading.older != Older::None, all.len() > wanted);
    }
}
