//! Files that are written from logs for other programs: each line once and whole, whoever is killed.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{SOON, Sandbox, kill_both_now as kill_both, run, wait_until};

fn lines_of(sandbox: &Sandbox, file: &str) -> Vec<String> {
    fs::read_to_string(sandbox.path(file)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The text behind a stamp `2026-12-01 16:14:05: `.
#[track_caller]
fn unstamped(line: &str) -> &str {
    let (stamp, text) = line.split_at_checked(21).unwrap_or_else(|| panic!("no stamp: {line:?}"));
    let is_stamp = stamp.ends_with(": ")
        && stamp.bytes().zip("0000-00-00 00:00:00: ".bytes()).all(|(found, form)| match form {
            b'0' => found.is_ascii_digit(),
            form => found == form,
        });
    assert!(is_stamp, "no stamp: {line:?}");
    text
}

#[test]
fn copies_that_share_stamped_files_lose_and_double_no_line_when_daemon_and_anchor_are_killed() {
    const LINES: usize = 150_000;
    let sandbox = Sandbox::new();
    sandbox.file(
        "flood.sh",
        format!(
            "i=0; while [ $i -lt {LINES} ]; do echo \"$NODE_APP_INSTANCE out $i\"; \
             [ $((i % 10)) = 0 ] && echo \"$NODE_APP_INSTANCE err $i\" >&2; i=$((i + 1)); done; \
             echo \"$NODE_APP_INSTANCE out end\"; echo \"$NODE_APP_INSTANCE err end\" >&2; exec sleep 1000"
        ),
    );
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh flood.sh\"\ninstances = 2\nmerge_logs = true\n\
         out_file = \"out.log\"\nlog_file = \"all.log\"\nlog_timestamps = \"%F %T\"\n\
         log_rotate = { size = \"1M\", keep = 1000 }\n",
    );
    sandbox.pm(&["apply"]).ok();
    for round in 0..6 {
        if round % 3 == 2 {
            kill_both(&sandbox);
            sandbox.pm(&["list"]).ok();
        } else {
            sandbox.kill_daemon();
        }
    }
    for (file, ends) in [("out.log", 2), ("all.log", 4)] {
        wait_until(&format!("{file} has the last lines"), SOON, || {
            whole(&sandbox, file).iter().filter(|line| line.ends_with(" end")).count() == ends
        });
    }
    let out = (0..LINES).map(|i| i.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>();
    let err = (0..LINES).step_by(10).map(|i| i.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>();
    for (file, outputs) in [("out.log", vec![("out", &out)]), ("all.log", vec![("out", &out), ("err", &err)])] {
        let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for line in whole(&sandbox, file) {
            let mut words = unstamped(&line).splitn(3, ' ').map(str::to_owned);
            let (copy, output, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            found.entry((copy, output)).or_default().push(text);
        }
        for copy in ["0", "1"] {
            for (output, expected) in &outputs {
                let found = found.remove(&(copy.to_owned(), (*output).to_owned())).unwrap_or_default();
                let differs = found.iter().zip(*expected).position(|(found, expected)| found != expected);
                assert!(found == **expected, "{file} {copy} {output}: {} lines, differs at {differs:?}", found.len());
            }
        }
        assert!(found.is_empty(), "{file}: {:?}", found.keys());
    }
    // The log that `pm logs` reads has the bytes of one copy, as they came.
    assert!(sandbox.log_text("api", "out", 1).ends_with(b"1 out end\n"));
}

/// The file with its older segments.
fn whole(sandbox: &Sandbox, file: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 1..1000 {
        let name = format!("{file}.{number}");
        if !sandbox.path(&name).exists() {
            break;
        }
        lines.extend(lines_of(sandbox, &name));
    }
    lines.extend(lines_of(sandbox, file));
    lines
}

#[test]
fn dying_at_any_place_of_a_write_loses_and_doubles_no_line() {
    for place in ["export.announced", "export.written", "export.noted"] {
        for visit in [1, 2, 3] {
            let sandbox = Sandbox::new();
            sandbox.file("lines.sh", "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done; printf last; exec sleep 1000");
            sandbox.ecosystem(
                "[[apps]]\nname = \"api\"\ncommand = \"sh lines.sh\"\nout_file = \"out.log\"\nlog_file = \"all.log\"\n\
                 log_timestamps = \"%F %T\"\n",
            );
            let point = format!("{place}:{visit}");
            let mut last = run(sandbox.command(&["apply", "--detach"]).env("PM_KILLPOINT", &point));
            for _ in 0..3 {
                if last.status != 0 {
                    last = sandbox.pm(&["apply", "--detach"]);
                }
            }
            assert_eq!(last.status, 0, "{point}: {last}");
            for file in ["out.log", "all.log"] {
                wait_until(&format!("{point}: {file} is there"), SOON, || lines_of(&sandbox, file).len() == 5);
            }
            wait_until(&format!("{point}: it has said its last words"), SOON, || {
                sandbox.log_text("api", "out", 0).ends_with(b"last")
            });
            wait_until(&format!("{point}: there is another daemon"), SOON, || {
                sandbox.events().iter().filter(|event| event.fact == "daemon_started").count() == 2
            });
            // With the app ends its log, and what is held of a line is written.
            sandbox.pm(&["delete", "api"]).ok();
            for file in ["out.log", "all.log"] {
                wait_until(&format!("{point}: the last words are in {file}"), SOON, || {
                    lines_of(&sandbox, file).len() == 6
                });
                let lines = lines_of(&sandbox, file);
                let texts: Vec<&str> = lines.iter().map(|line| unstamped(line)).collect();
                assert_eq!(texts, ["1", "2", "3", "4", "5", "last"], "{point}: {file}");
            }
        }
    }
}

#[test]
fn a_line_without_its_end_is_one_line_whatever_comes_after_its_app_is_deleted() {
    let sandbox = Sandbox::new();
    let app = |name: &str, form: &str| {
        format!(
            "[[apps]]\nname = \"{name}\"\nkind = \"task\"\ncommand = \"printf 'result: 5'\"\nlog_file = \"{name}.log\"\n{form}\n"
        )
    };
    sandbox.ecosystem(&format!("{}{}", app("json", "log_format = \"json\""), app("text", "merge_logs = true")));
    for _ in 0..3 {
        sandbox.pm(&["apply"]).ok();
        sandbox.pm(&["delete", "all"]).ok();
    }
    assert_eq!(lines_of(&sandbox, "text.log"), ["result: 5"; 3]);
    let objects = lines_of(&sandbox, "json.log");
    let message = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone();
    assert_eq!(objects.iter().map(message).collect::<Vec<_>>(), ["result: 5"; 3]);
}

#[test]
fn the_form_of_an_app_is_how_its_lines_are_shown_and_its_log_stays_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\nlog_timestamps = \"at %F\"\n\
         [[apps]]\nname = \"json\"\ncommand = \"sh -c 'echo \\\"{}\\\"; exec sleep 1000'\"\nlog_format = \"json\"\nout_file = \"json.log\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    wait_until("both have printed", SOON, || {
        sandbox.log_text("api", "out", 0) == b"hello\n" && lines_of(&sandbox, "json.log").len() == 1
    });
    sandbox.pm(&["logs", "api"]).ok().says(&["at 20", " api/0 | hello"]);
    assert_eq!(sandbox.pm(&["logs", "api", "--raw"]).ok().stdout, "hello\n");
    let shown = sandbox.pm(&["logs", "json"]).ok().stdout;
    let written = lines_of(&sandbox, "json.log").remove(0);
    for text in [&shown, &written] {
        assert!(text.contains(r#""app_name":"json","process_id":0,"type":"out","message":"{}""#), "{text}");
        assert!(text.starts_with(r#"{"timestamp":"20"#), "{text}");
    }
    assert_eq!(sandbox.log_text("json", "out", 0), b"{}\n");
    sandbox.pm(&["describe", "json"]).ok().says(&["json.log", "json-out-0.log"]);
    // A change of the form touches no process.
    let pid = sandbox.pid("api/0");
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\nlog_file = \"late.log\"\n",
    );
    sandbox.pm(&["apply", "--yes"]).ok();
    assert_eq!(sandbox.pid("api/0"), pid);
    assert_eq!(sandbox.pm(&["logs", "api"]).ok().stdout, "api/0 | hello\n");
}

#[test]
fn one_output_can_be_thrown_away_and_nobody_complains() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo gone; echo kept >&2; exec sleep 1000'\"\nout_file = \"/dev/null\"\n",
    );
    wait_until("the other one is kept", SOON, || sandbox.log_text("api", "error", 0) == b"kept\n");
    let logs = sandbox.pm(&["logs", "api"]).ok();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("api/0 ! kept\n", ""));
    assert!(!sandbox.events_of("api").iter().any(|event| event.fact == "trouble"), "{:?}", sandbox.events_of("api"));
}
