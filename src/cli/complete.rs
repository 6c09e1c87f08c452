//! What a shell offers for the word under the cursor: apps, projects, profiles, keys; what is running now, not what was
//! when the script was made.
//!
//! The scripts of `pm completions` call `pm __complete LINE` for that. It starts no daemon, and is silent about errors.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap_complete::Shell;

use super::args;
use super::file::{self, Daemon, FileArgs};
use super::session::Session;
use crate::model::KEYS;
use crate::wire::{Row, Scope, Selection};

/// The word that the scripts call.
const CALLED: &str = "__complete";
/// Words that are offered, at most.
const WORDS_MAX: usize = 2000;
/// Commands whose arguments are apps.
const OF_APPS: &[&str] = &[
    "cron", "delete", "describe", "env", "events", "exec", "list", "logs", "metrics", "reload", "restart", "rollout",
    "scale", "send", "signal", "start", "stop", "unhold", "why",
];
/// Commands in front of another one.
const WITH_ACTION: &[&str] = &["cron", "rollout"];
/// Actions of `pm source` on one that is there.
const OF_SOURCES: &[&str] = &["approve", "diff", "remove", "resume", "status", "suspend", "sync", "wait", "webhook"];
/// Options that take an entry of the history.
const OF_ENTRIES: &[&str] = &["--to", "--diff"];

const BASH: &str = r#"
# What only the running programs know: apps, projects, profiles, keys.
_pm_complete() {
    COMPREPLY=()
    if declare -F _pm >/dev/null; then _pm "$@"; fi
    local word line="${COMP_LINE:0:COMP_POINT}" static=()
    for word in "${COMPREPLY[@]}"; do
        case "$word" in
            '['* | '<'*) ;;
            *) static+=("$word") ;;
        esac
    done
    COMPREPLY=("${static[@]}")
    local current="${line##* }"
    local before="${current%"${current##*[:=]}"}"
    while IFS= read -r word; do
        COMPREPLY+=("${word#"$before"}")
    done < <("${COMP_WORDS[0]}" __complete "$line" 2>/dev/null)
}
complete -F _pm_complete -o bashdefault -o default pm
"#;

const FISH: &str = r#"
# What only the running programs know: apps, projects, profiles, keys.
set -l pm_asked '(pm __complete (commandline -cp) 2>/dev/null)'
complete -c pm -a "$pm_asked"
complete -c pm -n 'string match -qr -- " (-p|--project[= ])" (commandline -cp)' -s p -l project -x -a "$pm_asked"
for pm_option in env profile only app to diff
    complete -c pm -n 'string match -qr -- " --'$pm_option'(=| )" (commandline -cp)' -l $pm_option -x -a "$pm_asked"
end
"#;

const ZSH: &str = r#"
# What only the running programs know: apps, projects, profiles, keys.
_pm_complete() {
    local -a known
    known=(${(f)"$(pm __complete "${BUFFER[1,CURSOR]}" 2>/dev/null)"})
    if (( ${#known} )); then compadd -a known; else _pm "$@"; fi
}
compdef _pm_complete pm
"#;

/// What is added to the script that knows commands and options.
pub(super) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Fish => FISH,
        Shell::Zsh => ZSH,
        _ => "",
    }
}

/// The line of a shell that asks, if this is such a call.
pub(super) fn asked(argv: &[OsString]) -> Option<String> {
    match argv {
        [_, word, line] if word == CALLED => Some(line.to_string_lossy().into_owned()),
        _ => None,
    }
}

/// Prints what may stand at the end of the line.
pub(super) fn answer(session: &mut Session, line: &str) {
    session.screen.is_quiet = true;
    let (what, option, begun) = wanted(line);
    let mut words = match what {
        WordKind::Nothing => Vec::new(),
        WordKind::Commands => args::command_names(),
        WordKind::Keys => KEYS.iter().map(|key| key.name.to_owned()).collect(),
        WordKind::Projects => projects(),
        WordKind::Sources => sources(),
        WordKind::Entries => entries(),
        WordKind::Profiles => profiles(session),
        WordKind::Apps => apps(&begun),
    };
    words.retain(|word| word.starts_with(&begun));
    words.truncate(WORDS_MAX);
    for word in words {
        session.screen.line(&format!("{option}{word}"));
    }
}

/// What a place of the line takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordKind {
    Nothing,
    Commands,
    Apps,
    Projects,
    Sources,
    Entries,
    Profiles,
    Keys,
}

/// What the last word of a line may be, what stands in front of it in the same word (`--project=`), and how it begins.
fn wanted(line: &str) -> (WordKind, String, String) {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let begun = if line.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or_default() };
    let (option, begun) = match begun.split_once('=') {
        Some((option, value)) if option.starts_with("--") => {
            words.push(option);
            (format!("{option}="), value)
        }
        _ => (String::new(), begun),
    };
    let mut words = words.into_iter().skip(1);
    let command = words.find(|word| !word.starts_with('-'));
    let rest: Vec<&str> = words.collect();
    let what = match (command.and_then(args::canonical), rest.last().copied()) {
        _ if rest.contains(&"--") => WordKind::Nothing,
        (_, Some("-p" | "--project")) => WordKind::Projects,
        (_, Some("--profile" | "--env")) => WordKind::Profiles,
        (_, Some("--only" | "--app")) => WordKind::Apps,
        (Some("history"), Some("show" | "tag")) => WordKind::Entries,
        (Some("source"), Some(action)) if OF_SOURCES.contains(&action) => WordKind::Sources,
        (Some("history" | "rollback"), Some(option)) if OF_ENTRIES.contains(&option) => WordKind::Entries,
        _ if begun.starts_with('-') || !option.is_empty() => WordKind::Nothing,
        (Some("explain"), _) => WordKind::Keys,
        (Some(name), _) if WITH_ACTION.contains(&name) && rest.is_empty() => WordKind::Nothing,
        (Some("scale"), Some(_)) => WordKind::Nothing,
        (Some(name), _) if OF_APPS.contains(&name) => WordKind::Apps,
        (None, _) if command == Some("help") && rest.is_empty() => WordKind::Commands,
        _ => WordKind::Nothing,
    };
    (what, option, begun.to_owned())
}

fn rows() -> Vec<Row> {
    let Ok(Some(mut client)) = Session::client_if_running() else { return Vec::new() };
    let selection = Selection { selectors: Vec::new(), scope: Scope { everywhere: true, ..Scope::default() } };
    client.list(&selection).map(|answer| answer.apps).unwrap_or_default()
}

/// `api`; `api/1` once a slash is there, `shop:api` once a colon is there or where two projects have one.
fn apps(begun: &str) -> Vec<String> {
    names(&rows(), begun)
}

fn names(rows: &[Row], begun: &str) -> Vec<String> {
    let mut words = BTreeSet::new();
    for row in rows {
        let is_shared = rows.iter().any(|other| other.app == row.app && other.project != row.project);
        let name =
            if begun.contains(':') || is_shared { format!("{}:{}", row.project, row.app) } else { row.app.to_string() };
        match row.slot.filter(|_| begun.contains('/')) {
            Some(slot) => words.insert(format!("{name}/{slot}")),
            None => words.insert(name),
        };
    }
    words.into_iter().collect()
}

fn projects() -> Vec<String> {
    let Ok(Some(mut client)) = Session::client_if_running() else { return Vec::new() };
    let rows = client.projects().map(|answer| answer.projects).unwrap_or_default();
    rows.iter().map(|row| row.project.to_string()).collect()
}

fn sources() -> Vec<String> {
    let Ok(Some(mut client)) = Session::client_if_running() else { return Vec::new() };
    let rows = client.sources().map(|answer| answer.sources).unwrap_or_default();
    rows.iter().map(|row| row.source.to_string()).collect()
}

/// Tags and generations of the project of this folder.
fn entries() -> Vec<String> {
    let (Ok(Some(mut client)), Ok(folder)) = (Session::client_if_running(), super::session::folder()) else {
        return Vec::new();
    };
    let scope = Scope { folder: Some(folder), ..Scope::default() };
    let rows = client.history(&scope).map(|answer| answer.entries).unwrap_or_default();
    rows.into_iter().flat_map(|row| row.tag.into_iter().chain([row.generation.to_string()])).collect()
}

/// Those of the file of this folder.
fn profiles(session: &mut Session) -> Vec<String> {
    let args = FileArgs { profile: Some("none".to_owned()), ..FileArgs::default() };
    file::resolve(session, &args, false, Daemon::IfRunning).map(|found| found.reading.profiles).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_line_says_what_is_wanted() {
        for (line, expected, begun) in [
            ("pm ", WordKind::Nothing, ""),
            ("pm stop ", WordKind::Apps, ""),
            ("pm stop ap", WordKind::Apps, "ap"),
            ("pm rm api wo", WordKind::Apps, "wo"),
            ("pm --color never why ap", WordKind::Nothing, "ap"),
            ("pm logs -f ap", WordKind::Apps, "ap"),
            ("pm logs --st", WordKind::Nothing, "--st"),
            ("pm list -p ", WordKind::Projects, ""),
            ("pm apply --env pro", WordKind::Profiles, "pro"),
            ("pm apply ", WordKind::Nothing, ""),
            ("pm apply --only ", WordKind::Apps, ""),
            ("pm explain kill_", WordKind::Keys, "kill_"),
            ("pm cron ", WordKind::Nothing, ""),
            ("pm cron run ", WordKind::Apps, ""),
            ("pm scale api ", WordKind::Nothing, ""),
            ("pm exec api -- ls ", WordKind::Nothing, ""),
            ("pm rollback --to ", WordKind::Entries, ""),
            ("pm rollback --app a", WordKind::Apps, "a"),
            ("pm history show v1", WordKind::Entries, "v1"),
            ("pm history ", WordKind::Nothing, ""),
            ("pm help ap", WordKind::Commands, "ap"),
            ("pm source sync s", WordKind::Sources, "s"),
            ("pm source add s", WordKind::Nothing, "s"),
        ] {
            assert_eq!(wanted(line), (expected, String::new(), begun.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_value_may_stand_in_the_word_of_its_option() {
        for (line, expected, option, begun) in [
            ("pm down --project=sh", WordKind::Projects, "--project=", "sh"),
            ("pm apply --only=", WordKind::Apps, "--only=", ""),
            ("pm rollback --to=v", WordKind::Entries, "--to=", "v"),
            ("pm logs --since=1", WordKind::Nothing, "--since=", "1"),
            ("pm start -- a=b", WordKind::Nothing, "", "a=b"),
        ] {
            assert_eq!(wanted(line), (expected, option.to_owned(), begun.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_command_of_apps_exists() {
        for name in OF_APPS {
            assert_eq!(args::canonical(name), Some(*name));
        }
    }
}
