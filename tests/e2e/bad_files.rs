//! Ways to break a file: each gets its place, its code and a hint, all at once, and nothing is touched.

use crate::support::{Sandbox, has_any};

/// A file that is wrong, the code of the finding, the line it is wrong in, and words that the message must contain.
struct Broken {
    name: &'static str,
    code: &'static str,
    text: &'static str,
    line: usize,
    words: &'static [&'static str],
}

const BROKEN: &[Broken] = &[
    Broken {
        name: "a key that is almost right",
        code: "unknown-key",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\ninstnaces = 2\n",
        line: 4,
        words: &["instnaces", "did you mean", "instances"],
    },
    Broken { name: "a syntax error", code: "syntax", text: "[[apps]\nname = \"api\"\n", line: 1, words: &["]"] },
    Broken {
        name: "a wrong type",
        code: "bad-value",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\ninstances = \"two\"\n",
        line: 4,
        words: &["instances", "two"],
    },
    Broken {
        name: "a size without a unit",
        code: "missing-unit",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nkill_timeout = 1600\n",
        line: 4,
        words: &["kill_timeout", "1600ms", "1600s"],
    },
    Broken {
        name: "two apps of one name",
        code: "duplicate-app",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\n[[apps]]\nname = \"api\"\ncommand = \"sleep 2\"\n",
        line: 5,
        words: &["api"],
    },
    Broken {
        name: "a dependency that does not exist",
        code: "unknown-dependency",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\ndepends_on = [\"dbb\"]\n[[apps]]\nname = \"db\"\ncommand = \"sleep 1\"\n",
        line: 4,
        words: &["dbb", "db"],
    },
    Broken {
        name: "dependencies in a ring",
        code: "dependency-cycle",
        text: "[[apps]]\nname = \"a\"\ncommand = \"sleep 1\"\ndepends_on = [\"b\"]\n[[apps]]\nname = \"b\"\ncommand = \"sleep 1\"\ndepends_on = [\"a\"]\n",
        line: 8,
        words: &["a", "b"],
    },
    Broken {
        name: "a variable that is not set",
        code: "unset-variable",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nenv = { URL = \"${NO_SUCH_VARIABLE}\" }\n",
        line: 4,
        words: &["NO_SUCH_VARIABLE", ":-"],
    },
    Broken {
        name: "a script that does not exist",
        code: "script-missing",
        text: "[[apps]]\nname = \"api\"\nscript = \"./sever.js\"\n",
        line: 3,
        words: &["sever.js"],
    },
    Broken {
        name: "nothing to run",
        code: "missing-key",
        text: "[[apps]]\nname = \"api\"\nport = 8080\n",
        line: 2,
        words: &["script", "command"],
    },
    Broken {
        name: "script and command",
        code: "conflicting-keys",
        text: "[[apps]]\nname = \"api\"\nscript = \"/bin/true\"\ncommand = \"sleep 1\"\n",
        line: 3,
        words: &["script", "command"],
    },
    Broken {
        name: "a key whose behaviour is not built",
        code: "unsupported",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nlog_rotate = { compress = true }\n",
        line: 4,
        words: &["compress"],
    },
    Broken {
        name: "a cluster of a program that is not Node",
        code: "conflicting-keys",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nexec_mode = \"cluster\"\n",
        line: 4,
        words: &["runs `sleep`", "`listen`"],
    },
    Broken {
        name: "a watched folder that does not exist",
        code: "watch",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nwatch = [\"sources\"]\n",
        line: 4,
        words: &["sources", "relative to"],
    },
    Broken {
        name: "a missing env file",
        code: "env-file",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nenv_file = \".env.nowhere\"\n",
        line: 4,
        words: &[".env.nowhere"],
    },
    Broken {
        name: "a folder in the place of a log file",
        code: "bad-value",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nlog_file = \"/etc\"\n",
        line: 4,
        words: &["`/etc` is a folder"],
    },
    Broken {
        name: "a folder that does not exist",
        code: "cwd",
        text: "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\ncwd = \"no/such/folder\"\n",
        line: 4,
        words: &["no/such/folder"],
    },
];

#[test]
fn every_broken_file_is_answered_with_place_code_and_hint() {
    let sandbox = Sandbox::new();
    for broken in BROKEN {
        sandbox.file("ecosystem.toml", broken.text);
        let output = sandbox.pm(&["apply"]).code(65);
        let place = format!("ecosystem.toml:{}:", broken.line);
        assert!(output.stderr.contains(&place), "{}: {place} is missing in {output}", broken.name);
        assert_eq!(output.stdout, "", "{}: errors belong on standard error", broken.name);
        for word in broken.words {
            assert!(output.stderr.contains(word), "{}: `{word}` is missing in {output}", broken.name);
        }
        let json = sandbox.pm(&["check", "--json"]).code(65).json();
        assert!(has_any(&json, "code", broken.code), "{}: no {} in {json:#}", broken.name, broken.code);
    }
    assert_eq!(sandbox.processes(), [], "a file that is wrong needs no daemon");
}

#[test]
fn all_errors_of_a_file_are_shown_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "ecosystem.toml",
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1\"\nkill_timeot = \"3s\"\ninstances = true\nport = 99999\n",
    );
    sandbox.pm(&["apply"]).code(65).says(&["kill_timeot", "instances", "port"]);
}

#[test]
fn a_file_that_breaks_later_leaves_what_runs_alone() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let before = sandbox.list();
    for text in ["", "[[apps", "project = \"shop\"\n[[apps]]\nname = \"other\"\n"] {
        sandbox.file("ecosystem.toml", text);
        let output = sandbox.pm(&["apply"]);
        assert!([65, 8].contains(&output.status), "{output}");
    }
    assert_eq!(sandbox.list(), before);
}

#[test]
fn missing_unreadable_huge_and_deep_files_are_said_so() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["apply", "nowhere.toml"]).code(65).says(&["nowhere.toml"]);
    sandbox.pm(&["apply"]).code(65).says(&["ecosystem"]);
    std::fs::create_dir(sandbox.path("folder.toml")).unwrap();
    sandbox.pm(&["apply", "folder.toml"]).code(65).says(&["folder.toml"]);
    sandbox.file("huge.toml", "# comment\n".repeat(500_000));
    sandbox.pm(&["apply", "huge.toml"]).code(65).says(&["huge.toml", "large"]);
    sandbox.file("deep.json", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    sandbox.pm(&["apply", "deep.json"]).code(65).says(&["deep.json"]);
    sandbox.file("binary.toml", b"\xff\xfe\x00apps");
    sandbox.pm(&["apply", "binary.toml"]).code(65).says(&["binary.toml"]);
}

#[test]
fn two_files_in_one_folder_are_not_guessed_between() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("");
    sandbox.file("ecosystem.yaml", "project: shop\n");
    sandbox.pm(&["apply"]).code(65).says(&["ecosystem.toml", "ecosystem.yaml"]);
}

#[test]
fn no_prompt_and_no_colour_without_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.file("ecosystem.toml", BROKEN[0].text);
    let output = sandbox.pm(&["apply"]);
    assert!(!output.stderr.contains('\x1b'), "{output}");
}

#[test]
fn what_is_no_ecosystem_file_is_answered_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["apply", "-"]).code(64).says(&["standard input", "write it into a file"]);
    sandbox.file("empty/x", "");
    sandbox.pm(&["apply", "empty"]).code(65).says(&["no ecosystem file", "empty"]);
    sandbox.file("compose.yaml", "services:\n  web:\n    image: nginx\n");
    sandbox.pm(&["apply"]).code(65).says(&["`compose.yaml` is not an ecosystem file", "`pm import`"]);
    sandbox.pm(&["apply", "compose.yaml"]).code(65).says(&["a compose file"]);
    sandbox.file("server.js", "module.exports = { apps: [] }");
    sandbox.pm(&["apply", "server.js"]).code(65).says(&["PM2"]);
    sandbox.file("shop/ecosystem.toml", "[apps.api]\ncommand = \"sleep 1000\"\n");
    sandbox.pm(&["apply", "shop"]).ok();
    assert_eq!(sandbox.app_processes().len(), 1, "the file in the folder");
}

#[test]
fn a_script_that_is_not_there_is_called_a_file_and_a_command_line_is_run() {
    let sandbox = Sandbox::new();
    for word in ["./nope.js", "nope/x.js", "/nowhere/x"] {
        sandbox.pm(&["start", word]).code(1).says(&["does not exist"]);
    }
    let words = sandbox.pm(&["start", "sleep", "-i", "foo"]).code(65);
    assert!(!words.stderr.contains("command-line.json"), "{words}");
    sandbox.pm(&["start", "sleep 1000", "--max-memory-restart", "1G", "--port", "4000"]).ok();
    sandbox.pm(&["env", "sleep-1000"]).ok().says(&["PORT=4000"]);
    sandbox.pm(&["scale", "sleep-1000", "+2"]).ok();
    assert_eq!(sandbox.app_processes().len(), 3);
    sandbox.pm(&["scale", "sleep-1000", "-1"]).ok();
    assert_eq!(sandbox.app_processes().len(), 2);
}
