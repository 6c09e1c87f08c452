//! Completions know apps, projects, profiles and keys; tried in bash.

use std::process::Command;

use crate::support::{Sandbox, run};

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 2\n\
                    env = { WORKER = \"${PM_INSTANCE}\" }\nprofiles.production = { max_restarts = 3 }\n\
                    [[apps]]\nname = \"worker\"\ncommand = \"sleep 1000\"\n";

/// What bash offers at the end of a line.
fn offered(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let mut pm = sandbox.command(&[]);
    let program = pm.get_program().to_owned();
    let folder = std::path::Path::new(&program).parent().unwrap().display().to_string();
    // As bash does it when Tab is pressed.
    let script = r#"
        PATH="$PM_FOLDER:$PATH"
        source <(pm completions bash)
        COMP_LINE="$1"; COMP_POINT=${#1}
        read -ra COMP_WORDS <<< "${1//:/ : }"
        [[ "$1" == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _pm_complete pm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash", line]);
    bash.env_clear().envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PM_FOLDER", folder);
    bash.current_dir(sandbox.path("")).stdin(std::process::Stdio::null());
    bash.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = run(&mut bash).ok();
    assert_eq!(output.stderr, "", "{line}");
    pm.args(["list"]);
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_what_there_is_at_the_moment() {
    let sandbox = Sandbox::applied(FILE);
    let has = |line: &str, words: &[&str]| {
        let offered = offered(&sandbox, line);
        for word in words {
            assert!(offered.iter().any(|one| one == word), "{line:?}: {word} is not among {offered:?}");
        }
        assert!(!offered.iter().any(|word| word.starts_with(['[', '<'])), "{line:?}: {offered:?}");
        offered
    };
    has("pm stop ", &["api", "worker"]);
    assert_eq!(has("pm rm wo", &["worker"]), ["worker"]);
    has("pm why api/", &["api/0", "api/1"]);
    has("pm logs shop:", &["api", "worker"]);
    has("pm list -p ", &["shop"]);
    has("pm apply --env ", &["production"]);
    has("pm explain kill_", &["kill_timeout", "kill_signal"]);
    has("pm he", &[]);
    has("pm li", &["list"]);
    has("pm apply --time", &["--timeout"]);
    has("pm help ap", &["apply"]);
    sandbox.pm(&["delete", "worker"]).ok();
    assert!(!offered(&sandbox, "pm stop ").contains(&"worker".to_owned()), "what is gone is not offered");
}

#[test]
fn completing_starts_no_daemon_and_is_silent_about_errors() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("apps = 1\n");
    for line in ["pm stop ", "pm apply --env ", "pm list -p ", "pm nonsense ", "", "pm", "x --", "pm exec a -- "] {
        let answer = sandbox.pm(&["__complete", line]).ok();
        assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""), "{line:?}");
    }
    assert!(sandbox.processes().is_empty(), "no daemon was started");
}
