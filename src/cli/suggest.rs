//! What an unknown word was probably meant to be. Nothing is proposed that ends or deletes something.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands and options that are never proposed: whoever repeats them without reading loses something.
const DESTRUCTIVE: &[&str] = &[
    "abort",
    "clean",
    "del",
    "delete",
    "down",
    "kill",
    "reload",
    "restart",
    "rm",
    "scale",
    "send",
    "shutdown",
    "signal",
    "stop",
    "--allow-empty",
    "--as-root",
    "--replace-files",
    "--yes",
];

/// Words of other process managers, and what does the same here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("dash", "`pm list --watch` shows what runs"),
    ("flush", "the logs rotate by themselves: `pm explain log_rotate`"),
    ("inspect", "`pm describe APP` shows everything about an app"),
    ("jlist", "`pm list --json` prints JSON"),
    ("monit", "`pm list --watch` shows what runs"),
    ("ping", "`pm daemon status` asks the daemon"),
    ("prettylist", "`pm list --json` prints JSON"),
    ("resurrect", "what should run is kept: any `pm` command starts it again after a reboot"),
    ("sendSignal", "`pm signal SIGNAL APP` sends a signal"),
    ("tail", "`pm logs -f` follows what apps print"),
    ("top", "`pm list --watch` shows what runs"),
    ("up", "`pm apply` runs what the file declares"),
];

/// Takes away what is not to be proposed, and adds what is known about the word.
pub(super) fn corrected(mut error: clap::Error) -> clap::Error {
    let (kind, word) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::SuggestedSubcommand, ContextKind::InvalidSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::SuggestedArg, ContextKind::InvalidArg),
        _ => return error,
    };
    let kept = match error.remove(kind) {
        Some(ContextValue::String(one)) => harmless_of(vec![one]).pop().map(ContextValue::String),
        Some(ContextValue::Strings(several)) => {
            Some(harmless_of(several)).filter(|kept| !kept.is_empty()).map(ContextValue::Strings)
        }
        other => other,
    };
    if kept.is_none() && kind == ContextKind::SuggestedArg {
        // It shows the option that was going to be proposed.
        error.remove(ContextKind::Usage);
    }
    if matches!(error.get(ContextKind::Suggested), Some(ContextValue::StyledStrs(tips)) if tips.is_empty()) {
        error.remove(ContextKind::Suggested);
    }
    let Some(ContextValue::String(word)) = error.get(word) else { return error };
    let elsewhere = ELSEWHERE.iter().find(|(other, _)| word == other);
    if let Some((_, tip)) = elsewhere {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    } else if let Some(kept) = kept {
        error.insert(kind, kept);
    }
    error
}

fn harmless_of(words: Vec<String>) -> Vec<String> {
    words.into_iter().filter(|word| !DESTRUCTIVE.contains(&word.as_str())).collect()
}

/// `pm help apply` is `pm apply --help`.
pub(super) fn help_as_option(argv: &[std::ffi::OsString]) -> Option<Vec<std::ffi::OsString>> {
    let [program, help, words @ ..] = argv else { return None };
    if help != "help" {
        return None;
    }
    let words = words.iter().filter(|word| *word != "--help" && *word != "-h").cloned();
    Some(std::iter::once(program.clone()).chain(words).chain(std::iter::once("--help".into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    fn answer(words: &str) -> String {
        let argv: Vec<std::ffi::OsString> = words.split(' ').map(Into::into).collect();
        let error = args::parse(&argv).err().unwrap();
        error.rendered.unwrap().text.to_string()
    }

    #[test]
    fn a_typo_is_answered_with_what_was_meant_unless_it_destroys() {
        assert!(answer("pm aply").contains("'apply'"), "{}", answer("pm aply"));
        assert!(answer("pm lst").contains("'list'"), "{}", answer("pm lst"));
        for words in [
            "pm stpo",
            "pm delet",
            "pm dwon",
            "pm shutdwon",
            "pm remove",
            "pm restar",
            "pm kil",
            "pm daemon sto",
            "pm rollout abor",
        ] {
            let answer = answer(words);
            for destructive in DESTRUCTIVE {
                assert!(!answer.contains(&format!("'{destructive}'")), "{words}: {answer}");
            }
        }
        assert!(!answer("pm apply --ye").contains("--yes"), "{}", answer("pm apply --ye"));
        assert!(answer("pm apply --timeot 3s").contains("--timeout"), "{}", answer("pm apply --timeot 3s"));
    }

    #[test]
    fn words_of_other_process_managers_are_explained() {
        for (word, tip) in ELSEWHERE {
            let answer = answer(&format!("pm {word}"));
            assert!(answer.contains(tip) && !answer.contains("similar"), "{word}: {answer}");
        }
    }

    #[test]
    fn help_is_a_command_too() {
        for (one, other) in [
            ("pm help", "pm --help"),
            ("pm help apply", "pm apply --help"),
            ("pm help daemon status", "pm daemon status --help"),
            ("pm help ls", "pm list --help"),
            ("pm help apply --help", "pm apply --help"),
        ] {
            assert_eq!(answer(one), answer(other), "{one}");
        }
        assert!(answer("pm help aply").contains("'apply'"));
    }
}
