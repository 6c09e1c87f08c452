//! A log file into which several copies write.

use crate::support::{SOON, Sandbox, wait_until};

#[test]
fn a_line_of_a_shared_file_is_shown_once_and_under_nobodys_name_alone() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = \"sh -c 'echo of a; exec sleep 1000'\"\nout_file = \"both.log\"\n\
         [[apps]]\nname = \"b\"\ncommand = \"sh -c 'echo of b; exec sleep 1000'\"\nout_file = \"both.log\"\n\
         [[apps]]\nname = \"c\"\ncommand = \"sh -c 'echo of c; exec sleep 1000'\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    wait_until("all have spoken", SOON, || {
        sandbox.read("both.log").lines().count() == 2 && !sandbox.log_text("c", "out", 0).is_empty()
    });
    let shown = |words: &[&str]| {
        let mut lines: Vec<String> = sandbox.pm(words).ok().stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(shown(&["logs"]), ["a/0+b/0 | of a", "a/0+b/0 | of b", "c/0     | of c"]);
    assert_eq!(shown(&["logs", "a"]), ["a/0+b/0 | of a", "a/0+b/0 | of b"]);
    assert_eq!(shown(&["logs", "b"]), ["b/0+a/0 | of a", "b/0+a/0 | of b"]);
    assert_eq!(shown(&["logs", "c"]), ["c/0 | of c"]);
    let data = sandbox.pm(&["logs", "b", "--json"]).ok();
    assert!(data.stdout.contains(r#""shared_with":["shop:a/0"]"#), "{data}");
    let data = sandbox.pm(&["logs", "c", "--json"]).ok();
    assert!(!data.stdout.contains("shared_with"), "{data}");
}
