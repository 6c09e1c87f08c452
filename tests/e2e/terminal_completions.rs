//! Completions know apps, projects, profiles and keys; tried in bash, zsh and fish.

use std::process::Command;

use crate::support::{Sandbox, run};

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 2\n\
                    env = { WORKER = \"${PM_INSTANCE}\" }\nprofiles.production = { max_restarts = 3 }\n\
                    [[apps]]\nname = \"worker\"\ncommand = \"sleep 1000\"\n";

/// What a shell prints that runs `script` with the line as its first argument and `pm` on its PATH.
fn answer(sandbox: &Sandbox, mut shell: Command, line: &str) -> Vec<String> {
    let pm = sandbox.command(&[]);
    let folder = std::path::Path::new(pm.get_program()).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    shell.arg(line).env_clear().envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    shell.current_dir(sandbox.path("")).stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = run(&mut shell).ok();
    assert_eq!(output.stderr, "", "{line}");
    output.stdout.lines().map(str::to_owned).collect()
}

/// What bash offers at the end of a line.
fn offered(sandbox: &Sandbox, line: &str) -> Vec<String> {
    // As bash does it when Tab is pressed.
    let script = r#"
        source <(pm completions bash)
        COMP_LINE="$1"; COMP_POINT=${#1}
        line="${1//:/ : }"
        read -ra COMP_WORDS <<< "${line//=/ = }"
        [[ "$1" == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _pm_complete pm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]);
    answer(sandbox, bash, line)
}

/// What fish offers.
fn offered_by_fish(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", "pm completions fish | source; complete -C \"$argv[1]\""]);
    let offered = answer(sandbox, fish, line);
    offered.iter().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// What zsh adds by itself; `static` where it leaves the line to what knows commands and options.
fn offered_by_zsh(sandbox: &Sandbox, line: &str) -> Vec<String> {
    // As the line editor calls it, without the line editor.
    let script = r#"
        compdef() { :; }
        source <(pm completions zsh)
        whence _pm >/dev/null || { print -u2 "there is no _pm"; exit 1; }
        _pm() { print static; }
        compadd() { shift; print -l -- ${(P)1}; }
        BUFFER="$1 tail" CURSOR=${#1}
        _pm_complete
    "#;
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", script, "zsh"]);
    answer(sandbox, zsh, line)
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
    assert_eq!(has("pm list --project=s", &["shop"]), ["shop"], "what stands before the `=` is there already");
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
fn fish_and_zsh_offer_the_same() {
    let sandbox = Sandbox::applied(FILE);
    for (line, expected) in [
        ("pm stop w", "worker"),
        ("pm why api/", "api/1"),
        ("pm list -p ", "shop"),
        ("pm list --project=s", "--project=shop"),
        ("pm explain kill_t", "kill_timeout"),
    ] {
        let (fish, zsh) = (offered_by_fish(&sandbox, line), offered_by_zsh(&sandbox, line));
        assert!(fish.iter().any(|word| word == expected), "{line}: {fish:?}");
        assert!(zsh.iter().any(|word| word == expected), "{line}: {zsh:?}");
        assert!(!zsh.contains(&"static".to_owned()), "{line}: files beside what there is");
    }
    assert!(offered_by_fish(&sandbox, "pm li").contains(&"list".to_owned()));
    assert_eq!(offered_by_zsh(&sandbox, "pm li"), ["static"]);
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
